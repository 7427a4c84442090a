"""Figure of the word matches of one sentence pair, for papers.

Both recordings are drawn along the axes of their frame similarity matrix, with a frame around matched words.
Kinds of matches differ by colour and by line, so that they can be told apart in grey print. A figure takes
about a second. Text may be of any script, see `drawing.fonts`.
"""

import dataclasses
from collections.abc import Sequence

import matplotlib
import numpy as np
from jaxtyping import Float
from matplotlib import colors, patches
from matplotlib.axes import Axes
from matplotlib.backends import backend_agg
from matplotlib.figure import Figure
from scipy import optimize

from isogloss.engine.corpora.languages import language_name
from isogloss.engine.drawing import fonts
from isogloss.engine.drawing.style import INK, LIGHT, MUTED, RULE, SEQUENTIAL

MUTUAL, TRANSPORT = LIGHT["mutual"], LIGHT["transport"]
_MATCHED, _UNMATCHED = "#f4b183", RULE  # grounds of words under the waveforms
_DASHES = (0, (2.2, 1.2))
_STRIP = 0.5  # inches of a waveform


@dataclasses.dataclass(frozen=True, kw_only=True)
class FigureSide:
    """One recording of a sentence pair.

    Attributes:
      language: its code.
      words: in order of time.
      start: of each word, in seconds.
      end: of each word, in seconds.
      wave: samples over the recording's whole time, at any rate; None draws the words' times alone.
    """

    language: str
    words: Sequence[str]
    start: Sequence[float]
    end: Sequence[float]
    wave: Float[np.ndarray, " samples"] | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Match:
    """Two words that match: indices into the words of A and B, and the methods that match them."""

    a: int
    b: int
    mutual: bool
    transported: bool


def sentence_pair(
    similarity: Float[np.ndarray, "N M"],
    a: FigureSide,
    b: FigureSide,
    matches: Sequence[Match],
    *,
    frame_seconds: float,
    note: str,
) -> Figure:
    """Figure of the frame similarities of two recordings, with their words and their matches.

    Args:
      similarity: cosine of each frame of A, downwards, with each of B, to the right.
      a: the query's recording, on the left.
      b: the candidate's, above.
      matches: gaps (negative indices) are left out.
      frame_seconds: length of a frame.
      note: a line under the title, such as state and score.
    """
    seconds = [frame_seconds * length for length in similarity.shape]
    real = [match for match in matches if match.a >= 0 and match.b >= 0]
    families, missing = fonts.cover([*a.words, *b.words])
    with matplotlib.rc_context({"font.family": families}):
        figure = Figure(figsize=(7.2, 7.2), dpi=200, facecolor="white")
        backend_agg.FigureCanvasAgg(figure)
        names = [[fonts.boxed(word, missing) for word in side.words] for side in (a, b)]
        wide, high = _matrix_size(seconds, [len(a.words), len(b.words)])
        sizes = [_text_size(high, len(a.words)), _text_size(wide, len(b.words))]
        left, up = (_widest(figure, *side) for side in zip(names, sizes, strict=True))
        box = _place(figure, left + 0.32, up + 0.32, wide, high)
        matrix, strip_a, strip_b, scale = (
            figure.add_axes(box[name]) for name in ("matrix", "a", "b", "scale")
        )
        _similarities(matrix, scale, similarity, seconds)
        _frame_matches(matrix, a, b, real, frame_seconds)
        _strip(strip_a, a, {match.a for match in real}, seconds[0], frame_seconds, upright=True)
        _strip(strip_b, b, {match.b for match in real}, seconds[1], frame_seconds, upright=False)
        _write_words(strip_a, names[0], a, {match.a for match in real}, sizes[0], upright=True)
        _write_words(strip_b, names[1], b, {match.b for match in real}, sizes[1], upright=False)
        _head(figure, f"{language_name(a.language)} and {language_name(b.language)}", note)
        _legend(figure, real)
    return figure


def _matrix_size(seconds: Sequence[float], words: Sequence[int]) -> tuple[float, float]:
    """Inches across and down: one scale for both axes unless one recording is over twice as long."""
    # Beyond twice the length each axis has a scale of its own, or the short side had no room for its words.
    ratio = float(np.clip(seconds[0] / seconds[1], 0.5, 2))
    across = 4.9 if ratio <= 1 else 4.9 / ratio
    grow = max(1.0, 0.1 * words[1] / across, 0.1 * words[0] / (across * ratio))
    return across * grow, across * ratio * grow


