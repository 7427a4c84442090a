"""Grids over real stores: their matrices against the float64 reference, resume, refusals."""

import dataclasses
import itertools
import json
import math
import pathlib
import shutil

import numpy as np
import pytest
import xarray as xr

from isogloss.engine.activations import activation_store, extract, language_states
from isogloss.engine.grid import grid
from isogloss.engine.runtime import place
from isogloss.engine.tallies import grid_status
from isogloss.engine.tallies.tally import Count
from isogloss.kernels import reference

MEASURES = ("seqsim", "precision", "recall", "meanpool", "dtw")


def extraction(corpus, model, store, **change):
    """What the extract job would be asked for, in float16 and two states unless changed."""
    config = extract.ExtractConfig(
        corpus=f"manifest:{corpus}", model=str(model), store=store, states=("0", "final")
    )
    return dataclasses.replace(config, **change)


@pytest.fixture(scope="module")
def store(tmp_path_factory, speech, model_folder):
    """Activations of the small corpus; one recording of "bb" is broken."""
    folder = tmp_path_factory.mktemp("compare")
    shutil.copytree(speech.parent, folder / "speech")
    (folder / "speech" / "bb-2.wav").write_bytes(b"")
    config = extraction(folder / "speech" / "speech.tsv", model_folder, folder / "store")
    assert list(extract.run(config).failed) == ["bb s2.0"]
    return config.store


@pytest.fixture
def config(tmp_path, store):
    return grid.GridConfig(store=store, grid=tmp_path / "grid.zarr", measures=MEASURES, memory_gb=1.0)


def frames_of(store, language, state, *, centred):
    """Frames of every utterance by sentence, float64, read with xarray."""
    dataset = xr.open_zarr(store / f"{language}.zarr")
    states = dataset.states.sel(state=state)
    found = {}
    for row, sentence in enumerate(dataset.sentence.values):
        frames = states[row].values[: int(dataset.frames[row])].astype(np.float64)
        if len(frames):
            found[sentence] = frames
    if centred:
        kept = reference.remove_language_mean(list(found.values()))
        found = dict(zip(found, kept, strict=True))
    return found


def slack(measure, want, steps):
    """How many errors of a cosine a score may be off."""
    p, r = want["precision"], want["recall"]
    return {"dtw": steps, "seqsim": 2 + 4 * (p * p + r * r) / (p + r) ** 2}.get(measure, 4)


def test_rounded_frames_have_no_dtw(config):
    with pytest.raises(ValueError, match=r"--implementation=numba_int8 .* no dtw"):
        dataclasses.replace(config, implementation="numba_int8", measures=("seqsim", "dtw"))


@pytest.mark.parametrize("centred", [pytest.param(False, marks=pytest.mark.deep), True])
def test_every_score_equals_the_reference(config, store, centred):
    """Cosines of 16 float32 features are off by some 16 * 2**-24 = 1e-6; a DTW path adds up to 200 of them.

    F1 passes on errors of P and R with weights 2 R^2 / (P + R)^2 and 2 P^2 / (P + R)^2, which are large where
    centred utterances are so unlike that P + R is near 0.
    """
    datasets = []
    for implementation in ("xla", "numba"):
        made = config.grid.with_name(implementation)
        change = {"grid": made, "implementation": implementation, "remove_language_mean": centred}
        wanted = {"pairs": ("bb-aa", "cc-bb"), "states": ("final",)}
        assert grid.run(dataclasses.replace(config, **change, **wanted)).done == 2
        datasets.append(xr.open_zarr(made).sel(state="final").load())
        assert datasets[-1].pair.values.tolist() == ["aa-bb", "bb-cc"]
    for pair in ("aa-bb", "bb-cc"):
        a, b = pair.split("-")
        queries = frames_of(store, a, "final", centred=centred)
        candidates = frames_of(store, b, "final", centred=centred)
        for query, x in queries.items():
            for candidate, y in candidates.items():
                if query > candidate or candidate > "s3":  # the reference is slow
                    continue
                want = {measure: reference.MEASURES[measure](x, y) for measure in MEASURES}
                for measure, dataset in itertools.product(want, datasets):
                    got = dataset[measure].sel(pair=pair, query=query, candidate=candidate)
                    bound = 1e-6 * slack(measure, want, len(x) + len(y))
                    assert abs(float(got) - want[measure]) <= bound, (measure, query, candidate)


