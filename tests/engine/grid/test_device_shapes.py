"""Shapes of groups and scans on devices, and the grid's program: what it multiplies, what it holds."""

import functools
import itertools
import re

import jax
import numpy as np
import pytest

from isogloss.engine.activations import language_states
from isogloss.engine.bench.data import fleurs_frames
from isogloss.engine.grid import scorers
from isogloss.engine.grid.device_scores import DeviceScores
from isogloss.kernels import operands, pair_table

D = 8
GB = 10**9


def program(count, held):
    """The grid's program of SeqSim and DTW on so many devices."""
    some = tuple(jax.local_devices()[:count])
    return DeviceScores(("seqsim", "precision", "recall", "dtw"), "xla", scan_bytes=held, devices=some)._score


@pytest.mark.parametrize(("memory", "held"), [(60 * GB, 12.5e9), (12 * GB, 3.6e9), (None, 1e9)])
def test_the_memory_of_a_scan_follows_the_device(monkeypatch, memory, held):
    monkeypatch.setattr(scorers.devices, "memory", lambda: memory)
    assert scorers.scan_bytes(0.0) == held
    assert scorers.scan_bytes(2.5) == 2.5e9


@pytest.mark.parametrize("devices", [1, 8])
def test_languages_of_any_sizes_have_few_shapes(devices):
    """At most 18 squared of 102 languages of 250 to 420 utterances as long as FLEURS's; of any, 54 squared.

    Each of 18 padded lengths has a full group and, where it is the shortest, 8, 16 or 32 utterances.
    """
    rng = np.random.default_rng(0)
    shapes = [
        set(language_states.device_shapes(fleurs_frames(count, rng), devices))
        for count in rng.integers(250, 421, 102).tolist()
    ]
    assert len(set.union(*shapes)) <= 18
    small = [rng.integers(1, 1501, count, np.int32) for count in range(1, 400)]
    assert len({shape for frames in small for shape in language_states.device_shapes(frames, devices)}) <= 54


def test_rows_and_frames_that_fill_groups():
    """Of FLEURS's lengths a quarter; groups hold all utterances, none in two, whatever the devices are."""
    rng = np.random.default_rng(1)
    padded = total = 0
    for count in rng.integers(250, 421, 50).tolist():
        frames = fleurs_frames(count, rng)
        groups = language_states.device_groups(frames)
        assert sorted(np.concatenate(groups)) == list(range(count))
        shapes = language_states.device_shapes(frames, 1)
        assert all(u >= len(w) and n >= frames[w].max() for w, (u, n) in zip(groups, shapes, strict=True))
        assert all(u % 6 == 0 for u, _ in language_states.device_shapes(frames, 6))
        padded, total = padded + sum(u * n for u, n in shapes), total + frames.sum()
    assert padded <= 1.25 * total


def test_a_step_of_dtw_has_a_million_cells_on_a_large_device(monkeypatch):
    """Of full groups of two lengths from 10 s on or of like length; half of it from 5 s, and of the longest.

    Its distances fit the memory and 32 bits. A whole table is one scan where it does.
    """
    monkeypatch.setattr(scorers.devices, "memory", lambda: 60 * GB)
    held = min(scorers.scan_bytes(0.0), 4 * (2**31 - 1))
    ends = range(language_states.STEP, 1536 + 1, language_states.STEP)
    lengths = sorted({language_states.device_shapes(np.int32([n]), 1)[0][1] for n in ends})
    assert len(lengths) == 18
    for n, m in itertools.product(lengths, lengths):
        users = [language_states.device_shapes(np.full(1000, k, np.int32), 1)[-1][0] for k in (n, m)]
        size = pair_table.sizes(tuple(users), n, m, held)
        pairs = size.scan * size.blocks * size.block
        assert 4 * pairs * n * m <= held
        whole = 4 * users[0] * users[1] * n * m <= held
        assert pairs >= users[0] * users[1] or not whole
        if n == m or min(n, m) >= 256:
            million = whole and (n == m or min(n, m) >= 512)
            assert pairs * n >= 1 << (20 if million else 19), (n, m, size)


def operand_shapes(utterances, frames, form, dtype=np.float16):
    """Shapes of a group on devices; nothing is allocated."""
    given = (
        jax.ShapeDtypeStruct((utterances, frames, D), dtype),
        jax.ShapeDtypeStruct((utterances,), np.int32),
    )
    return jax.eval_shape(functools.partial(operands.operand, mean=None, form=form), *given)


@pytest.mark.parametrize(
    ("utterances", "frames", "blocks"),
    [
        (64, 704, 2),
        *(pytest.param(*c, marks=pytest.mark.deep) for c in ((64, 768, 2), (128, 192, 1), (32, 1536, 1))),
    ],
)
def test_distances_of_a_scan_are_in_memory_once(utterances, frames, blocks):
    """By XLA's count of the grid's program for full groups, with one block of B or two in a scan."""
    held = 12_500_000_000
    size = pair_table.sizes((utterances, utterances), frames, frames, held)
    assert size.blocks == blocks
    side = operand_shapes(utterances, frames, "stored")
    distances = 4 * size.scan * size.blocks * size.block * frames**2
    found = program(1, held).lower(side, side).compile().memory_analysis().temp_size_in_bytes
    assert distances <= found < 1.25 * distances


@pytest.mark.parametrize("platform", ["cuda", "tpu"])
@pytest.mark.parametrize("count", [1, 8])
def test_the_program_of_the_grid_multiplies_16_bits_alone(platform, count):
    """The program itself, for its devices: every product takes 16 bits and gives 32."""
    form = operands.form_for(platform, np.dtype(np.float16), "xla")
    side = operand_shapes(8 * count, 64, form)
    text = jax.export.export(program(count, GB), platforms=[platform])(side, side).mlir_module()
    found = re.findall(r"dot_general .*: \(tensor<\S+x(\w+)>, tensor<\S+x(\w+)>\) -> tensor<\S+x(\w+)>", text)
    short, times = ("bf16", 4) if platform == "tpu" else ("f16", 1)
    assert found == [(short, short, "f32")] * times
    assert text.count("stablehlo.dot") == times


def test_a_scan_has_the_blocks_that_memory_allows():
    """Three blocks of 32 utterances of 512 frames; a scan of one product where memory allows none."""
    product = 4 * 512 * 512 * 32  # bytes, of one utterance of A with a block
    sizes = {n: pair_table.sizes((3, 70), 512, 512, n * product) for n in (0, 1, 2, 3, 6, 9, 100)}
    assert {n: (size.scan, size.blocks) for n, size in sizes.items()} == {
        0: (1, 1), 1: (1, 1), 2: (1, 2), 3: (1, 3), 6: (2, 3), 9: (3, 3), 100: (3, 3),
    }  # fmt: skip
    # 40,000 pairs of 512 frames would be 10^10 distances: more than an index of 32 bits can name.
    huge = pair_table.sizes((200, 200), 512, 512, 10**12)
    assert huge.scan * huge.blocks * huge.block * 512 * 512 < 2**31
