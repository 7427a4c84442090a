"""Score matrices on devices: equal bits on 1, 2 and 8, work divided, nothing uploaded twice, all freed."""

import gc
import threading
import weakref
from unittest import mock

import jax
import numpy as np
import pytest
from processes import PATIENCE

from isogloss.engine.activations import language_states
from isogloss.engine.grid import grid_plan, grid_store, grid_work, host_scores, measures
from isogloss.engine.grid.device_scores import DeviceScores
from isogloss.engine.grid.measures import MEASURES, Measure
from isogloss.kernels import pair_table, pooling

NAMES = ("seqsim", "precision", "recall", "dtw", "meanpool")
D = 8
GB = 10**9


def utterances(seed, dtype=np.float16, count=11):
    """Of 3 to 59 frames, about a mean as far from zero as they are from it."""
    rng = np.random.default_rng(seed)
    lengths = rng.integers(3, 60, count)
    mean = rng.standard_normal(D)
    return [(mean + rng.standard_normal((n, D))).astype(dtype) for n in lengths]


def devices(count=None, **change):
    chosen = tuple(jax.local_devices()[:count])
    options = {"implementation": "xla", "scan_bytes": 10_000_000, "devices": chosen} | change
    return DeviceScores(options.pop("measures", NAMES), **options)


def scored(given, x, y):
    return given.start(given.place(x), given.place(y))()


@pytest.fixture(scope="module")
def alone():
    """Scores of one device, by whether means are removed."""
    return {
        removed: scored(devices(1, remove_mean=removed), utterances(0), utterances(1))
        for removed in (False, True)
    }


@pytest.mark.parametrize("removed", [False, True])
@pytest.mark.parametrize("count", [pytest.param(2, marks=pytest.mark.deep), 8])
def test_devices_do_not_change_a_bit(alone, removed, count):
    assert jax.local_device_count() == 8
    found = scored(devices(count, remove_mean=removed), utterances(0), utterances(1))
    assert list(found) == list(NAMES)
    for name, matrix in found.items():
        assert np.isfinite(matrix).all()
        np.testing.assert_array_equal(matrix, alone[removed][name])


@pytest.mark.parametrize("removed", [False, True])
def test_equal_to_the_kernels_of_the_cpu(alone, removed):
    """Sums of 8 products in float32, of frames a few times longer than their centred ones."""
    given = host_scores.HostScores(NAMES, "numba", dtw_normalise="none", remove_mean=removed)
    for name, expected in scored(given, utterances(0), utterances(1)).items():
        tolerance = {"rtol": 1e-5} if MEASURES[name].cost else {"atol": 1e-5 if name == "seqsim" else 3e-6}
        np.testing.assert_allclose(alone[removed][name], expected, **({"rtol": 0} | tolerance))


@pytest.mark.parametrize("count", [3, pytest.param(6, marks=pytest.mark.deep)])
@pytest.mark.parametrize("removed", [pytest.param(False, marks=pytest.mark.deep), True])
def test_rows_that_fill_a_share_change_no_bit(removed, count):
    """On three devices 64 rows are filled up to 66; means would have other bits of as many rows."""
    rng = np.random.default_rng(7)
    x, y = ([rng.standard_normal((n, 512)).astype(np.float16) for n in range(1, 41)] for _ in "xy")
    options = {"measures": ("meanpool",), "remove_mean": removed}
    one, several = (scored(devices(k, **options), x, y) for k in (1, count))
    for name, matrix in one.items():
        np.testing.assert_array_equal(matrix, several[name])


