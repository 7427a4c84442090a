"""Parts of the acceptance: sizes, what is wanted, what is found wrong, and that none costs another."""

import itertools
import math

import jax.numpy as jnp
import numpy as np
import pytest

from isogloss.engine.activations import language_states
from isogloss.engine.bench import encoder_speeds, grid_speeds, kernel_errors, kernel_speeds
from isogloss.engine.bench.findings import OutOfTime, Stopwatch, Yardstick
from isogloss.engine.grid.device_scores import DeviceScores
from isogloss.kernels import frame_scores, pair_table

WATCH = Stopwatch(shortest=0.0)
PRODUCT = Yardstick(name="bfloat16", call=lambda: None, flops=1.0)
REAL = [shape for of_stage in kernel_speeds.shapes(quick=False).values() for shape in of_stage]


def test_sizes_and_what_is_wanted():
    """As the acceptance was ordered: issue 11."""
    shapes = kernel_speeds.shapes(quick=False)
    sizes = [(shape.features, shape.frames) for shape in shapes["SeqSim"]]
    assert sizes == list(itertools.product((512, 768, 1280), (300, 600, 1500)))
    wanted = {features: kernel_speeds.wanted_share(features) for features, _ in sizes}
    assert wanted == {512: 0.5, 768: 0.65, 1280: 0.65}
    assert kernel_speeds.WANTED_GCUPS == 300
    encoders = {
        name: (size.features, size.heads, size.encoder_layers, size.positions)
        for name, size in encoder_speeds.sizes(quick=False).items()
    }
    assert encoders == {
        "base": (512, 8, 6, 1500),
        "small": (768, 12, 12, 1500),
        "large-v2": (1280, 20, 32, 1500),
    }
    for device, shares in (
        ("gpu", {"blocks": 0.5, "dense": None, "cudnn": 0.5}),
        ("tpu", {"blocks": 0.5, "dense": None}),
        ("cpu", {"chunked": 0.5, "blocks": None}),
    ):
        assert {f: encoder_speeds.wanted(device, f) for f in encoder_speeds.forms(device)} == shares


@pytest.mark.parametrize(
    "stage",
    [
        kernel_errors.findings,
        lambda watch: kernel_speeds.seqsim("float32", PRODUCT, quick=True, watch=watch),
        lambda watch: kernel_speeds.warping(quick=True, watch=watch),
        lambda watch: encoder_speeds.errors("cpu", watch),
        lambda watch: encoder_speeds.speeds("cpu", PRODUCT, quick=True, watch=watch),
        lambda watch: encoder_speeds.extraction("cpu", PRODUCT, quick=True, watch=watch),
        lambda watch: grid_speeds.grid("float32", quick=True, watch=watch),
    ],
)
def test_a_stage_asks_whether_it_is_too_late(stage):
    with pytest.raises(OutOfTime):
        next(stage(Stopwatch(shortest=0.0, until=-math.inf)))


def test_parts_of_a_stage_ask_one_by_one(monkeypatch):
    """The second part of two finds that it is too late; what is left of the first is free."""
    watch = Stopwatch(shortest=0.0)
    monkeypatch.setattr(kernel_errors, "_parts", lambda: iter([iter("ab"), iter("c")]))
    asked = []

    def begin(self):
        asked.append(self)
        if len(asked) == 2:
            raise OutOfTime

    monkeypatch.setattr(Stopwatch, "begin", begin)
    found = []
    with pytest.raises(OutOfTime):
        found.extend(kernel_errors.findings(watch))
    assert found == ["a", "b"]
    assert asked == [watch, watch]


@pytest.mark.parametrize("shape", REAL)
def test_frames_are_padded_as_the_grid_pads_them_and_no_utterance_is_padding(shape):
    lengths = np.full(shape.utterances, shape.frames, np.int32)
    assert {padded for _, padded in language_states.device_shapes(lengths, 1)} == {shape.padded}
    users = shape.utterances, shape.utterances
    size = pair_table.sizes(users, shape.padded, shape.padded, None)
    assert shape.utterances % size.block == shape.utterances % size.scan == 0
    if shape.frames == 1500:
        assert shape.utterances == 64


def test_an_operand_knows_its_frames_in_use():
    shape = kernel_speeds.Shape(4, 3, 5, 8)
    made = kernel_speeds._operand(kernel_speeds._frames(1, shape, "float16"), shape)
    assert made.parts[0].shape == (3, 8, 4)
    np.testing.assert_array_equal(made.used, [5, 5, 5])
    np.testing.assert_array_equal(np.asarray(made.inverse) > 0, [[True] * 5 + [False] * 3] * 3)


def test_a_shape_that_fails_costs_no_other(monkeypatch):
    """Where memory is short of the longest utterances; nothing real is computed."""

    def frames(seed, shape, dtype):
        if shape.frames == 1500:
            raise MemoryError("the device is full")
        return np.ones((1, 2, 2), dtype)

    monkeypatch.setattr(kernel_speeds, "_frames", frames)
    monkeypatch.setattr(kernel_speeds, "_operand", lambda side, shape: side)
    ones = dict.fromkeys(("precision", "recall"), np.ones((1, 1)))
    monkeypatch.setattr(kernel_speeds, "_scores", lambda x, y, measures: ones)
    found = list(kernel_speeds.seqsim("float32", PRODUCT, quick=False, watch=WATCH))
    expected = []
    for features, wanted in ((512, 0.5), (768, 0.65), (1280, 0.65)):
        for title in (f"{features} features x 300 frames", f"{features} features x 600 frames"):
            expected += [(title, wanted), (f"error, {title}", None)]
        expected.append((f"{features} features x 1500 frames: failed", None))
    assert [(one.name, one.wanted) for one in found] == expected
    wrong = [one for one in found if one.wrong]
    assert len(wrong) == 3
    assert {one.note for one in wrong} == {"MemoryError: the device is full"}


