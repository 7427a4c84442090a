"""Figures of one language pair, computed from the chunks of a grid, and the part files that store them.

A chunk that is missing or damaged leaves its figures unknown and is reported; the run continues. Such a pair
gets a note instead of a part. A part's fingerprint depends on the grid's description and the pair's chunks,
so that a part of another or a rewritten grid is never found; the other pairs of a grid that has grown keep
theirs. Memory: one pair's scores, 83 MB for 34 states, 5 arrays and 350 sentences, and three
times that in a grid with self pairs. Opening the parts reads
the last bytes of every chunk.
"""

import dataclasses
import hashlib
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import tensorstore as ts
from jaxtyping import Bool, Float, Int, Int16, Int32, Shaped, UInt16

from isogloss.engine.grid import grid_store, shortlist
from isogloss.engine.grid.grid_axes import of_one_language
from isogloss.engine.grid.grid_store import Grid
from isogloss.engine.grid.measures import MEASURES, reported
from isogloss.engine.retrieval import (
    answers as single_answers,
    contrasts,
    corrections,
    dali,
    derived,
    metrics,
)
from isogloss.engine.retrieval.scorings import Scoring, corrected, scorings
from isogloss.engine.retrieval.statistics_options import CORRECTIONS
from isogloss.engine.runtime import disk_faults, json_values, objects
from isogloss.engine.runtime.part_files import PartFiles
from isogloss.engine.runtime.refusal import Refusal, UnreadableError
from isogloss.kernels import bootstrap

_OF_PAIRS = ("pairs", "languages", "flags")  # attributes that change when other pairs are added
_LAYOUT = 6  # of a part file; with another number, older parts are not found
_SHAPES = len(metrics.SHAPE_FIGURES)
_HALVES = (len(corrections.FORMS), 3)  # of `corrections.in_halves`


@dataclasses.dataclass(frozen=True, kw_only=True)
class Statistics:
    """Statistics that are computed of each pair.

    Attributes:
      corrections: names, beside which the scores as they are are scored, too.
      candidates: number of candidates of the figure recall_at_1_of.
      answers: of which scorings the answer to each query is kept: all, uncorrected or none.
    """

    corrections: tuple[str, ...] = CORRECTIONS
    candidates: int = metrics.CANDIDATES
    answers: str = "none"

    def scorings(self, grid: Grid) -> tuple[Scoring, ...]:
        """Scorings of a grid, in the order of the axis V."""
        return scorings((*reported(grid.ranked), *derived_measures(grid)), ("none", *self.corrections))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Scored:
    """Figures of one pair; V scorings, F figures as `metrics.ALL_FIGURES`.

    Attributes:
      values: figures by state, scoring and direction, NaN where unknown.
      computed: by state and scoring.
      sentences: positions, on the grid's sentence axis, of those that both languages have; zeros if nothing
        is known.
      ranks: of the right answers by state; 0 where unknown. No states where they aren't kept in memory.
      hubs: `corrections.hubs`: positions, among the sentences that both languages have, of the candidates
        that come first most often, with the numbers of queries; `corrections.NO_HUB` where unknown.
      halves: R@1 within halves of the sentences as of `corrections.in_halves`; NaN where unknown and of
        scorings with a correction.
      compared: what is compared with what, rows as of `contrasts.within_pair`.
      contrasts: `contrasts.VALUES` of these rows.
      rivals: of each query, see `answers.rivals`; only of what was just scored.
      missing: names of chunks that the grid doesn't hold yet.
      broken: names of chunks that can't be used, with the reasons.
    """

    values: Float[np.ndarray, "S V 2 F"]
    computed: Bool[np.ndarray, "S V"]
    sentences: Int32[np.ndarray, " n"]
    ranks: UInt16[np.ndarray, "R V 2 n"]
    hubs: Int32[np.ndarray, "S V 2 h 2"]
    halves: Float[np.ndarray, "S V 2 f 3"]
    compared: Int16[np.ndarray, "K 7"]
    contrasts: Float[np.ndarray, "K 4"]
    rivals: Shaped[np.ndarray, "S V 2 n"] | None = None
    missing: tuple[str, ...] = ()
    broken: tuple[str, ...] = ()


_ARRAYS = ("values", "sentences", "ranks", "hubs", "halves", "compared", "contrasts")  # of a part file


