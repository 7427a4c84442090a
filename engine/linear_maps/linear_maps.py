"""The linear_maps job: reads activation stores, learns maps of languages, tests them on other sentences.

Units and part files are those of the similarity job. Memory: mean states of all languages at a state, and
with --measures=seqsim the frames of two languages, and of one in float32.
"""

import dataclasses
import math
import pathlib
import time
from collections.abc import Mapping

import jax
import numpy as np
import pyarrow as pa

from isogloss.engine.activations import language_states
from isogloss.engine.drawing import picture_files
from isogloss.engine.linear_maps import figures, fitting, held_out, tables
from isogloss.engine.linear_maps.held_out import LanguageSide, Setting
from isogloss.engine.linear_maps.linear_maps_config import LinearMapsConfig
from isogloss.engine.retrieval import table as retrieval_table
from isogloss.engine.retrieval.derived import BASELINE
from isogloss.engine.runtime import compilation, data_dictionary
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.similarity import pair_units
from isogloss.engine.similarity.pair_units import PairJob, PairSummary, PairUnits, Pooled, Unit
from isogloss.kernels import bootstrap, frame_scores

_COLUMNS = pathlib.Path(__file__).with_name(data_dictionary.NAME)
_LAYOUT = 3  # of the parts; another number makes older parts unfindable


@dataclasses.dataclass(frozen=True, kw_only=True)
class LinearMapsSummary(PairSummary):
    """Result of a run, with the mean figures of the table.

    Attributes:
      recall_at_1: mean over pairs and directions, by measure, method and state, without a pivot; `duration`
        is the length baseline.
      chance: mean of what guessing finds.
    """

    recall_at_1: Mapping[str, Mapping[str, Mapping[str, float]]] = dataclasses.field(default_factory=dict)
    chance: float | None = None

    def sentence(self, config: LinearMapsConfig) -> str:
        """Place of the table, and its figures at the state where a map finds most."""
        stored = self.place(config)
        if self.chance is None:
            return stored
        by_map = next(iter(self.recall_at_1.values()))
        best, state = max(
            (value, state) for kind in fitting.MAPS[1:] for state, value in by_map[kind].items()
        )
        return (
            f"{stored}. At state {state} {by_map['centred'][state]:.1%} of the held-out sentences are found "
            f"without a map, {best:.1%} with one, {by_map[BASELINE][state]:.1%} by their length alone, "
            f"{self.chance:.1%} by chance"
        )


@picture_files.draws
def run(config: LinearMapsConfig) -> LinearMapsSummary:
    """Summary of a run that computes the missing units, and writes table and figure if none is left.

    Raises:
      Refusal: there are fewer than two languages, or of different models, or without the pivot, or OUT can't
        be written to.
      OSError: the table can't be written.
    """
    implementation = frame_scores.default_implementation(jax.default_backend())
    setting = Setting(measures=config.measures, parts=config.folds, implementation=implementation)
    # Means alone are compared in NumPy: nothing is compiled.
    if "seqsim" in config.measures:
        compilation.keep(config.compilation_cache, implementation)
    settings: list[Json] = [_LAYOUT, list(config.measures), config.folds, config.pivot]
    settings += [implementation, fitting.PENALTIES.tolist(), bootstrap.SEED, bootstrap.RESAMPLES]
    job = PairJob(
        name="linear_maps",
        schema=tables.OF_PARTS,
        rows=lambda work, unit, pooled: _rows(config, setting, work, unit, pooled),
        outputs=lambda table: _write(config, table),
        settings={"figures": config.drawn_as},
        seconds_of_a_pair=lambda work: _seconds_of_a_pair(setting, work),
    )
    work = pair_units.open_units(job.name, config, settings, (config.pivot,) if config.pivot else ())
    return pair_units.run(job, config, work, LinearMapsSummary)


def _rows(
    config: LinearMapsConfig, setting: Setting, work: PairUnits, unit: Unit, pooled: Pooled
) -> pa.Table:
    """Rows of one language with all languages after it."""
    state, a = unit
    pivot = _side(work, config.pivot, state, pooled, frames=False) if config.pivot else None
    # Frames of a language are hundreds of times its means, so they are read only where they are compared.
    frames = "seqsim" in config.measures
    query = _side(work, a, state, pooled, frames=frames)
    rows = []
    for b in work.after(a):
        common, _ = work.common(a, b)
        found = None
        if len(common) >= setting.fewest:
            candidate = _side(work, b, state, pooled, frames=frames)
            found = held_out.evaluate(query, candidate, pivot, common, setting)
        ways = held_out.routes(a, b, config.pivot)
        rows += tables.rows((a, b), state, config.measures, ways, len(common), config.folds, found)
    return pa.Table.from_pylist(rows, schema=tables.OF_PARTS)


def _side(work: PairUnits, code: str, state: str, pooled: Pooled, *, frames: bool) -> LanguageSide:
    member = work.members[code]
    return LanguageSide(
        code=code,
        places={sentence: i for i, sentence in enumerate(member.sentences)},
        means=pooled[code],
        lengths=member.frames,
        frames=language_states.read(member, state) if frames else (),
    )


def _write(config: LinearMapsConfig, rows: pa.Table) -> dict[str, Json]:
    """Facts for the summary, after table and figure are written."""
    whole = tables.with_q(rows, config.fdr)
    retrieval_table.write_table(whole, config.out, "linear_maps")
    data_dictionary.write(config.out, _COLUMNS)
    frame = whole.to_pandas()
    picture_files.save(figures.curves(frame), config.out / "linear_maps")
    known = frame.loc[(frame["pivot_language"] == "") & frame["recall_at_1"].notna()]
    means: dict[str, Json] = {}
    for measure, of_measure in known.groupby("measure", sort=False):
        by_map = of_measure.groupby(["method", "state"], sort=False)["recall_at_1"].mean().round(6)
        means[str(measure)] = {kind: by_map[kind].to_dict() for kind in held_out.METHODS}
    facts: dict[str, Json] = {"rows": whole.num_rows, "recall_at_1": means}
    return facts | ({"chance": round(float(known["chance"].mean()), 6)} if len(known) else {})


def _seconds_of_a_pair(setting: Setting, work: PairUnits) -> float:
    """Duration of a comparison of random states of this size; the second one, when programs are compiled."""
    n = max(len(member.rows) for member in work.members.values())
    store = next(iter(work.members.values())).store
    length = math.ceil(np.mean([member.frames.mean() for member in work.members.values()]))
    rng, sentences = np.random.default_rng(0), [str(i) for i in range(n)]
    if n < setting.fewest:
        return 0.0
    seqsim = "seqsim" in setting.measures
    sides = [
        LanguageSide(
            code=code,
            places={sentence: i for i, sentence in enumerate(sentences)},
            means=rng.standard_normal((n, store.features)).astype(np.float32),
            lengths=rng.integers(1, length + 1, n),
            frames=list(rng.standard_normal((n, length, store.features), np.float32)) if seqsim else (),
        )
        for code in ("a", "b", *work.always)
    ]
    times = []
    for _ in range(2):
        begin = time.monotonic()
        held_out.evaluate(sides[0], sides[1], sides[2] if work.always else None, sentences, setting)
        times.append(time.monotonic() - begin)
    # The first call compiles.
    return min(times)
