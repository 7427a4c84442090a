"""kernels.frame_scores: DTW, transport and F1 from the cosine tile, what it refuses.

Its precision and recall pass the test class of SeqSim, in test_seqsim.py.
"""

import concurrent.futures

import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, strategies as st

from isogloss.kernels import dtw, frame_scores, frame_transport, operands, reference
from ragged_batches import EPS, cosines, padded, utterances

U, N, D = 3, 6, 4  # one padded shape, that of test_seqsim.py, so that few programs are compiled
some = utterances(N, D, st.integers(0, 2))


def batch(seed):
    rng = np.random.default_rng(seed)
    return padded([rng.standard_normal((n, D)).astype(np.float32) for n in rng.integers(1, N + 1, U)], N)


def scored(x, n, y, m, implementation, measures=frame_scores.MEASURES, **options):
    options |= {"measures": measures, "implementation": implementation}
    return frame_scores.frame_scores(x, n, y, m, **options)


def check(got, xs, ys, normalise="none"):
    """A cosine is off by 2 D + 4 roundings.

    A path of s steps adds up s of them and rounds s times a sum of at most 2 s; the cheapest path changes no
    more than that. Divided, it is off by less. An iteration of transport is off by what errors of cosines and
    sums of a row change, and later ones forget most of it.
    """
    for u, a in enumerate(xs):
        for v, b in enumerate(ys):
            c = cosines(a, b)
            steps, off = len(a) + len(b), (2 * a.shape[1] + 4) * EPS
            cost = reference.dtw_cost(1 - c, normalise)
            assert abs(got["dtw"][u, v] - cost) <= steps * (off + 2 * steps * EPS)
            assert abs(got["precision"][u, v] - c.max(axis=1).mean()) <= off + steps * EPS
            assert abs(got["recall"][u, v] - c.max(axis=0).mean()) <= off + steps * EPS
    for k, (a, b) in enumerate(zip(xs, ys, strict=False)):  # the reference takes 40 rounds of loops
        moved = 4 * off / frame_transport.EPSILON + frame_transport.ITERATIONS * (len(a) + len(b)) * EPS
        for name, value in zip(frame_scores.TRANSPORT, reference.transport(1 - cosines(a, b)), strict=True):
            assert abs(got[name][k, k] - value) <= moved
    assert all(scores.dtype == np.float32 for scores in got.values())
    p, r = got["precision"].astype(float), got["recall"].astype(float)
    f1 = [[reference.f1(a, b) for a, b in zip(*rows, strict=True)] for rows in zip(p, r, strict=True)]
    np.testing.assert_allclose(got["seqsim"], f1, rtol=4 * EPS)


@given(some, some)
def test_cosines_equal_reference(xs, ys):
    np.testing.assert_allclose(cosines(xs[0], ys[0]), reference.cosines(xs[0], ys[0]), atol=1e-15)


@pytest.mark.parametrize("implementation", ["xla", "numba"])  # those with DTW
class TestScores:
    @given(some, some)
    def test_small_integers(self, implementation, xs, ys):
        check(scored(*padded(xs, N), *padded(ys, N), implementation), xs, ys)

    @pytest.mark.parametrize("normalise", dtw.NORMALISATIONS)
    def test_dtw_divided(self, implementation, normalise):
        """The cheapest path of random floats is one, so both count the same cells."""
        x, n = batch(8)
        y, m = batch(9)
        xs, ys = ([frames[:k] for frames, k in zip(*side, strict=True)] for side in ((x, n), (y, m)))
        check(scored(x, n, y, m, implementation, dtw_normalise=normalise), xs, ys, normalise)

    def test_more_than_a_block_alone_or_among_others(self, implementation):
        rng, normalise = np.random.default_rng(0), "path_length"
        xs = [rng.standard_normal((n, 3)).astype(np.float32) for n in (1, 60)]
        ys = [rng.standard_normal((1 + v % 11, 3)).astype(np.float32) for v in range(70)]
        (x, n), (y, m) = padded(xs, 60), padded(ys, 60)
        together = scored(x, n, y, m, implementation, dtw_normalise=normalise)
        check(together, xs, ys, normalise)
        for u, v in [(0, 0), (1, 69), (1, 17)]:
            pair = x[u : u + 1], n[u : u + 1], y[v : v + 1], m[v : v + 1]
            for measure, alone in scored(*pair, implementation, dtw_normalise=normalise).items():
                assert alone[0, 0] == together[measure][u, v]

    def test_measures_do_not_disturb_each_other(self, implementation):
        given = *batch(2), *batch(3)
        everything = scored(*given, implementation)
        assert list(everything) == list(frame_scores.MEASURES)
        for measure in frame_scores.MEASURES:
            alone = scored(*given, implementation, [measure])
            assert list(alone) == [measure]
            np.testing.assert_array_equal(alone[measure], everything[measure])
            assert np.isfinite(alone[measure]).all()

    def test_frame_in_use_that_is_not_finite(self, implementation):
        x = np.ones((U, N, D), np.float32)
        x[1, 1, 0] = np.nan
        full = np.full(U, N, np.int32)
        for scores in scored(x, full, x, full, implementation).values():
            np.testing.assert_array_equal(np.isnan(scores), [[0, 1, 0], [1, 1, 1], [0, 1, 0]])

    @pytest.mark.parametrize("given_as", [np.asfortranarray, jnp.array], ids=["Fortran", "JAX"])
    def test_order_in_memory_and_library_change_nothing(self, implementation, given_as):
        x, n = batch(4)
        expected = scored(x, n, x, n, implementation)
        for measure, scores in scored(given_as(x), n, given_as(x), n, implementation).items():
            np.testing.assert_array_equal(scores, expected[measure])

    def test_from_several_threads(self, implementation):
        """A conductor may score the next chunk while the last one is written."""
        given = *batch(5), *batch(6)
        expected = scored(*given, implementation)
        with concurrent.futures.ThreadPoolExecutor(3) as threads:
            results = [threads.submit(scored, *given, implementation) for _ in range(6)]
        for result in results:
            for measure, scores in result.result().items():
                np.testing.assert_array_equal(scores, expected[measure])

    @pytest.mark.parametrize("bad", [-1, 0, 4])
    def test_impossible_lengths_raise(self, implementation, bad):
        x, good = np.ones((2, 3, D), np.float32), np.int32([3, 1])
        with pytest.raises(ValueError, match=rf"\[1, 3\].*n\[1\] is {bad}"):
            scored(x, np.int32([2, bad]), x, good, implementation)
        with pytest.raises(ValueError, match=rf"\[1, 3\].*m\[0\] is {bad}"):
            scored(x, good, x, np.int32([bad, 2]), implementation)


