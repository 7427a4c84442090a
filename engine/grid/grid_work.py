"""Work of the grid job: units in an order that needs few languages at a time, computed one after the other.

A language is read, and on accelerators uploaded, once per state and visit of a block. While a unit is
computed the languages of the next one are read; its scores are fetched when the next unit has started. Of
several scorers each takes a share of the units, with languages of its own.
"""

import collections
import dataclasses
import itertools
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from jaxtyping import Float32

from isogloss.engine.activations import language_blocks, language_states
from isogloss.engine.activations.language_states import DamagedError, GridLanguage
from isogloss.engine.grid.grid_store import Pair, Plan
from isogloss.engine.grid.host_scores import HostScores
from isogloss.engine.grid.scorers import Scorer
from isogloss.engine.grid.shortlist import Shortlisting
from isogloss.engine.runtime import ahead
from isogloss.engine.runtime.shards import Share

Unit = tuple[int, int]  # (state, pair): the order of work
Key = tuple[int, str]  # a language at a state
Scores = dict[str, Float32[np.ndarray, "Q C"]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Visit:
    """A unit in its turn.

    Attributes:
      unit: state and pair.
      codes: languages of the pair.
      arriving: languages, each at a state, that are read now: for this unit, or ahead for the next one.
      kept: languages that stay from before.
    """

    unit: Unit
    codes: Pair
    arriving: tuple[Key, ...]
    kept: frozenset[Key]


def visits(units: Iterable[Unit], pairs: Sequence[Pair], block: int) -> Iterator[Visit]:
    """Units in the order of work, state by state and block by block."""
    order: list[tuple[Unit, Pair, frozenset[str]]] = []
    position = {pair: index for index, pair in enumerate(pairs)}
    for state, of_state in itertools.groupby(units, key=lambda unit: unit[0]):
        wanted = [pairs[pair] for _, pair in of_state]
        order += [
            ((state, position[pair]), pair, stay) for pair, stay in language_blocks.blocks(wanted, block)
        ]
    held: frozenset[Key] = frozenset()
    for i, (unit, codes, stay) in enumerate(order):
        (after, _), ahead, _ = order[min(i + 1, len(order) - 1)]
        kept = frozenset(key for key in held if key[0] == unit[0] and key[1] in stay)
        needed = [*((unit[0], code) for code in codes), *((after, code) for code in ahead)]
        arriving = tuple(dict.fromkeys(key for key in needed if key not in kept))
        held = kept | set(arriving)
        yield Visit(unit=unit, codes=codes, arriving=arriving, kept=kept)


def shares(units: Sequence[Unit], count: int) -> list[Sequence[Unit]]:
    """Units of each of so many scorers: neighbours, which need the same languages."""
    return [Share(index=index, count=count).of(units) for index in range(count)]


def computed(
    plan: Plan,
    members: Mapping[str, GridLanguage],
    units: Sequence[Unit],
    scorers: Sequence[Scorer],
    block: int,
) -> Generator[tuple[Unit, Scores | DamagedError], None, None]:
    """Units with their scores or the error of a damaged shard, as they come.

    Args:
      plan: axes and identity of the grid.
      members: its languages.
      units: those to compute.
      scorers: each takes a share of the units.
      block: languages of a block, for each scorer.
    """
    of_each = [
        _computed(plan, members, share, scores, block)
        for share, scores in zip(shares(units, len(scorers)), scorers, strict=True)
    ]
    return of_each[0] if len(of_each) == 1 else ahead.as_they_come(of_each)


def _computed(
    plan: Plan,
    members: Mapping[str, GridLanguage],
    units: Sequence[Unit],
    scores: Scorer,
    block: int,
) -> Generator[tuple[Unit, Scores | DamagedError], None, None]:
    places = {sentence: i for i, sentence in enumerate(plan.sentences)}
    where = {code: np.asarray([places[s] for s in m.sentences], int) for code, m in members.items()}
    size = len(plan.sentences)
    for unit, started in _behind(_started(plan, members, units, scores, block), scores.AHEAD):
        if isinstance(started, DamagedError):
            yield unit, started
            continue
        a, b = plan.pairs[unit[1]]
        found = started()
        del started  # which may keep its languages
        full = {measure: np.full((size, size), np.nan, np.float32) for measure in found}
        for measure, matrix in found.items():
            full[measure][np.ix_(where[a], where[b])] = matrix
        yield unit, full


def _started(
    plan: Plan,
    members: Mapping[str, GridLanguage],
    units: Sequence[Unit],
    scores: Scorer,
    block: int,
) -> Iterator[tuple[Unit, Callable[[], Scores] | DamagedError]]:
    """Units whose computation has begun, each with what waits for it."""

    def place(key: Key) -> object:
        state, member = plan.states[key[0]], members[key[1]]
        # Second recordings, which may be few, lose the mean of the first ones.
        firsts = member.firsts if plan.identity["remove_language_mean"] else None
        mean_of = language_states.read(firsts, state) if firsts else None
        return scores.place(language_states.read(member, state), mean_of)

    held: dict[Key, Future] = {}
    with ThreadPoolExecutor(1, "read") as reader:
        for number, visit in enumerate(visits(units, plan.pairs, block)):
            held = {key: future for key, future in held.items() if key in visit.kept}
            held |= {key: reader.submit(place, key) for key in visit.arriving}
            if not number and isinstance(scores, HostScores):
                scores.prepare(shortlists=bool(plan.identity.get("rerank")))  # while languages are read
            try:
                x, y = (held[visit.unit[0], code].result() for code in visit.codes)
            except DamagedError as error:
                yield visit.unit, error
                continue
            started = scores.start(x, y, _among(plan, members, visit.codes))
            del x, y  # or languages that nobody needs stay until the next ones are there
            yield visit.unit, started


def _among(plan: Plan, members: Mapping[str, GridLanguage], codes: Pair) -> Shortlisting | None:
    """Choice of the pairs of utterances that transport is computed for; None if it is for all."""
    best = plan.identity.get("rerank", 0)
    assert isinstance(best, int)
    if not best:
        return None
    a, b = (members[code].sentences for code in codes)
    rows, columns = (
        np.flatnonzero([sentence in other for sentence in one]) for one, other in ((a, set(b)), (b, set(a)))
    )
    return Shortlisting(best=best, rows=rows, columns=columns)


def _behind(items: Iterator, count: int) -> Iterator:
    """Items, each when `count` more have been taken."""
    waiting = collections.deque()
    for item in items:
        waiting.append(item)
        if len(waiting) > count:
            yield waiting.popleft()
    yield from waiting