def test_the_mean_of_other_utterances_is_made_on_the_device_itself(monkeypatch):
    """As of second recordings; equal to that of first ones where the utterances are these."""
    own, made, mean_frame = jax.devices()[3], [], language_states.mean_frame

    def spied(utterances):
        made.append(jax.numpy.ones(1).devices())
        return mean_frame(utterances)

    monkeypatch.setattr(language_states, "mean_frame", spied)
    x, y = utterances(0), utterances(1)
    given = devices(remove_mean=True, devices=(own,), measures=("seqsim",))
    found = given.start(given.place(x[:3], mean_of=x), given.place(y))()["seqsim"]
    assert made == [{own}]
    np.testing.assert_allclose(found, scored(given, x, y)["seqsim"][:3], atol=2e-6)
    assert np.abs(found - scored(given, x[:3], y)["seqsim"]).max() > 1e-3


@pytest.mark.parametrize("count", [pytest.param(1, marks=pytest.mark.deep), 2, 8])
def test_every_device_computes_its_share_of_the_rows(count):
    """By where the pieces of the results lie before anybody asks for them."""
    given = devices(count, measures=("seqsim", "dtw"))
    x, y = given.place(utterances(0)), given.place(utterances(1))
    found = given._score(x[0].operand, y[0].operand)
    for matrix in found.values():
        shards = matrix.addressable_shards
        assert {shard.device for shard in shards} == set(jax.local_devices()[:count])
        rows = sorted(shard.index[0].indices(matrix.shape[0])[:2] for shard in shards)
        each = matrix.shape[0] // count
        assert rows == [(i * each, (i + 1) * each) for i in range(count)]
        assert all(shard.data.shape == (each, matrix.shape[1]) for shard in shards)


@pytest.mark.parametrize("count", [pytest.param(1, marks=pytest.mark.deep), 8])
@pytest.mark.parametrize("dtype", [np.float16, pytest.param(np.float32, marks=pytest.mark.deep)])
def test_a_pair_whose_languages_are_there_moves_nothing_to_the_devices(count, dtype):
    given = devices(count, remove_mean=True)
    x, y = given.place(utterances(0, dtype)), given.place(utterances(1, dtype))
    given.start(x, y)()  # compiles
    # "disallow" lets through what is explicit, as an upload's `device_put` is.
    inwards = jax.transfer_guard_host_to_device("disallow_explicit")
    with inwards, jax.transfer_guard_device_to_device("disallow_explicit"):
        found = given.start(y, x)
        again = given.start(x, y)
    assert {name: np.isfinite(matrix).all() for name, matrix in again().items()} == dict.fromkeys(NAMES, True)
    np.testing.assert_allclose(found()["precision"], again()["recall"].T, atol=3e-6)
    # Without a mean to remove, frames and their lengths are all that is sent.
    other = devices(count, remove_mean=False)
    refused = pytest.raises(Exception, match=r"Disallowed host-to-device transfer: aval=ShapedArray\(float")
    with jax.transfer_guard_host_to_device("disallow_explicit"), refused as raised:
        other.place(utterances(2, dtype))
    assert f"{np.dtype(dtype)}[16,64,{D}]" in str(raised.value)


def test_frames_go_to_the_devices_as_they_are_stored(monkeypatch):
    """Once each: 11 utterances filled up to 16 rows of 64 frames, in 16 bits, and their lengths."""
    given, bytes_sent = devices(8, measures=("seqsim",)), []
    upload = given._rows.upload

    def counted(arrays):
        bytes_sent.extend(array.nbytes for array in arrays)
        return upload(arrays)

    monkeypatch.setattr(given._rows, "upload", counted)
    [group] = given.place(utterances(0))
    assert bytes_sent == [16 * 64 * D * 2, 16 * 4]
    assert [part.dtype for part in group.operand.parts] == [np.float16]
    assert group.pooled is None
    assert group.frames is None