class TestNumba:
    """Sixteen frames to a block, eight blocks and slivers to a tile, 96 features at a time."""

    def test_edges_of_blocks_and_tiles(self):
        rng = np.random.default_rng(5)
        xs = [rng.standard_normal((n, 97)).astype(np.float32) for n in (1, 15, 57, 113)]
        ys = [rng.standard_normal((m, 97)).astype(np.float32) for m in (16, 17, 129)]
        check(scored(*padded(xs, 129), *padded(ys, 129), "numba"), xs, ys)

    def test_neighbours_in_a_block_change_no_bit(self):
        """Where maxima alone are wanted, utterances share blocks: with NaN, too, and with numbers near 0."""
        rng = np.random.default_rng(7)
        xs, ys = ([rng.standard_normal((n, 33)).astype(np.float32) for n in lengths] for lengths in (
            (20, 3), (5, 6, 2, 1, 30, 700, 400, 9, 16)
        ))  # fmt: skip
        ys[1][2, 3], ys[3] = np.nan, ys[3] * np.float32(1e-41)
        (x, n), (y, m) = padded(xs, 20), padded(ys, 700)
        measures = "precision", "recall"
        together = scored(x, n, y, m, "numba", measures)
        with_distances = scored(x, n, y, m, "numba")
        for measure in measures:
            np.testing.assert_array_equal(with_distances[measure], together[measure])
            assert np.isnan(together[measure]).sum() == 2
            for v in range(len(ys)):
                alone = scored(x, n, y[v : v + 1], m[v : v + 1], "numba", measures)[measure][:, 0]
                np.testing.assert_array_equal(alone, together[measure][:, v])

    def test_long_ones_alone_or_among_others(self):
        rng = np.random.default_rng(6)
        xs, ys = ([rng.standard_normal((n, 40)) for n in lengths] for lengths in ((300, 5), (259, 1, 143)))
        (x, n), (y, m) = padded(xs, 300), padded(ys, 300)
        together = scored(x, n, y, m, "numba")
        for u in range(2):
            for v in range(3):
                pair = x[u : u + 1], n[u : u + 1], y[v : v + 1], m[v : v + 1]
                for measure, alone in scored(*pair, "numba").items():
                    assert alone[0, 0] == together[measure][u, v]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"implementation": "cuda"}, "'cuda'"),
        ({"measures": ("seqsim", "meanpool")}, "meanpool"),
        ({"measures": ()}, "at least one"),
        ({"implementation": "numba_int8"}, "no dtw"),
        ({"implementation": "numba_int8", "measures": ("transport",)}, "no transport"),
        ({"dtw_normalise": "steps"}, "'steps'"),
        ({"y": np.ones((2, 3, D + 1), np.float32)}, "4 features and B 5"),
        ({side: np.ones((2, 3, 0), np.float32) for side in "xy"}, "no features"),
    ],
)
def test_nonsense_raises(change, message):
    x, n = np.ones((2, 3, D), np.float32), np.int32([3, 1])
    good = {"x": x, "n": n, "y": x, "m": n, "measures": ("dtw",), "implementation": "xla"}
    with pytest.raises(ValueError, match=message):
        frame_scores.frame_scores(**(good | change))


class TestTransportOfChosenPairs:
    """The same as transport of all pairs where it is asked for."""

    given = *batch(2), *batch(3)
    among = np.array([[True, False, True], [False] * 3, [False, True, False]])

    def expected(self, implementation):
        found = scored(*self.given, implementation, frame_scores.TRANSPORT)
        return {name: np.where(self.among, matrix, np.nan) for name, matrix in found.items()}

    def test_on_this_machine(self):
        found = frame_scores.transport_among(*self.given, self.among)
        for name, matrix in self.expected("numba").items():
            np.testing.assert_array_equal(found[name], matrix)

    @pytest.mark.deep  # compiles two programs
    def test_on_devices(self):
        x, n, y, m = self.given
        left, right = (
            operands.operand(jnp.asarray(frames), jnp.asarray(used), None, form="split")
            for frames, used in ((x, n), (y, m))
        )
        u, v = (jnp.asarray(index, jnp.int32) for index in np.nonzero(self.among))
        found = frame_scores.chosen_transport(left, right, u, v)
        for name, matrix in self.expected("xla").items():
            np.testing.assert_allclose(found[name], matrix[self.among], rtol=0, atol=1e-6)


def test_default_implementation():
    assert frame_scores.default_implementation("cpu") == "numba"
    assert {frame_scores.default_implementation(p) for p in ("gpu", "cuda", "tpu")} == {"xla"}