@pytest.mark.parametrize(
    ("where", "out"), [("a/b/grid.zarr", "a/b/report"), ("s3://bucket/b/grid.zarr", "out/report")]
)
def test_the_next_command_names_a_folder(where, out):
    """A report is never in a bucket."""
    summary = grid.GridSummary(
        done=1, skipped=0, failed={}, missing={}, changes={}, seconds=1.0, utterance_pairs_per_second=1.0,
        implementation="numba", programs={}, plan={},
    )  # fmt: skip
    given = grid.GridConfig(store=pathlib.Path("store"), grid=place.parse(where) or pathlib.Path(where))
    assert summary.sentence(given).endswith(f"python -m isogloss.jobs.report --grid={where} --out={out}")


def test_nan_exactly_where_a_language_lacks_a_sentence(config):
    summary = grid.run(config)
    assert not summary.complete
    assert summary.missing == {"bb": ("s2.0",)}
    dataset = xr.open_zarr(config.grid)
    assert dataset.sentence.values.tolist() == [f"s{i}" for i in range(7)]
    assert dataset.n_common.values.tolist() == [6, 6, 5]
    assert json.loads(dataset.attrs["languages"])["bb"]["missing"] == ["s2.0"]
    assert str(config.store.parent) not in (config.grid / "zarr.json").read_text()
    lacking = {"aa": [], "bb": ["s2"], "cc": ["s4"]}
    for measure in MEASURES:
        for pair in dataset.pair.values:
            a, b = pair.split("-")
            rows = ~np.isin(dataset["query"].values, lacking[a])
            columns = ~np.isin(dataset["candidate"].values, lacking[b])
            for state in ("0", "final"):
                matrix = dataset[measure].sel(pair=pair, state=state).values
                np.testing.assert_array_equal(np.isfinite(matrix), np.outer(rows, columns))


def test_what_was_asked_to_be_left_out_is_no_failure(config, tmp_path, speech, model_folder):
    change = {"languages": ("aa", "bb"), "states": ("final",), "dtype": "float32", "long": "skip"}
    skipping = extraction(speech, model_folder, tmp_path / "skipping", **change)
    assert extract.run(skipping).left_out == 4
    summary = grid.run(dataclasses.replace(config, store=skipping.store))
    assert (summary.complete, summary.missing, summary.done) == (True, {}, 1)
    dataset = xr.open_zarr(config.grid)
    assert json.loads(dataset.attrs["languages"])["aa"]["missing"] == ["s5.0", "s6.0"]


def test_resumes_to_the_same_bytes(config):
    grid.run(config)
    chunks = {path: path.read_bytes() for path in config.grid.glob("*/c.*")}
    assert len(chunks) == 5 * 3 * 2
    times = {path: path.stat().st_mtime_ns for path in chunks}
    gone = sorted(chunks)[::7]
    for path in gone:
        path.unlink()
    summary = grid.run(config)
    assert summary.done == len({path.name for path in gone})
    assert {path: path.read_bytes() for path in chunks} == chunks
    kept = [path for path in chunks if path.name not in {path.name for path in gone}]
    assert all(path.stat().st_mtime_ns == times[path] for path in kept)


def test_little_memory_shares_and_order_change_nothing(config, tmp_path):
    grid.run(config)
    other = dataclasses.replace(config, grid=tmp_path / "other.zarr", memory_gb=1e-4)
    for index in (1, 0):
        grid.run(dataclasses.replace(other, shard_index=index, num_shards=2))
    for path in config.grid.glob("*/c.*"):
        assert (other.grid / path.relative_to(config.grid)).read_bytes() == path.read_bytes()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"pairs": ("aa-zz",)}, "extracted are aa, bb, cc"),
        ({"pairs": ("aa-aa",)}, "compared with itself"),
        ({"states": ("7",)}, "0, final"),
        ({"memory_gb": 1e-9}, "too little"),
        ({"languages": ("aa",)}, "needs two extracted languages, got aa"),
        ({"languages": ("aa", "zz")}, "'zz' isn't extracted"),
        ({"languages": ("aa", "bb"), "pairs": ("aa-cc",)}, "extracted are aa, bb"),
    ],
)
def test_nonsense_is_refused_before_any_compute(config, monkeypatch, change, message):
    monkeypatch.setattr(grid.frame_scores, "frame_scores", lambda *a, **k: pytest.fail("computed"))
    with pytest.raises(ValueError, match=message):
        grid.run(dataclasses.replace(config, **change))


