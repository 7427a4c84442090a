"""Errors of every XLA kernel on this device against its float64 definition, on small ragged batches.

Padding holds NaN. Bounds are those of the grid: 1e-5 of a score or of a cost; what is integer must be equal.
Frames are compared as they are, less the means of two languages, and rounded to bfloat16 where that is asked
for; then the definition is of the rounded frames, so that its bound is no wider.
"""

import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import DTypeLike
from jaxtyping import Array, Float, Float16, Float32, Float64, Int32

from isogloss.engine.bench import data, oracle
from isogloss.engine.bench.findings import Finding, Stopwatch
from isogloss.engine.whisper import log_mel
from isogloss.kernels import (
    alignment,
    alignment_reference,
    attribution,
    dtw,
    frame_scores,
    operands,
    pooling,
    reference,
    transport,
    word_match,
    word_reference,
)

BOUND = 1e-5
MAXIMA = ("precision", "recall")
_STAGE = "kernels against float64"
_WORDS = (((0, 1), (2, 4)), ((1, 2), (3, 3)))  # of A and of B, first and last frame


def findings(watch: Stopwatch) -> Iterator[Finding]:
    """One error of each kernel, the largest of its results."""
    for part in _parts():
        watch.begin()
        yield from part


def _parts() -> Iterator[Iterator[Finding]]:
    """Errors in parts; little of a part is computed before it is asked for."""
    random = data.rng(21)
    for dtype in (np.float16, np.float32):
        x = [random.standard_normal((n, 24)).astype(dtype) for n in (7, 12, 1, 30)]
        y = [random.standard_normal((m, 24)).astype(dtype) for m in (9, 5, 33)]
        kind = f"{np.dtype(dtype).name} frames"
        yield _frame_scores(x, y, kind)
        yield _chosen(_operand(x), _operand(y), x, y, kind)
        yield _less_means(random, dtype, kind)
        yield _rounded(random, dtype, kind)
    yield _frame_scores(_extreme(random, (3, 1)), _extreme(random, (2, 4)), "largest and subnormal frames")
    yield _pooling(x, y)
    yield _paths(random)
    yield _alignment(random)
    yield _words(random)
    yield _log_mel(random)


def _extreme(random: np.random.Generator, lengths: tuple[int, int]) -> list[Float16[np.ndarray, "_ D"]]:
    """Two utterances at the ends of float16's range, of the largest numbers and of subnormal ones alone."""
    limits, (few, others) = np.finfo(np.float16), lengths
    large = random.uniform(-1, 1, (few, 24)) * float(limits.max)
    small = random.integers(-9, 10, (others, 24)) * float(limits.smallest_subnormal)
    return [large.astype(np.float16), small.astype(np.float16)]


def _error(name: str, found: object, expected: object, *, relative: bool = False) -> Finding:
    """Largest difference of two arrays, over the largest value if relative; NaN where shapes differ."""
    a, b = np.asarray(found, np.float64), np.asarray(expected, np.float64)
    # A finding of NaN is wrong.
    error = float(np.abs(a - b).max(initial=0.0)) if a.shape == b.shape else float("nan")
    return Finding(
        stage=_STAGE, name=name, found=error / float(np.abs(b).max()) if relative else error, bound=BOUND
    )


def _padded(
    utterances: list[Float[np.ndarray, "_ D"]],
) -> tuple[Float[np.ndarray, "U N D"], Int32[np.ndarray, " U"]]:
    """Batch padded with NaN, and lengths."""
    lengths = np.asarray([len(frames) for frames in utterances], np.int32)
    shape = len(utterances), int(lengths.max()), utterances[0].shape[1]
    # A kernel that reads padding gives NaN, which exceeds every bound.
    padded = np.full(shape, np.nan, utterances[0].dtype)
    for row, frames in zip(padded, utterances, strict=True):
        row[: len(frames)] = frames
    return padded, lengths


def _frame_scores(x: list[np.ndarray], y: list[np.ndarray], kind: str) -> Iterator[Finding]:
    for normalise in dtw.NORMALISATIONS:
        c = [1 - reference.cosines(left, right) for left, right in itertools.product(x, y)]
        expected = [reference.dtw_cost(distances, normalise) for distances in c]
        found = _scores(x, y, "xla", normalise)["dtw"]
        # Relative, because a cost grows with the length of the path.
        yield _error(f"dtw, {normalise}, {kind}", found, np.reshape(expected, found.shape), relative=True)
    yield from _compared(_scores(x, y, "xla"), x, y, kind, ("seqsim", *MAXIMA, *frame_scores.TRANSPORT))


