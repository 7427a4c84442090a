"""Scores side by side: a row for each model, a column for each task, each beside that of mismatched speech.

Models that learn one task lose others, so a score alone says little: all tasks stand in one line. Beside a
score are the ends of its interval, and its paired difference from the first model with those of that.
"""

import math
from collections.abc import Mapping, Sequence

import pyarrow as pa

Row = Mapping[str, object]
METRICS = {"chrf": "chrF", "bleu": "BLEU", "comet": "COMET"}
COLUMNS = ("", "_low", "_high", "_difference", "_difference_low", "_difference_high", "_mismatched")
"""Ends of a task's columns."""
_KINDS = ("new", "zero-shot", "old")  # order of the columns


def tabulate(rows: Sequence[Row]) -> pa.Table:
    """Table of the rows of `model_scores`: a line of each model and metric; null where there is no figure.

    COMET has lines if any score of it was given.
    """
    at = {(row["model"], row["pair"]): row for row in rows}
    metrics = [name for name in METRICS if any(_figure(row, name) is not None for row in rows)]
    every = [(model, metric) for model in _models(rows) for metric in metrics]
    columns: dict[str, list[object]] = {
        "model": [model for model, _ in every],
        "metric": [METRICS[metric] for _, metric in every],
    }
    for pair in _tasks(rows):
        for end in COLUMNS:
            columns[pair + end] = [
                _figure(at.get((model, pair), {}), metric + end) for model, metric in every
            ]
    kinds = [(name, pa.string() if name in ("model", "metric") else pa.float64()) for name in columns]
    return pa.table(columns, pa.schema(kinds))


def lacking(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Tasks that other models have, by each model that lacks some."""
    at, tasks = {(row["model"], row["pair"]) for row in rows}, _tasks(rows)
    found = {model: [pair for pair in tasks if (model, pair) not in at] for model in _models(rows)}
    return {model: missing for model, missing in found.items() if missing}


def _figure(row: Row, name: str) -> float | None:
    """Figure of a row; None if it has none, or NaN."""
    value = float(str(row.get(name, "nan")))
    return None if math.isnan(value) else value


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