def derived_measures(grid: Grid) -> tuple[str, ...]:
    """Names of the derived measures that a grid allows."""
    return derived.derivable(grid.measures, grid.attributes, frames=grid.has_frames)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Answers:
    """Answers of one score matrix, its rows as queries [0], its columns as queries [1]."""

    ranks: Int[np.ndarray, "2 n"]
    shapes: Float[np.ndarray, "2 F"]
    hubs: Int32[np.ndarray, "2 h 2"]
    halves: Float[np.ndarray, "2 f 3"]
    rivals: Shaped[np.ndarray, "2 n"]


def _answers(
    matrix: Float[np.ndarray, "n n"], scoring: Scoring, own: tuple[Float[np.ndarray, "n n"], ...]
) -> _Answers:
    """Answers of a matrix of common sentences, where larger is closer, after a correction.

    `own` are the matrices of both languages with themselves, none if they aren't known.
    """
    scores = corrections.correct(matrix, scoring.correction)
    shapes, hubs = np.empty((2, _SHAPES)), np.empty((2, corrections.HUBS, 2), np.int32)
    group, halves = dali.dali(scores), np.full((2, *_HALVES), np.nan)
    strict, *levels = (np.nan,) * 3
    if scoring.correction == "none":
        strict = dali.dali(scores, own) if own else np.nan
        sign = -1 if derived.record(scoring.measure).cost else 1
        if corrected(scoring.measure) or scoring.measure == derived.BASELINE:
            # Halves compare corrections with each other, so they belong to the scores as they are.
            halves = corrections.in_halves(matrix)
            levels = [sign * level for level in _levels(matrix)]
    for side, queries in enumerate((scores, scores.T)):
        first = corrections.occurrences(queries)
        hubs[side] = corrections.hubs(first)
        shapes[side] = group, strict, corrections.hubness(first), first.max(), *levels
    return _Answers(
        ranks=metrics.ranks(scores),
        shapes=shapes,
        hubs=hubs,
        halves=halves,
        rivals=np.stack([single_answers.rivals(queries) for queries in (scores, scores.T)]),
    )


def _levels(matrix: Float[np.ndarray, "n n"]) -> tuple[float, float]:
    """Mean score of the same sentences, and of different ones; NaN if there are none."""
    n, matched = len(matrix), float(np.trace(matrix, dtype=np.float64))
    others = float(matrix.sum(dtype=np.float64)) - matched
    return matched / n, others / (n * (n - 1)) if n > 1 else np.nan


def _both_ways(
    matrices: Mapping[str, Float[np.ndarray, "n n"]],
    own: Sequence[Mapping[str, Float[np.ndarray, "n n"]]],
    scorings: Sequence[Scoring],
) -> Iterator[tuple[int, list[_Answers]]]:
    """Positions of the scorings that these measures allow, with the answers of the way there and back.

    `own` are matrices of both languages with themselves, as far as they are known.
    """
    answers: dict[Scoring, _Answers] = {}
    for v, scoring in enumerate(scorings):
        # Precision asks how well the frames of the query are covered. With b as the query that is
        # recall(a, b) transposed, so the way back reads the columns of the other array.
        both = scoring, scoring._replace(measure=derived.record(scoring.measure).backward)
        if not all(each.measure in matrices for each in both):
            continue
        for each in both:
            if each not in answers:
                known = tuple(of[each.measure] for of in own if each.measure in of)
                answers[each] = _answers(matrices[each.measure], each, known if len(known) == 2 else ())
        yield v, [answers[each] for each in both]