def test_languages_are_uploaded_once_a_visit_and_freed_after_it(monkeypatch):
    """Six languages in blocks of two: at most two blocks and the two that are read ahead are ever there.

    Among them is the one that is being made.
    """
    gc.freeze()  # collecting looks only at what this test makes, not at all modules
    codes = [f"l{i}" for i in range(6)]
    pairs = tuple((a, b) for i, a in enumerate(codes) for b in codes[i + 1 :])
    units = [(state, pair) for state in (0, 1) for pair in range(len(pairs))]
    given, uploads, alive, most = devices(2, measures=("seqsim",)), [], [], 0
    data = {code: utterances(0, count=3) for code in codes}  # one length, one program
    place = given.place

    def watched(frames, mean_of=None):
        nonlocal most
        groups = place(frames, mean_of)
        alive.append(weakref.ref(groups[0]))
        gc.collect()
        most = max(most, sum(ref() is not None for ref in alive))
        return groups

    members = {code: mock.create_autospec(language_states.GridLanguage, instance=True) for code in codes}
    names = {id(member): code for code, member in members.items()}

    def read(member, state):
        uploads.append((state, names[id(member)]))
        return data[names[id(member)]]

    monkeypatch.setattr(given, "place", watched)
    monkeypatch.setattr(language_states, "read", read)
    facts = {"pairs": pairs, "states": ("0", "1"), "sentences": (), "measures": ("seqsim",), "common": ()}
    plan = grid_store.Plan(**facts, identity={"remove_language_mean": False}, flags={})
    started = grid_work._started(plan, members, units, given, 2)
    done = [unit for unit, _ in started]
    del started
    gc.collect()
    assert sorted(done) == units
    planned = [key for visit in grid_work.visits(units, pairs, 2) for key in visit.arriving]
    assert [("01"[state], code) for state, code in planned] == uploads
    assert len(uploads) <= 2 * 4 * 3
    assert most <= 2 * 2 + 2
    assert not any(ref() is not None for ref in alive)
    gc.unfreeze()


def test_a_plan_counts_the_uploads_and_their_bytes(monkeypatch):
    """What a dry run says of three languages in blocks of one is what goes to the device."""
    data = {code: utterances(0, count=count) for code, count in (("a", 1), ("b", 9), ("c", 17))}
    pairs, units, uploaded = (("a", "b"), ("a", "c"), ("b", "c")), [(0, 0), (0, 1), (0, 2)], []
    members = {code: mock.create_autospec(language_states.GridLanguage, instance=True) for code in data}
    for code, member in members.items():
        member.frames = np.int32([len(frames) for frames in data[code]])
        member.store = mock.Mock(features=D, dtype=np.dtype(np.float16))
    given = devices(8, measures=("seqsim",))
    upload = given._rows.upload

    def watched(arrays):
        uploaded.append(arrays[0].nbytes)
        return upload(arrays)

    monkeypatch.setattr(given._rows, "upload", watched)
    frames_of = {id(member): data[code] for code, member in members.items()}
    monkeypatch.setattr(language_states, "read", lambda member, state: frames_of[id(member)])
    facts = {"pairs": pairs, "states": ("0",), "sentences": (), "measures": ("seqsim",), "common": ()}
    plan = grid_store.Plan(**facts, identity={"remove_language_mean": False}, flags={})
    assert len(list(grid_work._started(plan, members, units, given, 1))) == len(units)
    sizes = {code: grid_plan._upload_bytes(member, 8) for code, member in members.items()}
    planned = grid_plan._uploads(sizes, plan, [units], 1)
    assert len(planned) == 3 + 1  # one of the three comes back
    assert len(set(planned)) == 3
    assert sorted(planned) == sorted(uploaded)