def test_a_form_of_attention_that_fails_costs_no_other(monkeypatch):
    """A GPU of 12 GB, where dense has fewer rows, without cuDNN; nothing real is computed."""

    def random(size, device, form):
        if form == "cudnn":
            raise RuntimeError("cuDNN is missing")
        if (size.features, form) == (768, "blocks"):
            raise MemoryError("the device is full")
        return form, None

    # What a form returns depends on the waveforms alone, as it should.
    monkeypatch.setattr(encoder_speeds, "_random", random)
    monkeypatch.setattr(encoder_speeds, "_run", lambda graph: lambda weights, mel: mel[None, :, :3])
    monkeypatch.setattr(encoder_speeds.devices, "memory", lambda: 12 * 10**9)
    found = list(encoder_speeds.speeds("gpu", PRODUCT, quick=False, watch=WATCH))
    assert [(one.name, one.wanted) for one in found] == [
        ("base, all states, 16 windows, blocks attention", 0.5),
        ("base, all states, 16 windows, dense attention", None),
        ("base, last state, dense from blocks attention", None),
        ("base, cudnn attention: failed", None),
        ("small, blocks attention: failed", None),
        ("small, all states, 16 windows, dense attention", None),
        ("small, cudnn attention: failed", None),
        ("large-v2, all states, 16 windows, blocks attention", 0.5),
        ("large-v2, all states, 8 windows, dense attention", None),
        ("large-v2, last state, dense from blocks attention", None),
        ("large-v2, cudnn attention: failed", None),
    ]
    assert {one.found for one in found if "last state" in one.name} == {0.0}
    assert [one.note for one in found if one.wrong] == [
        "RuntimeError: cuDNN is missing",
        "MemoryError: the device is full",
        "RuntimeError: cuDNN is missing",
        "RuntimeError: cuDNN is missing",
    ]


def test_the_grid_is_timed_and_checked_on_frames_that_carry_a_mean(monkeypatch):
    """About as long as what is left of them, so that a wrong correction of products shows."""
    placed = []

    class Enough(Exception):
        pass

    def taken(scorers, couples, languages):
        assert all(isinstance(scores, DeviceScores) for scores in scorers)
        assert set(couples) == set(itertools.combinations(range(4), 2))
        placed.extend(np.concatenate(language).astype(np.float64) for language in languages)
        raise Enough

    monkeypatch.setattr(grid_speeds, "_scores", taken)
    with pytest.raises(Enough):
        list(grid_speeds.grid("float16", quick=True, watch=WATCH))
    assert len(placed) == 4
    for frames in placed:
        mean = frames.mean(axis=0)
        assert 0.5 < np.linalg.norm(mean) / np.linalg.norm(frames - mean, axis=1).mean() < 2
    assert all(np.linalg.norm(a.mean(0) - b.mean(0)) > 1 for a, b in itertools.combinations(placed, 2))


@pytest.mark.deep
def test_a_wrong_kernel_is_found(monkeypatch):
    """Scores off by a little, means not taken out of products, other pairs than those chosen."""
    right, of_operands = frame_scores.frame_scores, frame_scores.operand_scores
    chosen = kernel_errors._chosen_transport

    def off(*given, implementation, **options):
        if implementation == "xla_bfloat16":
            return right(*given, implementation="xla", **options)
        scores = right(*given, implementation=implementation, **options)
        return {name: matrix + np.float32(1e-4) for name, matrix in scores.items()}

    def uncorrected(x, y, **options):
        return of_operands(*(side._replace(mean=None) for side in (x, y)), **options)

    monkeypatch.setattr(kernel_errors.frame_scores, "frame_scores", off)
    monkeypatch.setattr(kernel_errors.frame_scores, "operand_scores", uncorrected)
    monkeypatch.setattr(
        kernel_errors, "_chosen_transport", lambda x, y, u, v: chosen(x, y, jnp.flip(u), jnp.flip(v))
    )
    bad = {one.name for one in kernel_errors.findings(WATCH) if one.wrong}
    scores = frame_scores.MEASURES[:-1]  # transport's error is all but 0 where its iterations end
    for kind in ("float16 frames", "float32 frames"):
        assert {f"seqsim, {kind}", f"precision, {kind}"} <= bad
        assert {f"{name}, {kind} rounded to bfloat16" for name in scores} <= bad
        assert {f"transport of chosen pairs, {kind}{less}" for less in ("", " less their means")} <= bad
    assert {f"{name}, float16 frames less their means" for name in scores} <= bad
    # Of float32 frames the mean is taken out before they are split.
    assert "seqsim, float32 frames less their means" not in bad
    assert "meanpool" not in bad
