"""The transcribe job: recordings or stores in, transcripts and tables of early exit out.

An utterance's states are computed or read once and decoded at every exit. `decoding.job` divides and resumes
the work.
"""

import dataclasses
import importlib.metadata
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import pyarrow as pa

from isogloss.engine.activations.state_source import ListedUtterance
from isogloss.engine.checkpoints import huggingface
from isogloss.engine.decoding import decoder_cost, job
from isogloss.engine.decoding.decoder_program import Decoding
from isogloss.engine.decoding.job import DecoderJob, DecoderJobSummary
from isogloss.engine.decoding.job_cost import Effort
from isogloss.engine.decoding.job_input import open_input
from isogloss.engine.decoding.utterance_blocks import Unit, UtteranceBlock
from isogloss.engine.drawing import picture_files
from isogloss.engine.runtime import devices, json_values
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.part_files import PartFiles
from isogloss.engine.transcription import (
    edit_counts,
    outputs,
    references,
    transcript_table,
    unit as transcribe_unit,
)
from isogloss.engine.transcription.references import References
from isogloss.engine.transcription.transcribe_config import TranscribeConfig
from isogloss.engine.transcription.transcript_table import Transcript

_LAYOUT = 1  # of a part file; another number makes older parts unfindable
_DECODER_SHARE = 0.05  # of a dense product's speed that generating a text reaches, for estimates
_ROW_BYTES = 500  # of transcripts.parquet, for estimates
_RECORDED = ("silence", "task", "references", "num_beams")  # options among the settings


@dataclasses.dataclass(frozen=True, kw_only=True)
class TranscribeSummary(DecoderJobSummary):
    """Summary of a run.

    Attributes:
      rows: number of rows of the summary table.
      best: by language, the best exit and its figures.
      summary: path of the table; None until all shards have finished.
    """

    rows: int = 0
    best: Mapping[str, Mapping[str, object]] = dataclasses.field(default_factory=dict)
    summary: str | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class TranscribeJob(DecoderJob[Transcript]):
    """The transcribe job, opened.

    Attributes:
      config: its options.
      references: of all languages.
    """

    name: ClassVar[str] = "transcribe"
    beyond: ClassVar[str] = "were transcribed up to its end, and scored by all of their reference"

    config: TranscribeConfig
    references: References

    def key(self, unit: UtteranceBlock) -> str:
        """Fingerprint of all that the unit's part depends on."""
        texts = self.references.by_utterance(unit.language)
        return unit.key(
            self.input.source,
            self.input.tokens[unit.language],
            layout=_LAYOUT,
            settings=self.identity,
            normaliser=self.references.normal[unit.language].rules,
            references=[texts.get(utterance.name, "") for utterance in unit.utterances],
        )

    def known(self, language: str) -> dict[str, Json]:
        """Part of what the job adds to `key` that is known before any recording is opened."""
        return {
            "layout": _LAYOUT,
            "normaliser": self.references.normal[language].rules,
            "translations": json_values.sha256(self.references.by_sentence),
        }

    def make(
        self, unit: UtteranceBlock, decoding: Decoding, advance: Callable[[], None]
    ) -> Sequence[Transcript]:
        """Transcripts of a unit's utterances, at every exit."""
        task = transcribe_unit.DecodingTask(
            task=self.config.task,
            exits=self.input.exits,
            beams=self.config.num_beams,
            token=self.input.tokens[unit.language],
            references=self.references.by_utterance(unit.language),
        )
        return transcribe_unit.transcribe(unit, task, self.input.source, decoding, advance)

    def part(self, made: Sequence[Transcript], language: str) -> pa.Table:
        """Table of a unit, an utterance at an exit a row."""
        return transcript_table.tabulate(made, language, self.config.task, self.references.normal[language])

    def without_states(self, part: pa.Table) -> set[str]:
        """Names of a part's utterances that had no states, without those left out on request."""
        return transcript_table.without_states(part)

    def unfit(self, language: str, utterance: ListedUtterance) -> str:
        """Nothing: whatever has states is transcribed."""
        return ""

    def cut(self, utterance: ListedUtterance) -> bool:
        """True if the recording goes on after the window."""
        return utterance.truncated

    def counts(self, units: Sequence[Unit], parts: PartFiles, *, whole: bool) -> dict[str, object]:
        """Number of utterances that are cut; place of the summary's table."""
        return {
            "truncated": sum(transcript_table.truncated(parts.table(unit.name)) for unit in units),
            "summary": str(self.config.out / "summary.parquet") if whole else None,
        }

    def write(self, units: Sequence[Unit], parts: PartFiles) -> dict[str, Json]:
        """Rows of the summary's table, and best exits."""
        normal = self.references.normal
        rows = outputs.write(self.config.out, self.config.task, self.input.exits, normal, units, parts)
        return {
            "rows": len(rows),
            "best": {str(row["language"]): _best(row) for row in rows if row["best"]},
        }

    @property
    def written_with(self) -> list[Json]:
        """Width and font of the figures, and the version of sacrebleu."""
        return [*self.config.drawn_as, importlib.metadata.version("sacrebleu")]


@picture_files.draws
def run(config: TranscribeConfig) -> TranscribeSummary:
    """Summary of a run of the job, see `job.run`; logs each language's best exit."""
    summary = job.run(config, open_job, TranscribeSummary)
    if summary.summary:
        outputs.log_best(pathlib.Path(summary.summary))
    return summary


def open_job(config: TranscribeConfig) -> TranscribeJob:
    """The job that the options name; a Refusal if an option can't be used."""
    given = open_input(config, silence=config.silence, task=config.task, window=config.window)
    if len(given.exits) > 1:
        outputs.check(config.out, list(given.source.languages))
    name, revision = config.vocabulary_source
    found = huggingface.optional_file(name, "normalizer.json", revision)
    spellings = edit_counts.read_spellings(found) if found else None
    return TranscribeJob(
        config=config,
        references=references.read(config, given, spellings),
        input=given,
        rows=config.decoder_rows
        or decoder_cost.rows_per_device(
            given.platform,
            given.checkpoint.dimensions,
            given.precision.compute,
            devices.memory(),
            config.num_beams,
        ),
        settings={
            **given.settings,
            "spellings_sha256": json_values.sha256(spellings),
            "exits": [dataclasses.asdict(exit) for exit in given.exits],
            **{name: getattr(config, name) for name in _RECORDED},
        },
        effort=Effort(
            readings=len(given.exits),
            beams=config.num_beams,
            row_bytes=len(given.exits) * _ROW_BYTES,
            programs=1,
            decoder_share=_DECODER_SHARE,
        ),
    )


def _best(row: outputs.Row) -> dict[str, Any]:
    metric = str(row["primary"])
    shown = ("state", "exit_norm", "primary", metric, f"{metric}_low", f"{metric}_high")
    figures = {key: row[key] for key in (*shown, "gain", "gain_low", "gain_high")}
    return {key: None if str(value) == "nan" else value for key, value in figures.items()}  # JSON has no NaN