def score(grid: Grid, pair: int, statistics: Statistics) -> Scored:
    """Figures of one pair.

    A chunk of only NaN, although the languages have common sentences, isn't computed yet.
    """
    chosen, n = statistics.scorings(grid), int(grid.common[pair])
    shape = (len(grid.states), len(chosen), 2)
    values = np.full((*shape, len(metrics.ALL_FIGURES)), np.nan)
    ranks = np.zeros((*shape, n), np.uint16)
    hubs = np.full((*shape, corrections.HUBS, 2), corrections.NO_HUB, np.int32)
    halves, rivals = np.full((*shape, *_HALVES), np.nan), np.zeros(ranks.shape, single_answers.RIVAL)
    computed, sentences = np.full(shape[:2], n == 0), np.zeros(n, np.int32)
    problems: tuple[list[str], list[str]] = ([], [])
    states = range(len(grid.states)) if n else ()
    # All reads are begun at once, because a bucket takes as long for one as for all of them.
    pairs = (pair, *own_languages(grid, pair))
    begun = [[_read(grid, each, state) for each in pairs] for state in states]
    for state, (reads, *own_reads) in enumerate(begun):
        matrices = _matrices(grid, pair, state, reads, sentences, *problems)
        held = zip(pairs[1:], own_reads, strict=True)
        own = [_own(grid, each, state, read, sentences, problems[1]) for each, read in held]
        for v, both in _both_ways(matrices, own, chosen):
            computed[state, v] = True
            for side, answers in enumerate(both):
                at = state, v, side
                ranks[at], rivals[at] = answers.ranks[side], answers.rivals[side]
                hubs[at], halves[at] = answers.hubs[side], answers.halves[side]
                values[at][-_SHAPES:] = answers.shapes[side]
    if n:
        of_ranks = metrics.figures(np.maximum(ranks, 1).astype(np.int32), statistics.candidates)
        values[computed, :, :-_SHAPES] = of_ranks[computed]
    compared = contrasts.within_pair(ranks == 1, chosen) if n and computed.all() else contrasts.NOTHING
    return Scored(
        values=values,
        computed=computed,
        sentences=sentences,
        ranks=ranks,
        hubs=hubs,
        halves=halves,
        compared=compared[0],
        contrasts=compared[1],
        rivals=rivals,
        missing=tuple(problems[0]),
        broken=tuple(problems[1]),
    )


def own_languages(grid: Grid, pair: int) -> tuple[int, ...]:
    """Self pairs of the two languages of a pair; none if the grid lacks one, or if it is a self pair."""
    wanted = [(code, code) for code in grid.pairs[pair]]
    if of_one_language(grid.pairs[pair]) or not all(each in grid.position for each in wanted):
        return ()
    return tuple(grid.position[each] for each in wanted)


def _read(grid: Grid, pair: int, state: int) -> dict[str, ts.Future]:
    return {name: grid.reading(name, pair, state) for name in grid.measures if MEASURES[name].retrieves}


def _own(
    grid: Grid,
    pair: int,
    state: int,
    reads: Mapping[str, ts.Future],
    sentences: Int32[np.ndarray, " n"],
    broken: list[str],
) -> dict[str, Float[np.ndarray, "n n"]]:
    """Scores of a language with itself between some sentences, by measure, larger is closer."""
    held = np.zeros(int(grid.common[pair]), np.int32)
    found = _matrices(grid, pair, state, reads, held, [], broken)
    rows = np.searchsorted(held, sentences)
    return {name: scores[rows][:, rows] for name, scores in found.items()}


def _matrices(
    grid: Grid,
    pair: int,
    state: int,
    reads: Mapping[str, ts.Future],
    sentences: Int32[np.ndarray, " n"],
    missing: list[str],
    broken: list[str],
) -> dict[str, Float[np.ndarray, "n n"]]:
    """Scores between common sentences by measure, larger is closer, without those that can't be used.

    The positions of these sentences are written into `sentences`, names of what can't be used are appended.
    """
    found, shortlisted = {}, {}
    for name, read in reads.items():
        chunk = f"{grid_store.pair_name(grid.pairs[pair])} {name} state {grid.states[state]}"
        try:
            scores = objects.result(read, grid.path)
        except UnreadableError as error:
            broken.append(f"{chunk}: {disk_faults.with_remedy(error, grid_store.REMAKE)}")
            continue
        if np.isnan(scores).all():
            missing.append(chunk)
            continue
        if name not in grid.ranked:  # known of some pairs of sentences only
            shortlisted[name] = scores
            continue
        try:
            common = metrics.common_sentences(scores, int(grid.common[pair]))
            found[name] = metrics.between(scores, common)
        except Refusal as error:
            broken.append(f"{chunk}: {error}{grid_store.REMAKE}")
            continue
        sentences[:] = np.flatnonzero(common)
    if grid.has_frames:
        frames = grid.frames(pair)
        common = np.minimum(*frames) > 0
        sentences[:] = np.flatnonzero(common)
        n, m = (counts[common] for counts in frames)
        arrays = found | {name: scores[common][:, common] for name, scores in shortlisted.items()}
        given = derived.Given(arrays=arrays, n=n, m=m, best=grid.rerank or shortlist.BEST)
        for name in derived_measures(grid):
            found |= derived.derived(name, given)
    return {name: -scores if derived.record(name).cost else scores for name, scores in found.items()}


