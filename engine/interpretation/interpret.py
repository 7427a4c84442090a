"""Conductor of interpretation: activation stores, grid and word times in, tables of word pairs out.

The unit of work is one language pair at one state. Its tables are parts; the process that finds all parts
complete joins them. Memory: two languages at one state, as in the grid job, and the tables of one unit (100
bytes a word pair; 350 sentences of 20 words have 150,000).
"""

import dataclasses
import logging
import time
from collections.abc import Mapping, Sequence

import pyarrow as pa

from isogloss.engine.activations.language_states import DamagedError
from isogloss.engine.drawing import picture_files
from isogloss.engine.interpretation import (
    align_words,
    inputs,
    outputs,
    report,
    tables as interpret_tables,
    unit as interpret_unit,
    work as interpret_work,
)
from isogloss.engine.interpretation.aligned_words import LanguageWords
from isogloss.engine.interpretation.inputs import InterpretInputs, PairState
from isogloss.engine.interpretation.interpret_config import InterpretConfig
from isogloss.engine.interpretation.outputs import InterpretOutputs
from isogloss.engine.interpretation.report import Checks, Recordings
from isogloss.engine.interpretation.word_pairs import Method
from isogloss.engine.runtime import compilation, out_folder, part_run, sentences
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.part_files import PartFiles
from isogloss.engine.runtime.progress import Progress
from isogloss.engine.texts import meaning, phones

_LOG = logging.getLogger(__name__)
_LAYOUT = 1  # of the parts; another number makes older parts unfindable


@dataclasses.dataclass(frozen=True, kw_only=True)
class InterpretSummary(InterpretOutputs):
    """Summary of a run, its outputs included; `done` and `skipped` count units.

    Attributes:
      done: computed by this run.
      skipped: of this process's share, complete before.
      missing: units whose scores the grid doesn't hold.
      seconds: of the run.
      sentence_pairs_per_second: throughput.
      plan: amount of work; with --dry_run also the estimated time.
      programs: numbers of programs compiled, and found in --compilation_cache.
    """

    done: int = 0
    skipped: int = 0
    missing: Sequence[str] = ()
    seconds: float = 0.0
    sentence_pairs_per_second: float = 0.0
    plan: Mapping[str, int | float] = dataclasses.field(default_factory=dict)
    programs: Mapping[str, int] = dataclasses.field(default_factory=dict)

    @property
    def complete(self) -> bool:
        """True if all sentence pairs of all units were compared."""
        return not self.failed and not self.missing and not self.left_out

    def sentence(self, config: InterpretConfig) -> str:
        """Amount of the share that is stored, and the page or what it waits for."""
        start = sentences.stored(self.done, self.skipped, len(self.failed), "units", config.out, config.share)
        lacking = f"; {len(self.missing):,} units are missing, named above" if self.missing else ""
        if self.waiting:
            return f"{start}{lacking}; the tables wait for {self.waiting:,} units of other shards"
        return f"{start}{lacking}; the tables are there" + (f", the page is {self.page}" if self.page else "")


def _method(config: InterpretConfig) -> Method:
    return Method(word_vector=config.word_vector, epsilon=config.epsilon, threshold=config.threshold)


def _settings(config: InterpretConfig) -> dict[str, Json]:
    """Settings that the tables of a unit depend on, without grid and words."""
    return {"layout": _LAYOUT, "sentence_pairs": config.sentence_pairs, **dataclasses.asdict(_method(config))}


@picture_files.draws
def run(config: InterpretConfig) -> InterpretSummary:
    """Summary of a run, which compares the words of all units left and writes the tables once none is.

    Raises:
      Refusal: bad input, before any compute.
      OSError: the tables can't be written.
    """
    start = time.monotonic()
    programs = compilation.keep(config.compilation_cache)
    opened = inputs.open_input(config.store, config.grid, config.pairs, config.states)
    settings = _settings(config)
    out_folder.check(config.out, "interpret", settings)
    report.refuse_folders(config.out, opened)
    words = None if config.words is None else inputs.read_words(config.words, opened)
    # Before any compute: a missing sentence encoder is found in seconds, not after hours.
    checks = _load_checks(config, opened)
    if opened.absent:
        _LOG.error(
            "%s: has no state %s, it has %s; the run continues with the others. "
            "Extract it if the model has it",
            config.grid,
            ", ".join(opened.absent),
            ", ".join(opened.grid.states),
        )
    if config.dry_run and words is None:
        # A unit's fingerprint needs its words, so it isn't known yet which units are complete.
        made, compared = InterpretSummary(missing=opened.lacking(), plan=_plan_with_words(config, opened)), 0
    else:
        made, compared = _interpret(config, opened, words, checks, settings)
    seconds = time.monotonic() - start
    return dataclasses.replace(
        made,
        seconds=round(seconds, 3),
        sentence_pairs_per_second=round(compared / seconds, 2),
        programs=programs(),
    )