def _text_size(length: float, words: int) -> float:
    """Points in which `words` lines fit into `length` inches."""
    return float(np.clip(72 * length / max(words, 1) / 1.25, 5.0, 9.0))


def _widest(figure: Figure, names: Sequence[str], size: float) -> float:
    """Inches that the longest word takes."""
    # Drawn to be measured, then removed: how wide a word is depends on the font of its script.
    widths = [0.2]
    for name in names:
        text = figure.text(0, 0, name, size=size, weight="bold", parse_math=False)
        widths.append(text.get_window_extent().width / figure.dpi)
        text.remove()
    return max(widths)


def _place(
    figure: Figure, left: float, up: float, wide: float, high: float
) -> dict[str, tuple[float, float, float, float]]:
    """Places of the figure's parts: the matrix, waveforms left of it and above, the scale."""
    width, height = 0.1 + left + _STRIP + wide + 1.15, 0.6 + up + _STRIP + high + 0.8
    figure.set_size_inches(width, height)
    x, y = 0.1 + left + _STRIP, 0.8
    # From the lower left corner; Matplotlib takes fractions of the figure, whose size is known only here.
    inches = {
        "matrix": (x, y, wide, high),
        "a": (x - _STRIP - 0.04, y, _STRIP, high),
        "b": (x, y + high + 0.04, wide, _STRIP),
        "scale": (x + wide + 0.55, y, 0.11, min(high, 2.2)),
    }
    return {
        name: (x0 / width, y0 / height, dx / width, dy / height) for name, (x0, y0, dx, dy) in inches.items()
    }


def _similarities(
    axes: Axes, scale: Axes, similarity: Float[np.ndarray, "N M"], seconds: Sequence[float]
) -> None:
    known = similarity[np.isfinite(similarity)]
    # Few frames of silence or of noise are far from all others; they shouldn't set the scale.
    low, high = np.quantile(known, [0.02, 0.998]) if known.size else (0.0, 1.0)
    ramp = colors.LinearSegmentedColormap.from_list("isogloss", SEQUENTIAL)
    image = axes.imshow(
        similarity,
        cmap=ramp,
        vmin=float(low),
        vmax=float(max(high, low + 1e-6)),
        extent=(0, seconds[1], seconds[0], 0),
        aspect="auto",
        interpolation="nearest",
    )
    axes.yaxis.tick_right()
    axes.tick_params(length=2, width=0.5, labelsize=7.5, color=MUTED, labelcolor=INK)
    axes.set_xlabel("seconds", size=8, color=INK)
    axes.yaxis.set_label_position("right")
    axes.spines[:].set_visible(False)
    bar = axes.figure.colorbar(image, cax=scale, extend="both", extendfrac=0.03)
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    scale.tick_params(length=0, labelsize=7.5, labelcolor=INK)
    scale.set_title("cosine", size=7.5, color=INK, loc="left", pad=6)


def _frame_matches(axes: Axes, a: FigureSide, b: FigureSide, matches: Sequence[Match], least: float) -> None:
    """A frame around the two words' time, or `least`; dashed where only transport matches them."""
    # Mutual matches last, so that their lines lie over dashed ones; white below keeps both readable.
    for match in sorted(matches, key=lambda match: match.mutual):
        x, y = b.start[match.b], a.start[match.a]
        size = (max(b.end[match.b] - x, least), max(a.end[match.a] - y, least))
        color, style = (MUTUAL, "-") if match.mutual else (TRANSPORT, _DASHES)
        for ink, width in (("white", 2.4), (color, 1.3)):
            solid = "-" if ink == "white" else style
            frame = patches.Rectangle(
                (x, y), *size, fill=False, ec=ink, lw=width, ls=solid, joinstyle="miter"
            )
            frame.set_alpha(0.55 if ink == "white" else 1)
            axes.add_patch(frame)