def _scores(
    x: list[np.ndarray], y: list[np.ndarray], implementation: str, normalise: str = "none"
) -> dict[str, Float[np.ndarray, "U V"]]:
    (a, n), (b, m) = _padded(x), _padded(y)
    return frame_scores.frame_scores(
        jnp.asarray(a), n, jnp.asarray(b), m,
        implementation=implementation, measures=frame_scores.MEASURES, dtw_normalise=normalise,
    )  # fmt: skip


def _compared(
    found: Mapping[str, Float[np.ndarray | Array, "U V"]],
    x: list[np.ndarray],
    y: list[np.ndarray],
    kind: str,
    measures: Sequence[str] = frame_scores.MEASURES,
) -> Iterator[Finding]:
    """Errors of all pairs of utterances, a cost's relative to it."""
    for measure in measures:
        expected = [[reference.MEASURES[measure](left, right) for right in y] for left in x]
        yield _error(f"{measure}, {kind}", found[measure], expected, relative=measure == "dtw")


def _less_means(random: np.random.Generator, dtype: DTypeLike, kind: str) -> Iterator[Finding]:
    """Errors of the grid's programs, whose products are corrected for both sides' means."""
    x, y = (data.around_a_mean(lengths, 24, random, dtype) for lengths in ((7, 12, 1, 30), (9, 5, 33)))
    left, right = (_operand(side, reference.language_mean(side).astype(np.float32)) for side in (x, y))
    a, b = (reference.remove_language_mean(side) for side in (x, y))
    kind = f"{kind} less their means"
    found = frame_scores.operand_scores(left, right, measures=frame_scores.MEASURES)
    yield from _compared(found, a, b, kind)
    yield from _chosen(left, right, a, b, kind)


def _operand(side: list[np.ndarray], mean: Float32[np.ndarray, " D"] | None = None) -> operands.Operand:
    """Utterances as the grid has them on a device."""
    frames, used = map(jnp.asarray, _padded(side))
    form = operands.form_for(jax.default_backend(), frames.dtype, "xla")
    return _made(frames, used, mean if mean is None else jnp.asarray(mean), form=form)


def _chosen(
    left: operands.Operand, right: operands.Operand, x: list[np.ndarray], y: list[np.ndarray], kind: str
) -> Iterator[Finding]:
    """Errors of transport of chosen pairs: of all, the last first, three times to exceed a block of them."""
    pairs = 3 * list(itertools.product(range(len(x)), range(len(y))))[::-1]
    u, v = np.asarray(pairs, np.int32).T
    found = _chosen_transport(left, right, jnp.asarray(u), jnp.asarray(v))
    for measure in frame_scores.TRANSPORT:
        expected = np.asarray([[reference.MEASURES[measure](a, b) for b in y] for a in x])
        yield _error(f"{measure} of chosen pairs, {kind}", found[measure], expected[u, v])


def _rounded(random: np.random.Generator, dtype: DTypeLike, kind: str) -> Iterator[Finding]:
    """Errors of `xla_bfloat16` against the definition, which is given the rounded frames."""
    a, b = ([_of_8_bits(random, (n, 24)) for n in random.integers(1, 34, count).tolist()] for count in (4, 3))
    # What is given is nearer to them than a quarter of the way to the next number of 8 bits.
    x, y = (
        [(z * (1 + random.uniform(-1, 1, z.shape) * 2.0**-11)).astype(dtype) for z in side] for side in (a, b)
    )
    yield from _compared(_scores(x, y, "xla_bfloat16"), a, b, f"{kind} rounded to bfloat16")


def _of_8_bits(random: np.random.Generator, shape: tuple[int, int]) -> Float64[np.ndarray, "N D"]:
    """Numbers between 1/4 and 4, of either sign, of 8 significant bits: all that bfloat16 has."""
    sign, power = random.choice([-1.0, 1.0], shape), random.integers(-9, -5, shape)
    return sign * np.ldexp(random.integers(128, 256, shape).astype(float), power)


def _pooling(x: list[np.ndarray], y: list[np.ndarray]) -> Iterator[Finding]:
    (a, n), (b, m) = _padded(x), _padded(y)
    left, right = pooling.meanpool(jnp.asarray(a), n), pooling.meanpool(jnp.asarray(b), m)
    yield _error("meanpool", left, [reference.meanpool(frames) for frames in x])
    yield _error("cosine of mean frames", pooling.cosine(left, right), reference.meanpool_scores(x, y))
    mean = pooling.language_mean(left)
    yield _error("language mean", mean, reference.language_mean(x))
    removed = reference.remove_language_mean(x)
    found = np.asarray(pooling.remove_mean(jnp.asarray(a), mean))
    yield _error("language mean removed", found[1, : len(x[1])], removed[1])