@pytest.mark.parametrize("best", [0, 2])
def test_results_keep_languages_until_they_are_there(monkeypatch, best):
    """With shortlists the function of a result needs the languages again; then it is let go."""
    given, members, kept = devices(1, measures=("seqsim", "transport", "transport_error")), {}, []
    for code in "ab":
        members[code] = mock.create_autospec(language_states.GridLanguage, instance=True)
        members[code].sentences = tuple("abcdefghijk")
    place = given.place

    def watched(frames, mean_of=None):
        groups = place(frames, mean_of)
        kept.append(weakref.ref(groups[0]))
        return groups

    monkeypatch.setattr(given, "place", watched)
    monkeypatch.setattr(language_states, "read", lambda member, state: utterances(0))
    facts = {"pairs": (("a", "b"),), "states": ("0",), "sentences": tuple("abcdefghijk"), "common": ()}
    plan = grid_store.Plan(
        **facts, measures=("seqsim",), identity={"remove_language_mean": False, "rerank": best}, flags={}
    )
    [(unit, found)] = grid_work.computed(plan, members, [(0, 0)], [given], 1)
    gc.collect()
    assert unit == (0, 0)
    assert np.isfinite(found["transport"]).any()
    assert [ref() for ref in kept] == [None, None]


def test_results_are_asked_for_one_unit_behind(monkeypatch):
    """While a unit is computed the next one has started, whose languages are read and placed meanwhile.

    The first unit starts only when the language that the second needs besides is placed.
    """
    told, placed = [], threading.Event()
    given = mock.create_autospec(DeviceScores, instance=True, AHEAD=DeviceScores.AHEAD)

    def place(frames, mean_of=None):
        if frames == "c":
            placed.set()
        return frames

    def start(x, y, among=None):
        assert placed.wait(PATIENCE)
        told.append(f"start {x}{y}")
        return lambda: told.append(f"ask {x}{y}") or {}

    given.place.side_effect = place
    given.start.side_effect = start
    members = {code: mock.create_autospec(language_states.GridLanguage, instance=True) for code in "abc"}
    for code, member in members.items():
        member.sentences, member.language = (), code
    monkeypatch.setattr(language_states, "read", lambda member, state: member.language)
    facts = {"pairs": (("a", "b"), ("a", "c"), ("b", "c")), "states": ("0",), "sentences": (), "common": ()}
    plan = grid_store.Plan(**facts, measures=("seqsim",), identity={"remove_language_mean": False}, flags={})
    list(grid_work.computed(plan, members, [(0, 0), (0, 1), (0, 2)], [given], 2))
    assert told == ["start ab", "start ac", "ask ab", "start bc", "ask ac", "ask bc"]


def test_a_scan_takes_fewer_pairs_where_memory_is_small():
    """One product, or two blocks of B at once: the same bits."""
    x, y = utterances(0), utterances(1, count=130)
    sizes = [pair_table.sizes((16, 256), 64, 64, held) for held in (1, 200_000_000)]
    assert [(size.scan, size.blocks) for size in sizes] == [(8, 1), (16, 2)]
    few, many = (scored(devices(1, scan_bytes=held, measures=NAMES[:4]), x, y) for held in (1, 200_000_000))
    for name, matrix in few.items():
        assert matrix.shape == (11, 130)
        np.testing.assert_array_equal(matrix, many[name])


def test_kernels_that_measures_name(monkeypatch):
    """By frame they get padded frames, less the mean if asked, and lengths; of means, mean frames."""

    def first_frames(x, n, y, m):
        assert len(x) == len(n)
        assert len(y) == len(m)
        return np.asarray(x)[:, 0].astype(np.float32) @ np.asarray(y)[:, 0].astype(np.float32).T

    monkeypatch.setattr(pooling, "first_frames", first_frames, raising=False)
    own = Measure(name="first", label="", meaning="", by_frame=True, kernel="pooling.first_frames")
    monkeypatch.setitem(measures.MEASURES, "first", own)
    x, y = utterances(0), utterances(1)
    for removed in (False, True):
        found = scored(devices(2, measures=("first",), remove_mean=removed), x, y)["first"]
        a, b = (
            np.mean([u.astype(np.float32).mean(axis=0) for u in side], axis=0) * np.float32(removed)
            for side in (x, y)
        )
        expected = [[(p[0].astype(np.float32) - a) @ (q[0].astype(np.float32) - b) for q in y] for p in x]
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