def open_parts(folder: pathlib.Path, grid: Grid, statistics: Statistics) -> PartFiles:
    """Part files of a grid's pairs, by name, in a folder that may not exist yet.

    A pair that lacks a chunk has no part.
    """
    draws = [bootstrap.RESAMPLES, bootstrap.CONFIDENCE, bootstrap.SEED]
    shared = {key: value for key, value in grid.attributes.items() if key not in _OF_PAIRS}
    chosen = [statistics.scorings(grid), statistics.candidates, statistics.answers]
    described = [_LAYOUT, draws, chosen, shared, grid.measures, grid.states]
    description = json_values.fingerprint(described)
    own = {pair: _chunks(grid, pair) for pair, named in enumerate(grid.pairs) if of_one_language(named)}
    found = {
        grid_store.pair_name(grid.pairs[pair]): _fingerprint(
            grid, description, pair, [own[each] for each in own_languages(grid, pair)]
        )
        for pair in range(len(grid.pairs))
    }
    scripts = statistics.answers != "none"
    return PartFiles(
        folder=folder,
        keys={name: key for name, key in found.items() if key},
        kinds=("js", "npz") if scripts else ("npz",),
        elsewhere={"js": folder.parent / single_answers.FOLDER} if scripts else {},
    )


def _chunks(grid: Grid, pair: int) -> list[tuple[int, str]] | None:
    """Checksums of a pair's chunks; None if one is missing."""
    if not grid.common[pair]:  # a pair without common sentences has no figures, and may have no chunks
        return []
    try:
        return grid.checksums(pair)
    except FileNotFoundError:
        return None


def _fingerprint(
    grid: Grid, description: str, pair: int, own: Sequence[list[tuple[int, str]] | None]
) -> str | None:
    """Hash of everything that a pair's figures depend on; None if one of its chunks is missing.

    `own` are the checksums of the self pairs of its languages.
    """
    chunks, n = _chunks(grid, pair), int(grid.common[pair])
    if chunks is None:
        return None
    languages = grid.attributes.get("languages")
    described = [languages.get(code) for code in grid.pairs[pair]] if isinstance(languages, dict) else None
    lengths = grid.frames(pair).tolist() if grid.has_frames else None
    return json_values.fingerprint([description, grid.pairs[pair], described, n, lengths, chunks, list(own)])


def save(parts: PartFiles, grid: Grid, pair: int, statistics: Statistics, scored: Scored) -> bool:
    """True if a pair's figures are stored; otherwise a note about its missing and damaged chunks is."""
    # The key was computed before the scores were read: if a chunk was rewritten in between, no later run
    # finds this part.
    name = grid_store.pair_name(grid.pairs[pair])
    if name not in parts.keys:
        return False
    if scored.computed.all() and not scored.broken:
        arrays = {array: getattr(scored, array) for array in _ARRAYS}
        writers = [lambda file: _write(file, arrays)]
        if statistics.answers != "none":
            text = _script(parts.path(name, "js").name, grid, statistics, scored)
            writers.insert(0, lambda file: file.write_text(text, "utf-8"))
        parts.save(name, *writers)
    else:
        parts.note(name, "\n".join((*scored.missing, *scored.broken)))
    return parts.kept(name)


def _script(file: str, grid: Grid, statistics: Statistics, scored: Scored) -> str:
    """Script of the answers to a pair's queries."""
    assert scored.rivals is not None, "it was just scored"
    kept = single_answers.kept(statistics.scorings(grid), statistics.answers)
    ids = [grid.sentences[i] for i in scored.sentences]
    return single_answers.script(file, ids, scored.ranks, scored.rivals, kept)


def _write(path: pathlib.Path, arrays: Mapping[str, np.ndarray]) -> None:
    with path.open("wb") as file:  # given a name, NumPy would append .npz
        np.savez_compressed(file, allow_pickle=False, **arrays)


def digest(scored: Scored) -> str:
    """Hash of a pair's figures, for a pair that has no part."""
    found = hashlib.sha256(repr((scored.missing, scored.broken)).encode())
    for name in (*_ARRAYS, "computed"):
        array: np.ndarray = getattr(scored, name)
        found.update(f"{array.dtype} {array.shape} ".encode() + array.tobytes())
    return found.hexdigest()


def load(parts: PartFiles, name: str) -> Scored:
    """Stored figures of a pair."""
    with np.load(parts.path(name, "npz"), allow_pickle=False) as stored:
        arrays = {array: stored[array] for array in _ARRAYS}
    return Scored(**arrays, computed=np.ones(arrays["values"].shape[:2], bool))