def _paths(random: np.random.Generator) -> Iterator[Finding]:
    # Small integers tie, and their sums are exact: every cell of the path must be the reference's.
    tables = [random.integers(0, 3, shape).astype(np.float32) for shape in ((6, 9), (1, 4), (11, 3))]
    padded = np.full((3, 11, 9), np.nan, np.float32)
    for row, table in zip(padded, tables, strict=True):
        row[: table.shape[0], : table.shape[1]] = table
    n, m = np.asarray([table.shape for table in tables], np.int32).T
    cost = dtw.dtw_cost(jnp.asarray(padded), n, m)
    yield _error("dtw of given distances", cost, [reference.dtw_cost(table) for table in tables])
    path, length, tied = map(np.asarray, dtw.dtw_path(jnp.asarray(padded), n, m))
    expected = [reference.dtw_path(table) for table in tables]
    wrong = sum(
        [tuple(cell) for cell in row[:count].tolist()] != cells
        for row, count, cells in zip(path, length, expected, strict=True)
    )
    yield Finding(stage=_STAGE, name="dtw paths that differ, of 3", found=float(wrong), bound=0.0)
    yield _error("dtw paths that tie", tied, [reference.dtw_tied(table) for table in tables])


def _alignment(random: np.random.Generator) -> Iterator[Finding]:
    scores = random.standard_normal((1, 2, 5, 9)).astype(np.float32)
    tokens, frames = np.asarray([5], np.int32), np.asarray([9], np.int32)
    matrix = alignment.attention_matrix(jnp.asarray(scores), tokens, frames)
    yield _error("attention matrix", matrix[0], alignment_reference.attention_matrix(scores[0], 7))
    # Random floats never tie; which of equal paths is taken is part of the definition.
    ties = random.integers(0, 3, (1, 5, 9)).astype(np.float32)
    first, tied = alignment.first_frames(jnp.asarray(ties), tokens, frames)
    path = reference.dtw_path(-ties[0])
    yield _error("first frames of tokens", first[0], alignment_reference.first_frames(path))
    yield _error("first frames that tie", tied[0], reference.dtw_tied(-ties[0]))


def _words(random: np.random.Generator) -> Iterator[Finding]:
    x, y = (random.standard_normal((1, frames, 8)).astype(np.float32) for frames in (6, 5))
    a, b = (np.asarray([words], np.int32) for words in _WORDS)
    two, of = np.asarray([2], np.int32), (np.asarray([6], np.int32), np.asarray([5], np.int32))
    vectors = [word_reference.word_vectors(z[0], words) for z, words in zip((x, y), _WORDS, strict=True)]
    matches = word_match.match(*map(jnp.asarray, (x, a, two, y, b, two)))
    similarity = reference.cosines(*vectors)
    yield _error("similarity of words", matches.similarity[0], similarity)
    yield _error("mutual best words", matches.mutual[0], word_reference.mutual_best(similarity))

    shares = attribution.attribution(
        *map(jnp.asarray, (x, of[0], _word_of_frame(6, _WORDS[0]), y, of[1], _word_of_frame(5, _WORDS[1]))),
        words=(2, 2),
    )
    expected = word_reference.attribution(x[0], y[0], *_WORDS)
    for name, found, wanted in zip(("precision", "recall", "F1"), shares, expected, strict=False):
        yield _error(f"shares of {name}", found[0], wanted)

    cost = random.random((1, 3, 4), np.float32)
    left, right = random.random((1, 3), np.float32) + 0.5, random.random((1, 4), np.float32) + 0.5
    three, four = np.asarray([3], np.int32), np.asarray([4], np.int32)
    plan = transport.transport(
        *map(jnp.asarray, (cost, left, three, right, four)), epsilon=0.1, tolerance=1e-6, iterations=2000
    ).plan
    wanted = word_reference.transport(cost[0], left[0], right[0], epsilon=0.1, iterations=2000)
    yield _error("transport plan", plan[0], wanted)
    given = plan, jnp.asarray(left), three, jnp.asarray(right), four, jnp.float32(0.4)
    most = np.minimum.outer(left[0] / left[0].sum(), right[0] / right[0].sum())
    yield _error("words linked by transport", transport.links(*given)[0], wanted >= 0.4 * most)


def _log_mel(random: np.random.Generator) -> Iterator[Finding]:
    waveform = random.uniform(-1, 1, (1, 16_000)).astype(np.float32)
    filters = random.random((log_mel.WINDOW // 2 + 1, 80), np.float32)
    found = jax.jit(functools.partial(log_mel.log_mel, filters=filters))(waveform)
    yield _error("log-mel", found[0], oracle.log_mel(waveform[0], filters))


def _word_of_frame(frames: int, words: tuple[tuple[int, int], ...]) -> Int32[np.ndarray, "1 N"]:
    of = np.full((1, frames), len(words), np.int32)
    for word, (first, last) in enumerate(words):
        of[0, first : last + 1] = word
    return of


_made = jax.jit(operands.operand, static_argnames="form")
_chosen_transport = jax.jit(frame_scores.chosen_transport)
