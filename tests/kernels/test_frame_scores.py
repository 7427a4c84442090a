"""kernels.frame_scores: DTW and F1 from the cosine tile, what it refuses, what it costs to import.

Its precision and recall pass the test class of SeqSim, in test_seqsim.py.
"""

import concurrent.futures
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings, strategies as st
from hypothesis.extra.numpy import arrays

from isogloss.kernels import frame_scores, reference

EPS = float(np.finfo(np.float32).eps)
D = 4
EXACT = [name for name in frame_scores.IMPLEMENTATIONS if "int8" not in name]  # test_seqsim_int8.py has that
IMPLEMENTATIONS = pytest.mark.parametrize("implementation", EXACT)


def chosen(implementation):
    """Arguments that name an implementation; Pallas kernels run interpreted."""
    return {"implementation": implementation, "interpret": implementation == "pallas"}


def padded(frames, longest, dtype=np.float32):
    out = np.full((len(frames), longest, frames[0].shape[1]), np.nan, dtype)
    for u, x in enumerate(frames):
        out[u, : len(x)] = x
    return out, np.array([len(x) for x in frames], np.int32)


def batch(rng, utterances, longest, features, dtype=np.float32):
    frames = [rng.standard_normal((n, features)) for n in rng.integers(1, longest + 1, utterances)]
    return padded(frames, longest, dtype)


