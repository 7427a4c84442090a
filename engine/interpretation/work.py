"""Amount of work of the interpret job, and its time on this machine, before it starts."""

import time
from collections.abc import Mapping, Sequence

import numpy as np

from isogloss.engine.grid.grid_store import Pair
from isogloss.engine.interpretation import word_pairs
from isogloss.engine.interpretation.aligned_words import LanguageWords, Words
from isogloss.engine.interpretation.inputs import InterpretInputs, PairState
from isogloss.engine.interpretation.word_pairs import Method, PairSide

_ROW_BYTES = 30  # of a word pair on disk, in a part and again in the table


def work(
    opened: InterpretInputs,
    words: Mapping[str, LanguageWords] | None,
    todo: Sequence[PairState],
    timed: Method | None = None,
) -> dict[str, int | float]:
    """Work of units if every sentence is compared with its translation.

    With `words` it includes the number of word pairs; with `timed`, seconds extrapolated from a sample.
    """
    features = next(iter(opened.members.values())).store.features
    by_pair = {pair: _sizes(opened, words, pair) for pair in {unit.pair for unit in todo}}
    sentences, word_count, cells = (sum(by_pair[unit.pair][k] for unit in todo) for k in range(3))
    work: dict[str, int | float] = {
        "units": len(todo),
        "sentence_pairs": sentences,
        "flops": 2 * features * cells,
    }
    if words:
        work |= {"word_pairs": word_count, "bytes": 2 * _ROW_BYTES * word_count}
    if timed:
        per_cell, compiling = _speed(features, timed) if todo else (0.0, 0.0)
        seconds = compiling + cells * per_cell
        work["estimated_seconds"] = round(seconds, 1)
    return work


def _sizes(
    opened: InterpretInputs, words: Mapping[str, LanguageWords] | None, pair: Pair
) -> tuple[int, int, int]:
    """(sentence pairs, word pairs, pairs of frames) of a language pair's gold sentences."""
    sides = []
    for code in pair:
        member = opened.members[code]
        rows = dict(zip(member.sentences, member.rows, strict=True))
        names = {sentence: member.store.names[row] for sentence, row in rows.items()}
        texts = words[code].utterances if words else {}
        counts = {s: len(texts.get(name, ())) + 1 for s, name in names.items()}
        sides.append((counts, {s: int(member.store.frames[row]) for s, row in rows.items()}))
    common = sides[0][0].keys() & sides[1][0].keys()
    return (
        len(common),
        sum(sides[0][0][s] * sides[1][0][s] for s in common),
        sum(sides[0][1][s] * sides[1][1][s] for s in common),
    )


def _speed(features: int, method: Method) -> tuple[float, float]:
    """Seconds per pair of frames, and to compile, on this machine; from batches of 8 s with 16 words."""
    rng = np.random.default_rng(0)
    frames, count = 384, 16
    first = np.arange(count, dtype=np.int32) * (frames // count)
    words = Words(
        index=tuple(range(count)),
        text=("",) * count,
        frames=np.stack([first, first + 9], axis=1),
        centre=first + 4,
        seconds=np.zeros((count, 2)),
        empty=0,
        truncated=False,
    )
    states = rng.standard_normal((2, frames, features)).astype(np.float16)
    sides = (PairSide(states=states[0], words=words), PairSide(states=states[1], words=words))
    seconds = []
    # Time is counted by pairs of frames, the largest part of the work; the sample has that of words as well.
    for _ in range(3):  # the first one compiles
        begin = time.perf_counter()
        word_pairs.compare([sides] * word_pairs.BATCH, method)
        seconds.append(time.perf_counter() - begin)
    best = min(seconds)
    return best / (word_pairs.BATCH * frames**2), seconds[0] - best