@pytest.mark.parametrize("memory", [0.0, -1.0, float("nan"), float("inf")])
def test_memory_that_is_no_amount(config, memory):
    finite = "" if math.isfinite(memory) else "a finite number "
    with pytest.raises(ValueError, match=f"^--memory_gb must be {finite}above 0, got {memory}$"):
        dataclasses.replace(config, memory_gb=memory)


def test_measures_that_do_not_exist(config):
    with pytest.raises(ValueError, match="seqsim, precision, recall, meanpool, dtw"):
        dataclasses.replace(config, measures=("cka",))


def test_a_dtw_cost_is_divided_as_asked_and_the_grid_says_so(config, tmp_path):
    plain = dataclasses.replace(config, pairs=("aa-bb",), states=("0",), measures=("dtw",))
    divided = dataclasses.replace(plain, grid=tmp_path / "divided.zarr", dtw_normalise="length_sum")
    grid.run(plain)
    grid.run(divided)
    costs, shares = (xr.open_zarr(made.grid).dtw[0, 0] for made in (plain, divided))
    opened = [activation_store.open_store(config.store, code) for code in ("aa", "bb")]
    n, m = (np.where(store.present(), store.frames, 0) for store in opened)
    np.testing.assert_allclose(shares, costs / np.add.outer(n, m), rtol=1e-6)
    assert xr.open_zarr(divided.grid).attrs["dtw_normalise"] == "length_sum"
    assert xr.open_zarr(plain.grid).attrs["dtw_normalise"] == "none"
    for other in ("path_length", "none"):
        with pytest.raises(ValueError, match=f"dtw_normalise: stored length_sum, asked for {other}"):
            grid.run(dataclasses.replace(divided, dtw_normalise=other))


def test_unfinished_extraction_is_refused(config, store, tmp_path):
    shutil.copytree(store, tmp_path / "store")
    (tmp_path / "store" / "cc.zarr" / "states" / "c.1.0.0.0").unlink()
    config = dataclasses.replace(config, store=tmp_path / "store")
    with pytest.raises(ValueError, match=r"cc\.zarr: 1 of 6 utterances aren't extracted yet, s1\.0"):
        grid.run(config)
    assert grid.run(dataclasses.replace(config, pairs=("aa-bb",))).done == 2


def test_languages_of_different_models_are_refused(config, store, tmp_path, other_model_folder, speech):
    shutil.copytree(store, tmp_path / "store")
    for planned in ("cc.zarr", "languages"):
        shutil.rmtree(tmp_path / "store" / planned)
    extract.run(extraction(speech, other_model_folder, tmp_path / "store", languages=("cc",)))
    with pytest.raises(
        ValueError, match=r"need one model and settings\n  model: aa whisper-nano, cc whisper-other\n"
    ):
        grid.run(dataclasses.replace(config, store=tmp_path / "store"))


def test_one_language_is_no_grid(config, store, tmp_path):
    with pytest.raises(ValueError, match=r"no store is there.*extract's --store"):
        grid.run(dataclasses.replace(config, store=tmp_path / "none"))
    shutil.copytree(store / "aa.zarr", tmp_path / "store" / "aa.zarr")
    with pytest.raises(ValueError, match="needs two extracted languages"):
        grid.run(dataclasses.replace(config, store=tmp_path / "store"))


def test_dry_run_writes_nothing_and_counts(config):
    summary = grid.run(dataclasses.replace(config, dry_run=True))
    assert not config.grid.exists()
    assert summary.plan["units"] == 6
    assert summary.plan["utterance_pairs"] == 2 * (7 * 6 + 7 * 6 + 6 * 6)
    assert summary.plan["files"] == 6 * 5
    assert summary.plan["bytes"] == 6 * 5 * (4 * 7 * 7 + 4)  # each file with its checksum
    assert 0 <= summary.plan["compile_seconds"] <= summary.plan["estimated_seconds"]
    assert (summary.plan["uploads"], summary.plan["upload_bytes"]) == (0, 0)  # kernels of CPUs


