"""Figure of one language: its error rates, or BLEU and chrF, by the state that enters the decoder.

Two panels share an axis of states. Exits with and without the final LayerNorm have a line each with a 95%
band; the final state is a dotted line, the best exit has a ring. A rate over 150%, which means endless
repetition, is a triangle at the upper edge.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float
from matplotlib import ticker
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from isogloss.engine.corpora.languages import language_name
from isogloss.engine.drawing import panels
from isogloss.engine.drawing.style import INK, LINES, MUTED

_TOP = 1.5  # of an error rate's axis
_PANELS = {
    "transcribe": (("wer_normalised", "Word error rate"), ("cer_normalised", "Character error rate")),
    "translate": (("bleu", "BLEU"), ("chrf", "chrF")),
}
_TOKENS = {"zh": "Chinese characters and other words", "char": "characters"}  # by sacrebleu's tokenizer
_FORMS = {True: "with the final LayerNorm", False: "without"}
Row = Mapping[str, object]


def draw(rows: Sequence[Row]) -> Figure:
    """Figure of one language's rows of the summary, at least one."""
    first = rows[0]
    task = str(first["task"])
    figure = panels.blank(8.4, 3.9)
    states = list(dict.fromkeys(str(row["state"]) for row in rows))
    for panel, (metric, title) in zip(figure.subplots(1, 2), _PANELS[task], strict=True):
        main = metric == first["primary"]
        _lines(panel, rows, states, metric, percent=task == "transcribe")
        if main:
            _ring(panel, rows, states, metric, percent=task == "transcribe")
        note = ", the one to look at" if main else ""
        panel.set_title(title + note, loc="left", size=10.5, weight="bold", color=INK)
    name = language_name(str(first["language"]))
    code = str(first["language"])
    title = code if name == code else f"{name} ({code})"
    head = f"{title}, {task}: {first['scored']} utterances"
    figure.text(x=0.02, y=0.975, s=head, size=12, weight="bold", color=INK, va="top")
    note = f"token {first['language_token'] or '-'} ({first['language_token_by']}), 95% intervals"
    if task == "transcribe":
        note += f", normalised ({first['normaliser']})"
    if unit := _TOKENS.get(_tokenizer(first)):
        note += f", BLEU of {unit}"
    figure.text(x=0.02, y=0.905, s=note, size=8, color=MUTED, va="top")
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="lower center", ncols=3, frameon=False, fontsize=8.5)
    figure.subplots_adjust(left=0.07, right=0.985, top=0.77, bottom=0.21, wspace=0.14)
    return figure


def _tokenizer(row: Row) -> str:
    """Tokenizer of a row's BLEU, by its signature; "" of a transcription."""
    parts = (part.partition(":") for part in str(row["bleu_signature"]).split("|"))
    return next((value for name, _, value in parts if name == "tok"), "")


def _lines(axes: Axes, rows: Sequence[Row], states: Sequence[str], metric: str, *, percent: bool) -> None:
    for norm, color in zip((True, False), LINES, strict=False):
        mine = [row for row in rows if row["exit_norm"] is norm]
        if not mine:
            continue
        x = np.asarray([states.index(str(row["state"])) for row in mine])
        value, low, high = (_column(mine, f"{metric}{end}") for end in ("", "_low", "_high"))
        axes.fill_between(x, low, high, color=color, alpha=0.16, lw=0)
        axes.plot(x, value, color=color, lw=1.7, marker="o", ms=3.5, label=_FORMS[norm])
        if percent:
            over = value > _TOP
            axes.plot(x[over], np.full(over.sum(), 0.97 * _TOP), "^", color=color, ms=6, clip_on=False)
    final = [row for row in rows if row["state"] == "final"]
    if final:
        level = _column(final, metric)[0]
        axes.axhline(level, color=MUTED, lw=0.9, ls=(0, (1, 2)), label="final state")
    _axes(axes, states, percent=percent)


def _axes(axes: Axes, states: Sequence[str], *, percent: bool) -> None:
    shown = panels.labelled(len(states), 16)
    axes.set_xticks(shown, [states[i] for i in shown])
    axes.set(xlim=(-0.3, len(states) - 0.7), xlabel="state")
    if percent:
        axes.yaxis.set_major_formatter(ticker.PercentFormatter(1, 0))
        axes.set_ylim(0, min(_TOP, axes.get_ylim()[1]))
    else:
        axes.set_ylim(0, None)
    panels.plain(axes)


def _ring(axes: Axes, rows: Sequence[Row], states: Sequence[str], metric: str, *, percent: bool) -> None:
    """Ring the best exit and write its figure beside it."""
    for row in rows:
        if not row["best"]:
            continue
        x, y = states.index(str(row["state"])), float(_column([row], metric)[0])
        figure = f"{100 * y:.1f}%" if percent else f"{y:.1f}"
        axes.plot(x, min(y, _TOP) if percent else y, "o", mec=INK, mfc="none", ms=10, mew=1.3)
        left = x > (len(states) - 1) / 2
        axes.annotate(
            f"best: {row['state']}, {figure}",
            (x, min(y, _TOP) if percent else y),
            xytext=(-8 if left else 8, 12),
            textcoords="offset points",
            ha="right" if left else "left",
            size=8.5,
            color=INK,
        )


def _column(rows: Sequence[Row], name: str) -> Float[np.ndarray, " E"]:
    return np.asarray([row[name] for row in rows], np.float64)
