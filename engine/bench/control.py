"""Benchmark of the control job's tables: a language pair of FLEURS's size with all states of Whisper large.

Sentences of random phones, 3,000 word types a side, and random scores with planted factors, in memory: what
is timed is the overlap in sound and all tables of a pair, without reading, espeak-ng and the sentence
encoder. It runs on the CPU, whatever the device; `OPENBLAS_NUM_THREADS=1` gives the time of one core. Useful
work is the products of sentences by sentences that random removal takes.
"""

import functools
import pathlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from isogloss.engine.bench import data
from isogloss.engine.bench.setting import BenchSetting, Planned
from isogloss.engine.bench.timing import Case, Check, TimedTask
from isogloss.engine.control import challenge, overlap, pair_tables
from isogloss.engine.control.inputs import ControlInputs
from isogloss.engine.control.overlap import Overlap, SoundSide
from isogloss.engine.control.pair_data import LENGTH, MEANING, SOUND, PairData
from isogloss.engine.control.pair_tables import Thresholds
from isogloss.engine.control.rules import Evidence
from isogloss.engine.grid import grid_store
from isogloss.engine.grid.grid_store import Plan
from isogloss.engine.runtime import temporary
from isogloss.engine.whisper import named_states

PEERS = ()
_CURVE = (0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
_PHONES = [chr(ord("a") + i) for i in range(26)]
_PAIR = ("aa", "bb")
_CHECKED = 3  # sentences a side, whose overlap is computed by plain loops


def cases(setting: BenchSetting) -> list[Planned]:
    """350 sentences and 34 states, alone and with another encoder beside."""
    sentences, types, blocks = (12, 30, 2) if setting.quick else (350, 3000, 32)
    planned = []
    for beside in (False, True):
        with_other = ", another encoder beside" if beside else ""
        title = f"{sentences} sentences, {types} word types, {blocks + 2} states{with_other}"
        build = functools.partial(_case, setting, title, sentences, types, blocks, beside)
        planned.append(Planned(title=title, build=build))
    return planned


def _case(setting: BenchSetting, title: str, sentences: int, types: int, blocks: int, beside: bool) -> Case:
    folder = temporary.Folder("isogloss-bench-")
    inputs = _inputs(pathlib.Path(folder.name), sentences, blocks, beside)
    a, b = (_side(sentences, types, seed) for seed in (1, 2))
    factors = {MEANING: _random(sentences, 3), LENGTH: -np.abs(_random(sentences, 4))}
    scores = [
        {s: _random(sentences, 10 + 100 * k + s) + 0.3 * sum(factors.values()) for s in inputs.states}
        for k in range(2)
    ]
    options = Thresholds(alike=0.6, curve=_CURVE, permutations=0)

    def tables() -> object:
        sound = overlap.overlap(a, b, 3)
        made = PairData(
            sentences=inputs.grid.sentences,
            scores=scores[0],
            other_scores=scores[1] if beside else {},
            factors={SOUND: sound.scores, **factors},
            sound=sound,
            closest=[("", "")] * sentences,
            words=np.asarray([[len(each) for each in side.words] for side in (a, b)]),
        )
        return sound, pair_tables.compute(inputs, _PAIR, made, options)

    def check(result: object) -> Check:
        assert isinstance(result, tuple)
        return _check(result[0], result[1][1].to_pylist(), a, b, scores[0])

    products = 2 * challenge.DRAWS * sentences**2 * 2 * len(_CURVE) * len(inputs.states)
    task = TimedTask(
        name="control, tables of a pair",
        call=tables,
        work=1.0,
        unit="pairs/s",
        effort=products / 1e9,
        check=check,
    )
    return Case(title=title, tasks=(task,), yardstick=setting.product, folder=folder)


def _inputs(root: pathlib.Path, sentences: int, blocks: int, beside: bool) -> ControlInputs:
    """Empty grids, whose scores are in memory, and every fifth sentence with a name."""
    names = tuple(f"s{i}" for i in range(sentences))
    states = named_states.state_names(blocks)
    plan = Plan(
        pairs=(_PAIR,),
        states=states,
        sentences=names,
        measures=("seqsim",),
        common=(sentences,),
        identity={},
        flags={},
    )
    grid = grid_store.create_or_grow(root / "grid.zarr", plan)
    return ControlInputs(
        grid=grid,
        against=grid if beside else None,
        pairs=(_PAIR,),
        states=tuple(range(len(states))),
        texts={},
        evidence=Evidence(names={}, numbers={}, named=frozenset(names[::5]), numbered=frozenset(names[::7])),
    )


def _side(sentences: int, types: int, seed: int) -> SoundSide:
    """Sentences of 12 to 31 words, of which some are as frequent as Zipf's law has it."""
    rng = data.rng(seed)
    drawn = [tuple(_PHONES[k] for k in rng.integers(26, size=rng.integers(2, 11))) for _ in range(types)]
    frequency = 1 / np.arange(1, types + 1)
    words = [rng.choice(types, rng.integers(12, 32), p=frequency / frequency.sum()) for _ in range(sentences)]
    return SoundSide(types=drawn, words=words)


def _random(n: int, seed: int) -> Float[np.ndarray, "n n"]:
    return data.rng(seed).standard_normal((n, n)) + np.eye(n)


def _check(
    sound: Overlap,
    rows: Sequence[dict],
    a: SoundSide,
    b: SoundSide,
    scores: dict[int, Float[np.ndarray, "n n"]],
) -> Check:
    """Error of some sentences' overlap in sound, and of R@1 as it is, against plain loops."""
    wrong = []
    for i in range(_CHECKED):
        x, y = ([side.types[w] for w in side.words[i]] for side in (a, b))
        sides = [_one_way(x, y), _one_way(y, x)]
        wrong.append(abs(float(sound.scores[i, i]) - 2 * np.prod(sides) / sum(sides)))
    found = [row for row in rows if row["removed"] == "nothing" and row["scores"] == "as they are"]
    forward = [row["recall_at_1"] for row in found if row["direction"] == "->".join(_PAIR)]
    for recall, matrix in zip(forward, scores.values(), strict=True):
        best = [row.argmax() == i for i, row in enumerate(matrix)]
        wrong.append(abs(recall - np.mean(best)))
    return Check(error=float(max(wrong)), bound=1e-9)


def _one_way(x: Sequence[Sequence[str]], y: Sequence[Sequence[str]]) -> float:
    """Share of the phones of x that sound like words of y."""
    alike = [max(1 - _distance(v, w) / max(len(v), len(w)) for w in y) * len(v) for v in x]
    return sum(alike) / sum(map(len, x))


def _distance(v: Sequence[str], w: Sequence[str]) -> int:
    """Edit distance by its recurrence, row by row."""
    before = list(range(len(w) + 1))
    for i, phone in enumerate(v):
        row = [i + 1]
        for j, other in enumerate(w):
            row.append(min(before[j] + (phone != other), before[j + 1] + 1, row[j] + 1))
        before = row
    return before[-1]
