"""Scores side by side: a row for each model, a column for each task, each beside that of mismatched speech.

Models that learn one task lose others, so a score alone says little: all tasks stand in one line.
"""

from collections.abc import Mapping, Sequence

import pyarrow as pa

Row = Mapping[str, object]
METRICS = {"chrf": "chrF", "bleu": "BLEU"}
_KINDS = ("new", "zero-shot", "old")  # order of the columns


def tabulate(rows: Sequence[Row]) -> pa.Table:
    """Table of the rows of `model_scores`: chrF and BLEU of each model; null where it has no text."""
    at = {(row["model"], row["pair"]): row for row in rows}
    every = [(model, metric) for model in _models(rows) for metric in METRICS]
    columns: dict[str, list[object]] = {
        "model": [model for model, _ in every],
        "metric": [METRICS[metric] for _, metric in every],
    }
    for pair in _tasks(rows):
        for end in ("", "_mismatched"):
            columns[pair + end] = [at.get((model, pair), {}).get(metric + end) for model, metric in every]
    return pa.table(columns)


def shown(rows: Sequence[Row]) -> tuple[list[str], list[list[object]]]:
    """Head and lines for a terminal: chrF, that of mismatched speech in brackets."""
    at = {(row["model"], row["pair"]): row for row in rows}
    tasks = _tasks(rows)
    lines: list[list[object]] = [
        [
            model,
            *(
                f"{row['chrf']:.1f} ({row['chrf_mismatched']:.1f})"
                if (row := at.get((model, pair)))
                else None
                for pair in tasks
            ),
        ]
        for model in _models(rows)
    ]
    return ["chrF (mismatched)", *(f"{pair}, {kind}" for pair, kind in tasks.items())], lines


def _models(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(str(row["model"]) for row in rows))


def _tasks(rows: Sequence[Row]) -> dict[str, str]:
    """Kind of each task: first what was learnt, then zero-shot tasks, then old ones."""
    kinds = {str(row["pair"]): str(row["kind"]) for row in rows}
    return dict(sorted(kinds.items(), key=lambda item: _KINDS.index(item[1])))
