"""Tables and figures of a transcription, written once all parts are complete.

transcripts.parquet holds every row; summary.parquet and summary.csv have one row per language, state and
form of exit; figures exits_<language> show the error rates by state if there are several exits. One
language is in memory at a time: 12,000 rows for 350 utterances at 34 states.
"""

import itertools
import logging
import math
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import pyarrow as pa

from isogloss.engine.decoding.early_exit import Exit
from isogloss.engine.decoding.utterance_blocks import Unit, language_of
from isogloss.engine.drawing import picture_files
from isogloss.engine.runtime import atomic_write, table_files
from isogloss.engine.runtime.part_files import PartFiles
from isogloss.engine.transcription import summary as transcript_summary, transcript_table
from isogloss.engine.transcription.edit_counts import Normaliser

_LOG = logging.getLogger(__name__)
Row = Mapping[str, object]


def check(out: pathlib.Path, languages: Sequence[str]) -> None:
    """Refuse folders where figures of these languages would go, before anything is computed."""
    picture_files.refuse_folders(file for language in languages for file in _figures(out, language))


def _figures(out: pathlib.Path, language: str) -> set[pathlib.Path]:
    return set(picture_files.files(out / f"exits_{language}"))


def write(
    out: pathlib.Path,
    task: str,
    exits: Sequence[Exit],
    normal: Mapping[str, Normaliser],
    units: Sequence[Unit],
    parts: PartFiles,
) -> list[Row]:
    """Rows of the summary, written with all other tables and the figures.

    `normal` has the normaliser of each language's references; `units` are all, language by language.
    """
    summary: list[Row] = []

    def languages() -> Iterator[pa.Table]:
        # One language in memory at a time.
        for language, own in itertools.groupby(units, key=lambda unit: unit.language):
            table = pa.concat_tables([parts.table(unit.name) for unit in own]).combine_chunks()
            summary.extend(transcript_summary.rows(table, exits, task, normal[language]))
            yield table

    atomic_write.write_whole(
        out / "transcripts.parquet",
        lambda file: table_files.write_parquet_in_pieces(transcript_table.SCHEMA, languages(), file),
    )
    table = transcript_summary.tabulate(summary)
    atomic_write.write_whole(out / "summary.parquet", lambda file: table_files.write_parquet(table, file))
    atomic_write.write_whole(out / "summary.csv", lambda file: table_files.write_csv(table, file))
    # A curve over a single exit shows nothing.
    _remove_old_figures(out, parts, _draw(out, summary, normal) if len(exits) > 1 else set())
    return summary


def _draw(out: pathlib.Path, summary: Sequence[Row], languages: Iterable[str]) -> set[pathlib.Path]:
    """Files of the figures, one of each language."""
    from isogloss.engine.transcription import exit_figure  # noqa: PLC0415  (imports Matplotlib)

    drawn = set()
    for language in languages:
        figure = exit_figure.draw([row for row in summary if row["language"] == language])
        drawn |= set(picture_files.save(figure, out / f"exits_{language}"))
    return drawn


def _remove_old_figures(out: pathlib.Path, parts: PartFiles, drawn: set[pathlib.Path]) -> None:
    """Remove figures of languages that an earlier run drew and that this run leaves out.

    Only languages that have parts here are meant, so files of the user's own stay.
    """
    for language in {language_of(name) for name in parts.units_of_any_key()}:
        picture_files.remove(_figures(out, language) - drawn)


def log_best(table: pathlib.Path) -> None:
    """Log the best exit of each language, by summary.parquet."""
    _LOG.info("best exit of each language:\n%s", best_exits(table_files.read_parquet(table).to_pylist()))


def best_exits(summary: Sequence[Row]) -> str:
    """Text table of each language's best exit and its gain, with intervals."""
    lines: list[tuple[str, ...]] = [
        ("language", "token", "scored", "metric", "state", "norm", "best", "gain on final")
    ]
    for row in summary:
        if row["best"]:
            metric = str(row["primary"])
            best = _figure(row, metric, metric)
            named = (str(row[key]) for key in ("language", "language_token", "scored", "primary", "state"))
            lines.append((*named, "yes" if row["exit_norm"] else "no", best, _figure(row, "gain", metric)))
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join("  ".join(map(str.ljust, line, widths)).rstrip() for line in lines)


def _figure(row: Row, name: str, metric: str) -> str:
    # sacrebleu's scores run to 100, error rates are fractions.
    scale = 1 if metric.startswith(("bleu", "chrf")) else 100
    value, low, high = (scale * float(str(row[f"{name}{end}"])) for end in ("", "_low", "_high"))
    return "-" if math.isnan(value) else f"{value:.1f} [{low:.1f}, {high:.1f}]"
