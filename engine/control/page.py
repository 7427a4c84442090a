"""HTML page of the control job, one file with all figures inside, see `drawing.page`.

Each language pair is a block of JSON, which the scripts unpack when a reader chooses it: 5 kB a state. The
first `MOST_PAIRS` are in the page; every further one is a script in a folder beside it, loaded on demand.
"""

import html
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa

from isogloss.engine.control.control_config import ControlConfig
from isogloss.engine.control.inputs import ControlInputs
from isogloss.engine.control.pair_data import FACTORS
from isogloss.engine.control.pair_tables import AS_IS, NOTHING
from isogloss.engine.control.terms import CAUTIONS, TERMS
from isogloss.engine.corpora.languages import language_name
from isogloss.engine.drawing import page
from isogloss.engine.drawing.colophon import colophon, facts
from isogloss.engine.grid.grid_store import Pair, pair_name
from isogloss.engine.retrieval import metrics
from isogloss.engine.retrieval.table import arrows
from isogloss.engine.runtime import version
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.options import recorded

MOST_PAIRS = 300
FOLDER = "control_pairs"
"""Folder of the scripts beside the page."""
_FOLDER = pathlib.Path(__file__).parent
_SCRIPTS = tuple(_FOLDER / f"page{part}.js" for part in ("", "_sets", "_view"))
_LEAD = (
    "R@1 far above chance proves nothing by itself. Is it <b>sound</b>, <b>meaning</b> or mere "
    "<b>length</b>? Challenge sets take sentences away, factors take their part of the score away, and "
    "another encoder shows what can be found without knowing."
)
_AGREEMENT = 200  # rows that the page shows


def render(
    config: ControlConfig, opened: ControlInputs, found: Mapping[str, pa.Table], notes: Sequence[str]
) -> tuple[str, Iterator[tuple[str, str]]]:
    """HTML of the whole page, and the scripts in `FOLDER` beside it, each with its name.

    Args:
      config: of the run.
      opened: its inputs.
      found: tables by name.
      notes: sentences on what is missing.
    """
    frames = {name: held.to_pandas() for name, held in found.items()}
    done = set(zip(frames["control"]["language_a"], frames["control"]["language_b"], strict=True))
    pairs = [pair for pair in opened.pairs if pair in done]
    files = [f"{page.address(pair_name(pair))}.js" for pair in pairs[MOST_PAIRS:]]
    states = [opened.grid.states[state] for state in opened.states]
    model = str(opened.grid.attributes.get("model", ""))
    beside = str(opened.against.attributes.get("model", "")) if opened.against else None
    heading = "Sound, meaning or length?" + (f" {model}" if model else "")
    meta: dict[str, Json] = {
        "pairs": [list(pair) for pair in pairs],
        "names": {code: language_name(code) for code in opened.texts},
        "directions": [arrows([pair]) for pair in pairs],
        "states": states,
        "depths": metrics.depths(states),
        "state": _best(frames["control"], states),
        "factors": [name for name in FACTORS if (frames["factors"]["factor"] == name).any()],
        "other": opened.against is not None,
        "inside": MOST_PAIRS,
        "files": files,
        "folder": FOLDER,
    }
    blocks = _Blocks(frames)
    shown = page.render(
        _body(config, heading, beside, notes, frames["agreement"], _made_from(config, opened, beside)),
        title=heading,
        styles=(_FOLDER / "page.css",),
        scripts=(*page.TO_WORK_IN, *_SCRIPTS),
        meta=meta,
        blocks={f"pair-{i}": blocks.of(pair) for i, pair in enumerate(pairs[:MOST_PAIRS])},
        numbers="control.csv and factors.csv",
        beside=bool(files),
    )
    beyond = zip(files, pairs[MOST_PAIRS:], strict=True)
    return shown, ((file, page.script_beside(file, blocks.of(pair))) for file, pair in beyond)


def _body(
    config: ControlConfig,
    heading: str,
    other: str | None,
    notes: Sequence[str],
    agreement: pd.DataFrame,
    made_from: Mapping[str, str],
) -> str:
    """Markup of the page; `other` is the name of the other encoder, None without one."""
    return page.filled(
        _FOLDER / "page.html",
        head=page.head(
            heading + (f", beside {other}" if other else ""),
            [_LEAD],
            alerts=notes,
            terms=TERMS,
        ),
        dashed="" if other is None else html.escape(f"Dashed: {other or 'the other encoder'}."),
        agreement=page.table_section("agreement", "Do the rules agree?", _agreement(agreement)),
        cautions="".join(f"<li>{html.escape(text)}</li>" for text in CAUTIONS),
        settings=page.table_section(
            "settings",
            "Settings of the run",
            page.settings_table({**recorded(config), "other encoder": other or "none"}),
        ),
        colophon=colophon(made_from),
    )