@IMPLEMENTATIONS
class TestScores:
    def check(self, xs, ys, longest, implementation):
        x, n = padded(xs, longest)
        y, m = padded(ys, longest)
        got = frame_scores.frame_scores(x, n, y, m, measures=frame_scores.MEASURES, **chosen(implementation))
        for u, a in enumerate(xs):
            for v, b in enumerate(ys):
                precision, recall = reference.seqsim(a, b)
                steps = len(a) + len(b)
                cost = reference.dtw_cost(1 - reference.cosines(a, b))
                # A cosine is off by 2 D + 4 roundings. A path of s steps adds up s of them and
                # rounds s times a sum of at most 2 s; the cheapest path changes no more than that.
                off = (2 * a.shape[1] + 4) * EPS
                assert abs(got["dtw"][u, v] - cost) <= steps * (off + 2 * steps * EPS)
                assert abs(got["precision"][u, v] - precision) <= off + steps * EPS
                assert abs(got["recall"][u, v] - recall) <= off + steps * EPS
        assert all(scores.dtype == np.float32 for scores in got.values())
        p, r = got["precision"].astype(float), got["recall"].astype(float)
        f1 = [[reference.f1(a, b) for a, b in zip(*rows, strict=True)] for rows in zip(p, r, strict=True)]
        np.testing.assert_allclose(got["seqsim"], f1, rtol=4 * EPS)

    @settings(max_examples=30)
    @given(
        st.lists(
            arrays(np.float32, st.tuples(st.integers(1, 5), st.just(D)), elements=st.integers(0, 2)),
            min_size=2,
            max_size=2,
        ),
        st.lists(
            arrays(np.float32, st.tuples(st.integers(1, 5), st.just(D)), elements=st.integers(0, 2)),
            min_size=3,
            max_size=3,
        ),
    )
    def test_small_integers(self, implementation, xs, ys):
        self.check(xs, ys, 5, implementation)

    def test_more_than_a_tile_and_a_block(self, implementation):
        rng = np.random.default_rng(0)
        xs = [rng.standard_normal((n, 3)) for n in (1, 60)]
        ys = [rng.standard_normal((1 + v % 11, 3)) for v in range(70)]
        self.check(xs, ys, 60, implementation)

    def test_edges_of_blocks_and_tiles(self, implementation):
        """Sixteen frames to a block, eight blocks and slivers to a tile, 96 features at a time."""
        if implementation == "pallas":
            pytest.skip("its blocks are others, and interpreted it takes minutes")
        rng = np.random.default_rng(5)
        xs = [rng.standard_normal((n, 97)) for n in (1, 15, 57, 113)]
        ys = [rng.standard_normal((m, 97)) for m in (16, 17, 129)]
        self.check(xs, ys, 129, implementation)

    def test_long_ones_alone_or_among_others(self, implementation):
        if implementation == "pallas":
            pytest.skip("test_seqsim.py has it, within a bound")
        rng = np.random.default_rng(6)
        xs, ys = ([rng.standard_normal((n, 40)) for n in lengths] for lengths in ((300, 5), (259, 1, 143)))
        (x, n), (y, m) = padded(xs, 300), padded(ys, 300)
        options = {"measures": frame_scores.MEASURES, **chosen(implementation)}
        together = frame_scores.frame_scores(x, n, y, m, **options)
        for u in range(2):
            for v in range(3):
                pair = x[u : u + 1], n[u : u + 1], y[v : v + 1], m[v : v + 1]
                for measure, alone in frame_scores.frame_scores(*pair, **options).items():
                    assert alone[0, 0] == together[measure][u, v]

    def test_dtw_alone_or_among_others(self, implementation):
        rng = np.random.default_rng(1)
        x, n = batch(rng, 3, 65, 64)
        y, m = batch(rng, 70, 65, 64)
        options = {"measures": ("dtw",), **chosen(implementation)}
        together = frame_scores.frame_scores(x, n, y, m, **options)["dtw"]
        for u, v in [(0, 0), (1, 69), (2, 17)]:
            pair = slice(u, u + 1), slice(v, v + 1)
            alone = frame_scores.frame_scores(x[pair[0]], n[pair[0]], y[pair[1]], m[pair[1]], **options)
            assert alone["dtw"][0, 0] == together[u, v]

    def test_measures_do_not_disturb_each_other(self, implementation):
        rng = np.random.default_rng(2)
        x, n = batch(rng, 4, 20, 8, np.float16)
        y, m = batch(rng, 5, 20, 8, np.float16)
        options = chosen(implementation)
        everything = frame_scores.frame_scores(x, n, y, m, measures=frame_scores.MEASURES, **options)
        assert list(everything) == list(frame_scores.MEASURES)
        for measure in frame_scores.MEASURES:
            alone = frame_scores.frame_scores(x, n, y, m, measures=[measure], **options)
            assert list(alone) == [measure]
            np.testing.assert_array_equal(alone[measure], everything[measure])
            assert np.isfinite(alone[measure]).all()

    def test_frame_in_use_that_is_not_finite(self, implementation):
        x = np.ones((2, 3, D), np.float32)
        x[1, 1, 0] = np.nan
        full = np.int32([3, 3])
        got = frame_scores.frame_scores(
            x, full, x, full, measures=frame_scores.MEASURES, **chosen(implementation)
        )
        for scores in got.values():
            np.testing.assert_array_equal(np.isnan(scores), [[0, 1], [1, 1]])

    def test_order_in_memory_changes_nothing(self, implementation):
        rng = np.random.default_rng(7)
        x, n = batch(rng, 3, 20, 24)
        options = {"measures": frame_scores.MEASURES, **chosen(implementation)}
        expected = frame_scores.frame_scores(x, n, x, n, **options)
        turned = np.asfortranarray(x)
        for measure, scores in frame_scores.frame_scores(turned, n, turned, n, **options).items():
            np.testing.assert_array_equal(scores, expected[measure])

    def test_arrays_of_jax(self, implementation):
        rng = np.random.default_rng(4)
        x, n = batch(rng, 2, 9, 8)
        options = {"measures": ("seqsim", "dtw"), **chosen(implementation)}
        expected = frame_scores.frame_scores(x, n, x, n, **options)
        for measure, scores in frame_scores.frame_scores(jnp.array(x), n, jnp.array(x), n, **options).items():
            np.testing.assert_array_equal(scores, expected[measure])

    def test_from_several_threads(self, implementation):
        """A conductor may score the next chunk while the last one is written."""
        rng = np.random.default_rng(3)
        given = *batch(rng, 4, 20, 8), *batch(rng, 5, 20, 8)
        options = {"measures": ("seqsim", "dtw"), **chosen(implementation)}
        expected = frame_scores.frame_scores(*given, **options)
        with concurrent.futures.ThreadPoolExecutor(3) as threads:
            results = [threads.submit(frame_scores.frame_scores, *given, **options) for _ in range(6)]
        for result in results:
            for measure, scores in result.result().items():
                np.testing.assert_array_equal(scores, expected[measure])

    @pytest.mark.parametrize("bad", [-1, 0, 4])
    def test_impossible_lengths_raise(self, implementation, bad):
        x, good = np.ones((2, 3, D), np.float32), np.int32([3, 1])
        options = {"measures": ("dtw",), **chosen(implementation)}
        with pytest.raises(ValueError, match=rf"\[1, 3\].*n\[1\] is {bad}"):
            frame_scores.frame_scores(x, np.int32([2, bad]), x, good, **options)
        with pytest.raises(ValueError, match=rf"\[1, 3\].*m\[0\] is {bad}"):
            frame_scores.frame_scores(x, good, x, np.int32([bad, 2]), **options)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"implementation": "cuda"}, "'cuda'"),
        ({"measures": ("seqsim", "meanpool")}, "meanpool"),
        ({"measures": ()}, "at least one"),
        ({"implementation": "pallas"}, "needs a GPU"),
        ({"implementation": "numba_int8"}, "no dtw"),
        ({"implementation": "xla_int8"}, "no dtw"),
        ({"y": np.ones((2, 3, D + 1), np.float32)}, "4 features and B 5"),
    ],
)
def test_nonsense_raises(change, message):
    x, n = np.ones((2, 3, D), np.float32), np.int32([3, 1])
    good = {"x": x, "n": n, "y": x, "m": n, "measures": ("dtw",), "implementation": "xla"}
    with pytest.raises(ValueError, match=message):
        frame_scores.frame_scores(**(good | change))


def test_default_implementation():
    assert frame_scores.default_implementation("cpu") == "numba"
    assert {frame_scores.default_implementation(p) for p in ("gpu", "cuda", "tpu")} == {"xla"}


def test_imports_are_light_and_named_apart():
    """Numba only where asked for; and no top-level `kernels`, which transformers would import."""
    names = "frame_scores, dtw, pooling, reference, seqsim, seqsim_int8"
    heavy = "{'numba', 'jax.experimental.pallas', 'kernels', 'transformers', 'datasets', 'librosa'}"
    program = f"import sys; from isogloss.kernels import {names}; print({heavy} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"


def test_no_top_level_kernels_under_pytest():
    assert "kernels" not in sys.modules