def _plan_with_words(config: InterpretConfig, opened: InterpretInputs) -> dict[str, int | float]:
    """Amount of work of a run that also aligns the words."""
    aligning = align_words.align_plan(config, opened)
    comparing = interpret_work.work(opened, None, opened.units(), timed=_method(config))
    return comparing | {f"align_{name}": amount for name, amount in aligning.items()}


def _interpret(
    config: InterpretConfig,
    opened: InterpretInputs,
    words: Mapping[str, LanguageWords] | None,
    checks: Checks,
    settings: Mapping[str, Json],
) -> tuple[InterpretSummary, int]:
    """Summary without its times, and the number of sentence pairs compared; a dry run only plans.

    Without --words, words are aligned first, because the names of parts depend on them.
    """
    if words is None:
        align_words.align_all(config, opened)
        words = inputs.read_words(align_words.folder(config), opened)
    keys = opened.fingerprints(words, settings)
    parts = PartFiles(folder=config.out / "parts", keys=keys, kinds=interpret_tables.PARTS)
    mine = config.share.of(opened.units())
    todo = [unit for unit in mine if opened.name(unit) in keys and not parts.kept(opened.name(unit))]
    skipped = sum(parts.kept(opened.name(unit)) for unit in mine)
    missing = [name for name in map(opened.name, opened.units()) if name not in keys]
    for name in missing:
        _LOG.error("%s: %s isn't computed yet. Run the grid job, then this again", config.grid, name)
    missing += opened.lacking()
    if config.dry_run:
        plan = interpret_work.work(opened, words, todo, timed=_method(config))
        return InterpretSummary(skipped=skipped, missing=missing, plan=plan), 0
    out_folder.claim(config.out, "interpret", settings)
    compared = _compute(config, opened, words, todo, parts, skipped)
    written = outputs.write(config.out, opened, words, parts, checks, settings, _method(config))
    made = InterpretSummary(
        **vars(written),
        done=sum(parts.kept(opened.name(unit)) for unit in todo),
        skipped=skipped,
        missing=missing,
        plan=interpret_work.work(opened, words, todo),
    )
    return made, compared


def _compute(
    config: InterpretConfig,
    opened: InterpretInputs,
    words: Mapping[str, LanguageWords],
    todo: Sequence[PairState],
    parts: PartFiles,
    before: int,
) -> int:
    """Number of sentence pairs compared; the tables of every unit are written as its parts.

    `before` units were stored earlier.
    """
    reader, count = interpret_unit.Reader(opened), 0

    def made(unit: PairState) -> tuple[pa.Table, pa.Table]:
        nonlocal count
        compared = interpret_unit.compare(
            opened, unit, reader, words, sentence_pairs=config.sentence_pairs, method=_method(config)
        )
        count += sum(pair.found is not None for pair in compared)
        keys = (*unit.pair, opened.grid.states[unit.state])
        sentences = interpret_tables.sentence_pairs(keys, compared, _method(config).tolerance)
        return sentences, interpret_tables.word_pairs(keys, compared)

    progress = Progress("interpret", before + len(todo), "units", before=before)
    part_run.compute(parts, {opened.name(unit): unit for unit in todo}, made, progress, DamagedError)
    return count


def _load_checks(config: InterpretConfig, opened: InterpretInputs) -> Checks:
    """Models and recordings, loaded before any compute, so that a dry run also reports missing ones."""
    return Checks(
        encoder=meaning.load(config.sentence_encoder),
        voices=phones.Phones() if config.phones == "espeak" else None,
        pictures=config.pictures,
        recordings=Recordings(
            config.corpus, [member.store for member in opened.members.values()], config.columns
        )
        if config.corpus
        else None,
    )
