"""The check job: reads every recording of a corpus once, and lists what is wrong with it, line by line.

It finds what extract would refuse, report or cut, and what would spoil results unseen: silence, clipping,
repeated recordings and texts. One thread a core decodes, and a waveform is held while it is examined.
"""

import dataclasses
import logging
import os
import pathlib
import sys
import time
from collections.abc import Mapping, Sequence

import pyarrow as pa

from isogloss.engine.activations import encoders
from isogloss.engine.checkpoints.checkpoint import TORCH
from isogloss.engine.corpora import audio, corpus, manifest
from isogloss.engine.corpora.corpus import Corpus
from isogloss.engine.corpora.listing import Utterance
from isogloss.engine.operations import findings
from isogloss.engine.operations.check_config import CheckConfig
from isogloss.engine.operations.findings import CorpusProblem, Examined
from isogloss.engine.runtime import atomic_write, disk_faults, sentences, table_files
from isogloss.engine.runtime.ahead import computed_ahead
from isogloss.engine.runtime.progress import Progress, seconds_since
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.runtime.text_table import text_table
from isogloss.engine.whisper.encoder_program import FRAME_SECONDS, WINDOW_FRAMES
from isogloss.engine.whisper.tokenizer import Tokens

_LOG = logging.getLogger(__name__)
_SHOWN = 60  # rows on the terminal; --out has all


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckSummary:
    """Result of a run.

    Attributes:
      recordings: number that were read.
      languages: number of languages.
      hours: of audio that could be decoded.
      problems: number by kind.
      failed: reason by recording that the disk didn't give, so that nothing is known of it.
      through_ffmpeg: number of recordings that libsndfile can't read and ffmpeg can; in the table, too.
      table: path of the table; None without --out.
      seconds: duration of the run.
      plan: recordings to read.
    """

    recordings: int = 0
    languages: int
    hours: float = 0.0
    problems: Mapping[str, int]
    failed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    through_ffmpeg: int = 0
    table: str | None = None
    seconds: float
    plan: Mapping[str, int | float]

    @property
    def complete(self) -> bool:
        """True if nothing was found."""
        return not self.problems

    def sentence(self, config: CheckConfig) -> str:
        """Problems found, and the command that encodes the corpus."""
        count = sum(self.problems.values())
        more = f"; ffmpeg decodes {self.through_ffmpeg:,} of them" if self.through_ffmpeg else ""
        found = ", ".join(f"{number:,} {problem}" for problem, number in self.problems.items())
        table = f"; the table is {self.table}" if self.table else ""
        columns = {"columns": ",".join(config.columns)} if config.columns else {}
        extract = sentences.command(
            "extract", corpus=config.corpus, **columns, model=config.model or "MODEL", store="STORE"
        )
        return (
            f"checked {self.recordings:,} recordings of {self.languages} languages, {self.hours:.2f} h: "
            f"{f'{count:,} problems ({found})' if count else 'no problem'}{more}{table}; next: {extract}"
        )


def run(config: CheckConfig) -> CheckSummary:
    """Summary of a check; prints the problems on stderr and writes them to --out.

    Raises:
      Refusal: the corpus or the model can't be opened.
    """
    start = time.monotonic()
    window, tokens = _model(config)
    opened, found = _open(config)
    utterances: list[Utterance] = []
    codes = config.languages or opened.languages()
    if found and not opened.languages():  # no line of a manifest can be read: its rows say why
        codes = ()
    for code in codes:
        try:
            utterances += opened.listing(code, config.recordings).utterances
        except Refusal as error:
            if code in config.languages and code not in opened.languages():
                raise
            found.append(CorpusProblem(problem="unreadable list", language=code, detail=str(error)))
    found += findings.of_languages(utterances, tokens)
    examined: list[Examined | None] = []
    if not config.dry_run:
        examined = _examine(utterances, window, found)
        found += findings.repeated(utterances, examined)
    found.sort(key=lambda finding: (finding.line or 0, finding.language, finding.utterance))
    _report(found, None if config.dry_run else config.out)
    return CheckSummary(
        recordings=len(examined),
        languages=len(codes),
        hours=round(sum(each.seconds for each in examined if each) / 3600, 4),
        problems=findings.counts(found),
        failed={each.source: each.detail for each in found if each.problem == findings.UNREAD},
        through_ffmpeg=sum(each.through_ffmpeg for each in examined if each),
        table=str(config.out) if config.out and not config.dry_run else None,
        seconds=seconds_since(start),
        plan={"recordings": len(utterances)},
    )


def _model(config: CheckConfig) -> tuple[float, Sequence[str] | None]:
    """Window of the model in seconds, and the languages it has tokens for; those of Whisper without one."""
    if config.model is None:
        return WINDOW_FRAMES * FRAME_SECONDS, None
    opened = encoders.open_model(config.model, config.revision)
    if config.model.startswith(TORCH):  # these have no tokens of languages
        return opened.axis.window_seconds, None
    tokens = tuple(Tokens.load(config.model, config.revision).languages)
    return opened.axis.window_seconds, tokens or None


def _open(config: CheckConfig) -> tuple[Corpus, list[CorpusProblem]]:
    """Corpus, and the broken rules of its table if it is a manifest."""
    name, _, rest = config.corpus.partition(":")
    if name != "manifest" or not rest or config.columns:
        return corpus.open_corpus(config.corpus, config.columns), []
    opened = manifest.Manifest(pathlib.Path(rest).expanduser(), strict=False)
    # Missing files are listed all the same, and found when they are decoded.
    return opened, [
        CorpusProblem(problem="manifest", line=each.line, detail=each.text) for each in opened.problems
    ]


def _examine(
    utterances: Sequence[Utterance], window: float, found: list[CorpusProblem]
) -> list[Examined | None]:
    """Facts about all recordings, None for those that can't be decoded; adds their problems to `found`."""
    examined: list[Examined | None] = []
    threads = os.cpu_count() or 1
    progress = Progress("check", len(utterances), "recordings", verb="checked")
    for utterance, future in computed_ahead(utterances, findings.examine, threads=threads, ahead=2 * threads):
        try:
            examined.append(future.result())
        except audio.AudioError as error:
            kind = findings.UNREAD if disk_faults.may_pass(str(error)) else "broken"
            found.append(findings.of(kind, utterance, str(error)))
            examined.append(None)
        else:
            found += findings.of_recording(utterance, future.result(), window)
        progress.advance()
    progress.close()
    return examined


def _report(found: Sequence[CorpusProblem], out: pathlib.Path | None) -> None:
    names = [field.name for field in dataclasses.fields(CorpusProblem)]
    rows = [dataclasses.astuple(finding) for finding in found]
    if rows:
        print(text_table(names, rows, _SHOWN), file=sys.stderr)
    if out is None:
        return
    atomic_write.make_folder(out.parent)
    table = pa.Table.from_pylist([dataclasses.asdict(finding) for finding in found], _SCHEMA)
    write = table_files.write_parquet if out.suffix == ".parquet" else table_files.write_tsv
    atomic_write.write_whole(out, lambda file: write(table, file))


_SCHEMA = pa.schema(
    [
        (field.name, pa.int32() if field.name == "line" else pa.string())
        for field in dataclasses.fields(CorpusProblem)
    ]
)