def _made_from(config: ControlConfig, opened: ControlInputs, other: str | None) -> dict[str, str]:
    """Facts for the colophon; the corpus is that of the texts where the grid doesn't know its own."""
    made = {"Corpus": config.corpus} | facts(opened.grid.attributes, opened.grid.path.name, version.today())
    if opened.against is None:
        return made
    return made | {"Other encoder": other or "not known", "Its grid": opened.against.path.name}


def _best(control: pd.DataFrame, states: Sequence[str]) -> int:
    """Index of the state of the highest mean R@1."""
    whole = control.loc[(control["scores"] == AS_IS) & (control["removed"] == NOTHING)]
    means = whole.groupby("state")["recall_at_1"].mean()
    return max(range(len(states)), key=lambda k: float(means.get(states[k], -1.0)), default=0)


class _Blocks:
    """Blocks of language pairs; where the rows of each lie is found once for all."""

    def __init__(self, frames: Mapping[str, pd.DataFrame]) -> None:
        self._frames = {name: frames[name] for name in ("control", "factors", "sentence_pairs")}
        self._rows = {
            name: frame.groupby(["language_a", "language_b"]).indices for name, frame in self._frames.items()
        }
        self._texts = frames["sentences"].set_index(["language", "sentence"])

    def of(self, pair: Pair) -> bytes:
        """Columns of a pair's tables as JSON."""
        none = np.zeros(0, int)
        mine = {
            name: frame.iloc[self._rows[name].get(pair, none)].drop(columns=["language_a", "language_b"])
            for name, frame in self._frames.items()
        }
        return _block(pair, mine, self._texts)


def _block(pair: Pair, mine: dict[str, pd.DataFrame], texts: pd.DataFrame) -> bytes:
    sentences = mine["sentence_pairs"]
    for side, code in zip("ab", pair, strict=True):
        held = texts.loc[code].reindex(sentences["sentence"])
        sentences[f"text_{side}"] = held["raw_transcription"].to_numpy()
        for column in ("names_found", "numbers_found"):
            if column in held:
                before = sentences[column] if column in sentences else [""] * len(sentences)
                more = held[column].fillna("").to_numpy()
                joined = ["; ".join(filter(None, both)) for both in zip(before, more, strict=True)]
                sentences[column] = joined
    packed = {name.replace("sentence_pairs", "sentences"): _columns(held) for name, held in mine.items()}
    return json.dumps(packed, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


def _columns(frame: pd.DataFrame) -> dict[str, list[Json]]:
    """Values by column, numbers to five digits, unknown ones null."""
    found: dict[str, list[Json]] = {}
    for name in frame.columns:
        values = frame[name].tolist()
        found[str(name)] = [
            (float(f"{value:.5g}") if np.isfinite(value) else None) if isinstance(value, float) else value
            for value in values
        ]
    return found


def _agreement(table: pd.DataFrame) -> str:
    """Table of kappa, first between rules."""
    ordered = table.sort_values("between", ascending=False, kind="stable").head(_AGREEMENT)
    heads = ("Pair", "Raters", "Sentences", "Marked", "Both", "Kappa")
    head = "".join(f"<th scope=col{' class=number' if k > 1 else ''}>{t}</th>" for k, t in enumerate(heads))
    rows = []
    for row in ordered.to_dict("records"):
        kappa = f"{row['kappa']:.2f}" if np.isfinite(row["kappa"]) else "-"
        texts = (
            f"{row['rater_a']}, {row['rater_b']}",
            str(row["n"]),
            f"{row['marked_a']}, {row['marked_b']}",
            str(row["marked_both"]),
            kappa,
        )
        cells = "".join(
            f"<td{' class=number' if k else ''}>{html.escape(text)}</td>" for k, text in enumerate(texts)
        )
        name = pair_name((str(row["language_a"]), str(row["language_b"])))
        rows.append(f"<tr><th scope=row>{html.escape(name)}</th>{cells}</tr>")
    more = f"<p class=note>agreement.csv has all {len(table):,} rows.</p>" if len(table) > len(rows) else ""
    return f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(rows)}</tbody></table>{more}"