def _strip(
    axes: Axes, side: FigureSide, matched: set[int], seconds: float, least: float, *, upright: bool
) -> None:
    """Draw a waveform over the times of its words, each `least` or longer; without audio, the times alone."""
    span, fill = (axes.axhspan, axes.fill_betweenx) if upright else (axes.axvspan, axes.fill_between)
    for i, (start, end) in enumerate(zip(side.start, side.end, strict=True)):
        ground = _MATCHED if i in matched else _UNMATCHED
        span(start, max(end, start + least), color=ground, ec="white", lw=0.8)
    if side.wave is not None and side.wave.size:
        low, high, time = _envelope(side.wave, seconds)
        fill(time, low, high, color=INK, lw=0)
    axes.set_axis_off()
    along, across = (axes.set_ylim, axes.set_xlim) if upright else (axes.set_xlim, axes.set_ylim)
    along(seconds if upright else 0, 0 if upright else seconds)
    across(-1.05, 1.05)


def _envelope(
    wave: Float[np.ndarray, " samples"], seconds: float
) -> tuple[Float[np.ndarray, " K"], Float[np.ndarray, " K"], Float[np.ndarray, " K"]]:
    """Lowest and highest samples of up to 1200 intervals, scaled to 1 at most, and the intervals' times."""
    count = min(1200, wave.size)
    edges = np.linspace(0, wave.size, count, endpoint=False).astype(int)
    loudest = max(float(np.abs(wave).max()), 1e-9)
    time = (np.arange(count) + 0.5) / count * seconds
    return np.minimum.reduceat(wave, edges) / loudest, np.maximum.reduceat(wave, edges) / loudest, time


def _write_words(
    axes: Axes, names: Sequence[str], side: FigureSide, matched: set[int], size: float, *, upright: bool
) -> None:
    """Write words at their times, moved apart where they would overlap, with a line to the time."""
    low, high = sorted(axes.get_ylim() if upright else axes.get_xlim())
    box = axes.get_window_extent()
    per_point = (high - low) / (box.height if upright else box.width) * axes.figure.dpi / 72
    at = [(start + end) / 2 for start, end in zip(side.start, side.end, strict=True)]
    placed = spread(np.asarray(at, np.float64), 1.22 * size * per_point)
    across = "axes fraction"
    for i, (name, where, time) in enumerate(zip(names, placed, at, strict=True)):
        style = {"size": size, "color": INK if i in matched else MUTED, "parse_math": False}
        style |= {"weight": "bold" if i in matched else "normal", "annotation_clip": False}
        line = {"arrowstyle": "-", "color": RULE, "lw": 0.7, "shrinkA": 1, "shrinkB": 0}
        tip, end = ((0, time), (-0.36, where)) if upright else ((time, 1), (where, 1.36))
        kind = (across, "data") if upright else ("data", across)
        turned = (
            {"ha": "right", "va": "center"} if upright else {"ha": "center", "va": "bottom", "rotation": 90}
        )
        axes.annotate(name, tip, end, kind, kind, arrowprops=line, **turned, **style)


def spread(at: Float[np.ndarray, " W"], gap: float) -> Float[np.ndarray, " W"]:
    """Places at least `gap` apart, in the order of `at`, with the least sum of squared moves."""
    if not len(at):
        return at
    # With y_i = place_i - i * gap, "at least a gap apart" means that y doesn't fall: isotonic regression.
    steps = gap * np.arange(len(at))
    return optimize.isotonic_regression(np.maximum.accumulate(at) - steps).x + steps


def _head(figure: Figure, title: str, note: str) -> None:
    width, height = figure.get_size_inches()
    left, place = 0.15 / width, {"va": "top", "parse_math": False}
    figure.text(left, 1 - 0.12 / height, title, size=12, weight="bold", color=INK, **place)
    figure.text(left, 1 - 0.36 / height, note, size=8, color=MUTED, **place)


def _legend(figure: Figure, matches: Sequence[Match]) -> None:
    boxes = []
    if any(match.mutual for match in matches):
        boxes.append(patches.Patch(fill=False, ec=MUTUAL, lw=1.3, label="mutual best match"))
    if any(match.transported and not match.mutual for match in matches):
        dashed = {"fill": False, "ec": TRANSPORT, "ls": _DASHES, "lw": 1.3}
        boxes.append(patches.Patch(label="optimal transport only", **dashed))
    if boxes:
        figure.legend(handles=boxes, loc="lower left", ncols=2, frameon=False, fontsize=8, labelcolor=INK)
