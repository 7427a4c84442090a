"""The Pallas kernels are there, take any blocks, and lower for a GPU that isn't there.

That they are right, test_seqsim.py, test_frame_scores.py and test_dtw.py ask of every implementation.
"""

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.spatial

from isogloss.kernels import block_sizes, dtw_pallas, frame_scores_pallas

INTEGERS = functools.partial(jax.ShapeDtypeStruct, dtype=jnp.int32)


def scores_of(blocks, dtype=jnp.bfloat16, features=1280, **options):
    """Traceable call of the cosine kernel for a batch as the grid makes it, and its arguments."""
    frames = jax.ShapeDtypeStruct((4, 700, features), dtype)
    options = {"maxima": True, "dtw": True, **options}
    call = functools.partial(frame_scores_pallas.frame_scores, blocks=blocks, **options)
    return jax.jit(call), (frames, INTEGERS((4,)), frames, INTEGERS((4,)))


def costs_of(blocks, method=dtw_pallas.dtw_cost, **options):
    distances = jax.ShapeDtypeStruct((40, 300, 300), jnp.float32)
    call = functools.partial(method, blocks=blocks, **options)
    return jax.jit(call), (distances, INTEGERS((40,)), INTEGERS((40,)))


def for_gpu(call, arguments):
    """Text of the program as lowered for CUDA."""
    if jax.__version_info__ >= (0, 11):
        pytest.skip("this JAX lowers Triton's kernels only beside its CUDA plugin")
    return call.trace(*arguments).lower(lowering_platforms=("cuda",)).as_text()


@pytest.mark.parametrize(
    ("made", "options", "count"),
    [
        (scores_of, {}, 2),
        (scores_of, {"dtw": False}, 1),
        (costs_of, {}, 1),
        (costs_of, {"method": dtw_pallas.dtw_path}, 1),
    ],
)
def test_programs_call_the_kernels(made, options, count):
    call, arguments = made(block_sizes.OTHER, **options)
    assert str(call.trace(*arguments).jaxpr).count("pallas_call[") == count


@pytest.mark.filterwarnings("ignore:The Pallas Triton backend is deprecated")
class TestLowering:
    """Ahead of time, without a GPU: Triton's own language comes out, all of it in one program."""

    def test_scores(self):
        text = for_gpu(*scores_of(block_sizes.blocks("NVIDIA H200")))
        assert text.count("__gpu$xla.gpu.triton") == 2
        assert "isogloss_cosine_tiles" in text
        assert "isogloss_dtw_strips" in text

    @pytest.mark.parametrize(
        ("dtype", "features"), [(jnp.float16, 384), (jnp.float16, 512), (jnp.float32, 768)]
    )
    def test_types(self, dtype, features):
        call = scores_of(block_sizes.OTHER, dtype, features, dtw=False)
        assert for_gpu(*call).count("__gpu$xla.gpu.triton") == 1

    @pytest.mark.parametrize("tile", block_sizes.TILES, ids=str)
    def test_candidates(self, tile):
        blocks = dataclasses.replace(block_sizes.OTHER, tile=tile)
        assert for_gpu(*scores_of(blocks, dtw=False)).count("__gpu$xla.gpu.triton") == 1

    def test_path_within_a_band(self):
        strip = block_sizes.Strip(rows=32, columns=2, lanes=64)
        blocks = dataclasses.replace(block_sizes.OTHER, strip=strip)
        assert "isogloss_dtw_strips" in for_gpu(*costs_of(blocks, dtw_pallas.dtw_path, band=30))


def test_cosines_stay_on_the_chip():
    """Without DTW no value of the program has both an axis of N and one of M beside the pairs."""
    call, arguments = scores_of(block_sizes.OTHER, dtw=False)
    text = str(call.trace(*arguments).jaxpr)
    assert "f32[4,4,6,768]" in text  # the column maxima of 6 blocks of rows
    assert "768,768]" not in text


@pytest.mark.parametrize(
    "tile",
    [
        block_sizes.Tile(rows=32, columns=16, depth=128, warps=4, stages=2),
        block_sizes.Tile(rows=16, columns=64, depth=64, warps=1, stages=1),
    ],
)
def test_any_tile(tile):
    rng = np.random.default_rng(0)
    x, n = rng.standard_normal((2, 45, 40)).astype(np.float32), np.int32([45, 31])
    y, m = rng.standard_normal((3, 70, 40)).astype(np.float32), np.int32([65, 16, 1])
    blocks = dataclasses.replace(block_sizes.INTERPRETED, tile=tile)
    given = {"maxima": True, "dtw": False, "blocks": blocks, "interpret": True}
    precision, recall, cost = frame_scores_pallas.frame_scores(x, n, y, m, **given)
    for u, v in itertools.product(range(2), range(3)):
        c = 1 - scipy.spatial.distance.cdist(x[u, : n[u]], y[v, : m[v]], "cosine")
        np.testing.assert_allclose(precision[u, v], c.max(axis=1).mean(), rtol=0, atol=40 * 2**-22)
        np.testing.assert_allclose(recall[u, v], c.max(axis=0).mean(), rtol=0, atol=40 * 2**-22)
    assert np.isnan(cost).all()


def test_slabs_do_not_matter(monkeypatch):
    """The same bits however many utterances of A share the memory of the distances."""
    rng = np.random.default_rng(1)
    x, n = rng.standard_normal((5, 9, 8)).astype(np.float16), np.int32([9, 1, 5, 8, 2])
    given = {"maxima": True, "dtw": True, "blocks": block_sizes.INTERPRETED, "interpret": True}
    whole = frame_scores_pallas.frame_scores(x, n, x, n, **given)
    monkeypatch.setattr(frame_scores_pallas, "_SLAB", 2 * 5 * 16 * 16)
    frame_scores_pallas.frame_scores.clear_cache()
    for ours, theirs in zip(frame_scores_pallas.frame_scores(x, n, x, n, **given), whole, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    frame_scores_pallas.frame_scores.clear_cache()


def test_blocks_fit_their_gpus():
    for kind, blocks in block_sizes.TABLE.items():
        assert blocks.tile.shared_bytes <= (163 if "A100" in kind else 227) * 1024
        assert blocks.tile.registers <= 128
    assert block_sizes.blocks("a GPU that nobody has heard of") == block_sizes.OTHER
    assert block_sizes.OTHER.tile.shared_bytes <= 99 * 1024
    assert all(tile.shared_bytes <= 227 * 1024 and tile.registers <= 128 for tile in block_sizes.TILES)
