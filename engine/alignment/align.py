"""The align job: recordings or stores and their texts in, the frames of every word out.

A text that can't be aligned is reported by name, and the run continues. `decoding.job` divides and resumes
the work.
"""

import dataclasses
import logging
from collections.abc import Callable, Sequence
from typing import ClassVar

import pyarrow as pa

from isogloss.engine.activations.state_source import ListedUtterance
from isogloss.engine.alignment import unit as align_unit, word_tables, word_timestamps
from isogloss.engine.alignment.align_config import AlignConfig
from isogloss.engine.alignment.word_tables import Aligned
from isogloss.engine.decoding import decoder_cost, job
from isogloss.engine.decoding.decoder_program import Decoding
from isogloss.engine.decoding.job import DecoderJob, DecoderJobSummary
from isogloss.engine.decoding.job_cost import Effort
from isogloss.engine.decoding.job_input import DecoderInput, open_input
from isogloss.engine.decoding.utterance_blocks import Unit, UtteranceBlock
from isogloss.engine.runtime import devices
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.part_files import PartFiles
from isogloss.engine.whisper import alignment_heads
from isogloss.engine.whisper.alignment_heads import AlignmentHeads

_LAYOUT = 2  # of a part file; another number makes older parts unfindable
_ROW_BYTES = 2000  # of an utterance in the tables and its part, for estimates
_DECODER_SHARE = 0.2  # of a dense product's speed that reading a text reaches, for estimates
_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class AlignSummary(DecoderJobSummary):
    """Summary of a run; its counts are of all shares if all units are done.

    Attributes:
      words: aligned.
      empty_words: words without a frame of their own.
      tied: utterances with another warping path of equal cost.
      heads: origin of the alignment heads.
      table: path of words.parquet; None until all shards have finished.
    """

    words: int = 0
    empty_words: int = 0
    tied: int = 0
    heads: str = ""
    table: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class AlignJob(DecoderJob[Aligned]):
    """The align job, opened.

    Attributes:
      config: its options.
      heads: of the decoder's cross-attention that follow the words.
    """

    name: ClassVar[str] = "align"
    beyond: ClassVar[str] = (
        "were aligned with all of their transcription: their last words may have wrong times"
    )

    config: AlignConfig
    heads: AlignmentHeads

    def key(self, unit: UtteranceBlock) -> str:
        """Fingerprint of all that the unit's part depends on."""
        given = self.input
        return unit.key(given.source, given.tokens[unit.language], layout=_LAYOUT, settings=self.identity)

    def known(self, language: str) -> dict[str, Json]:
        """Part of what the job adds to `key` that is known before any recording is opened."""
        return {"layout": _LAYOUT}

    def make(
        self, unit: UtteranceBlock, decoding: Decoding, advance: Callable[[], None]
    ) -> Sequence[Aligned]:
        """Words of a unit's utterances."""
        work = align_unit.Work(
            source=self.input.source,
            decoding=decoding,
            heads=self.heads.heads,
            text=self.config.text,
            exit_norm=self.config.exit_norm == "true",
            tokens=self.input.tokens,
        )
        return align_unit.align(unit, work, advance)

    def part(self, made: Sequence[Aligned], language: str) -> pa.Table:
        """Table of a unit, an utterance a row."""
        return word_tables.tabulate(made, language)

    def without_states(self, part: pa.Table) -> set[str]:
        """Names of a part's utterances that had no states, without those left out on request."""
        rows = part.select(["utterance", "without_states", "left_out"]).to_pylist()
        return {row["utterance"] for row in rows if row["without_states"] and not row["left_out"]}

    def unfit(self, language: str, utterance: ListedUtterance) -> str:
        """Reason why an utterance's transcription can't be aligned; a decoded text is not known yet."""
        token = self.input.tokens[language]
        if self.config.text == "decoded" or token.how == "detected":
            return ""
        sizes = self.input.checkpoint.dimensions
        reason = align_unit.unfit(utterance, language, token, self.input.vocabulary, sizes.text_positions)
        return f"{utterance.name}: {reason}" if reason else ""

    def cut(self, utterance: ListedUtterance) -> bool:
        """True if words of the transcription may lie beyond the window; a decoded text has none there."""
        return utterance.truncated and self.config.text == "reference"

    def counts(self, units: Sequence[Unit], parts: PartFiles, *, whole: bool) -> dict[str, object]:
        """Counts of words and utterances; place of the table of words."""
        rows = [row for unit in units for row in word_tables.rows(parts.table(unit.name))]
        # The decoder sees 30 s; a reference text may be longer, and its last words are squeezed into the end.
        squeezed = self.config.text == "reference"
        return {
            "words": sum(int(str(row["words"])) for row in rows),
            "empty_words": sum(int(str(row["empty_words"])) for row in rows),
            "tied": sum(bool(row["tied"]) for row in rows),
            "truncated": sum(bool(row["truncated"] and row["words"] and squeezed) for row in rows),
            "heads": self.heads.source,
            "table": str(self.config.out / "words.parquet") if whole else None,
        }

    def write(self, units: Sequence[Unit], parts: PartFiles) -> dict[str, Json]:
        """Nothing more than `counts`, after writing the tables."""
        word_tables.write(self.config.out, units, parts)
        return {}


def run(config: AlignConfig) -> AlignSummary:
    """Summary of a run of the job, see `job.run`."""
    return job.run(config, open_job, AlignSummary)


def open_job(config: AlignConfig) -> AlignJob:
    """The job that the options name; a Refusal if an option can't be used."""
    given = open_input(config, silence=True)
    heads = alignment_heads.choose(given.checkpoint)
    level = logging.INFO if heads.listed else logging.WARNING
    _LOG.log(level, "%s: %d alignment heads, %s", given.checkpoint.name, len(heads.heads), heads.source)
    [exit] = given.exits
    return AlignJob(
        config=config,
        heads=heads,
        input=given,
        rows=config.decoder_rows or _rows_here(config, given, len(heads.heads)),
        settings={
            **given.settings,
            "heads": [list(pair) for pair in heads.heads],
            "heads_from": heads.source,
            "exit": dataclasses.asdict(exit),
            "text": config.text,
        },
        effort=Effort(
            readings=2 if config.text == "decoded" else 1,
            beams=1,
            row_bytes=_ROW_BYTES,
            programs=2 if config.text == "decoded" else 1,
            decoder_share=_DECODER_SHARE,
        ),
    )


def _rows_here(config: AlignConfig, given: DecoderInput, heads: int) -> int:
    """Utterances of a step that suit this machine."""
    here = given.platform, given.checkpoint.dimensions, given.precision.compute, devices.memory()
    read = word_timestamps.rows_per_device(*here, heads)
    if config.text == "reference":
        return read
    generated = decoder_cost.rows_per_device(*here)
    # On a CPU one row fills the cores while its text is read, but not while tokens are generated one by one.
    return generated if given.platform == "cpu" else min(read, generated)