def test_a_dry_run_counts_uploads(config, store):
    """Three languages that all fit, at two states: each once a state, float16, in one group of full rows."""
    summary = grid.run(
        dataclasses.replace(config, dry_run=True, implementation="xla", measures=("meanpool",))
    )
    frames = [xr.open_zarr(store / f"{code}.zarr").frames.values for code in ("aa", "bb", "cc")]
    shapes = [language_states.device_shapes(lengths, 8) for lengths in frames]
    features = xr.open_zarr(store / "aa.zarr").states.shape[-1]
    assert summary.plan["uploads"] == 2 * 3
    assert summary.plan["upload_bytes"] == 2 * sum(u * n for shape in shapes for u, n in shape) * features * 2


def test_a_dry_run_refuses_another_plan_and_counts_what_is_there(config):
    grid.run(dataclasses.replace(config, pairs=("aa-bb",)))
    dry = dataclasses.replace(config, dry_run=True)
    with pytest.raises(ValueError, match="grid of other stores or flags"):
        grid.run(dataclasses.replace(dry, measures=("dtw",)))
    assert grid.run(dataclasses.replace(dry, pairs=("aa-bb",))).plan["units"] == 0


def test_a_damaged_shard_is_named_and_noted_until_it_is_sound(config, store, tmp_path, files):
    shutil.copytree(store, tmp_path / "store")
    shard = tmp_path / "store" / "cc.zarr" / "states" / "c.1.0.0.0"
    data = bytearray(shard.read_bytes())
    data[10] ^= 255  # in a chunk of the first state
    shard.write_bytes(data)
    config = dataclasses.replace(config, store=tmp_path / "store")
    summary = grid.run(config)
    assert (summary.done, summary.complete) == (4, False)
    assert set(summary.failed) == {"aa-cc state 0", "bb-cc state 0"}
    assert all("cc.zarr" in reason and "run extract again" in reason for reason in summary.failed.values())
    found = grid_status.tally(config.grid)
    assert found.reasons == summary.failed
    assert (found.count, found.parts["state"]["0"]) == (
        Count(done=4, total=6, failed=2),
        Count(done=1, total=3, failed=2),
    )
    assert {code: count.failed for code, count in found.parts["language"].items()} == {
        "aa": 1,
        "bb": 1,
        "cc": 2,
    }
    shutil.copy(store / "cc.zarr" / "states" / "c.1.0.0.0", shard)
    note = config.grid / "failed" / "1.0.json"
    kept = note.read_bytes()
    assert grid.run(config).done == 2
    assert not list(note.parent.iterdir())
    note.write_bytes(kept)  # as of a process that was killed between the scores and their note
    assert not grid_status.tally(config.grid).reasons
    grid.run(config)
    whole = dataclasses.replace(config, store=store, grid=tmp_path / "whole.zarr")
    grid.run(whole)
    assert files(config.grid, "*/c.*") == files(whole.grid, "*/c.*")
    assert files(config.grid).keys() == files(whole.grid).keys()


def test_a_language_is_loaded_once_per_pair_of_blocks(config, monkeypatch):
    loads = []
    read = language_states.read

    def counted(member, state):
        loads.append((member.language, state))
        return read(member, state)

    monkeypatch.setattr(language_states, "read", counted)
    grid.run(config)
    assert len(loads) == len(set(loads)) == 3 * 2


@pytest.mark.deep
def test_programs_do_not_grow_with_pairs_and_states(config):
    """Lengths are rounded up, so that like languages share programs: only their numbers differ."""
    first = dataclasses.replace(config, implementation="xla", pairs=("aa-bb",), states=("0",))
    grid.run(first)
    alike = grid.run(
        dataclasses.replace(first, grid=config.grid.with_name("alike"), pairs=("aa-cc",), states=())
    )
    assert alike.done == 2
    assert alike.programs == {"compiled": 0, "found": 0}
    every = dataclasses.replace(first, grid=config.grid.with_name("every"), pairs=(), states=())
    assert sum(grid.run(every).programs.values()) <= 2  # for 6 utterances against 6: frames and means


def test_groups_hold_every_frame_once(store):
    opened = language_states.open_language(activation_store.open_store(store, "aa"))
    loaded = language_states.load(opened, "final", remove_language_mean=False)
    rows = np.concatenate([group.where for group in loaded.groups])
    assert sorted(rows.tolist()) == list(range(7))
    for group in loaded.groups:
        for where, frames, states in zip(group.where, group.frames, group.states, strict=True):
            np.testing.assert_array_equal(
                states[:frames], opened.store.read("final", [opened.rows[where]])[0]
            )
            assert not states[frames:].any()
        assert group.states.shape[1] % language_states.STEP == 0
