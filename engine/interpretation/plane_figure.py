"""Plane of matches: likeness in sound and in meaning of matched words, with that of random word pairs.

A point is a pair of words (types), its area the number of their matches. Grey levels contain 50, 80 and 95%
of random word pairs that don't match. Dashed limits are those of `match_tests`: 5% of these random pairs are
beyond each. A figure takes about a second.
"""

import matplotlib
import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.backends import backend_agg
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox
from scipy import ndimage

from isogloss.engine.corpora.languages import language_name
from isogloss.engine.drawing import fonts
from isogloss.engine.drawing.style import INK, LIGHT, MUTED, RULE
from isogloss.engine.interpretation import match_tests

_COLORS = {name: LIGHT[name] for name in reversed(match_tests.ALIKE)}
_NAMES = {"mutual": "Mutual best matches", "transport": "Matches by optimal transport"}
_MASSES = (0.95, 0.8, 0.5)
_GREYS = ("#eef0f2", "#dfe3e7", "#cdd3d9")
_PAPER = {"facecolor": "white", "alpha": 0.7, "linewidth": 0, "pad": 0.4}  # a halo would make paths of words
_LABELS = 16  # most word pairs named in a panel


def plane(checked: match_tests.CheckedMatches, language_a: str, language_b: str, state: str) -> Figure | None:
    """Figure of a language pair and state, a panel per kind of match; None without meaning or sound."""
    pair = {"language_a": language_a, "language_b": language_b}
    found = _where(checked.pairs, pair | {"state": state}).dropna(subset=list(match_tests.CHECKS))
    random = _where(checked.random, pair | {"state": state}).dropna(subset=list(match_tests.CHECKS))
    if found.empty or random.empty:
        return None
    found = found.assign(sound=1 - found["sound_distance"])
    families, missing = fonts.cover([*found["word_a"], *found["word_b"]])
    with matplotlib.rc_context({"font.family": families}):
        figure = Figure(figsize=(10.4, 5.9), dpi=200, facecolor="white")
        backend_agg.FigureCanvasAgg(figure)
        panels = figure.subplots(1, 2, sharex=True, sharey=True)
        low = min(0.0, *(float(np.min(table["meaning"].to_numpy(float))) for table in (random, found)))
        for panel, kind in zip(panels, match_tests.KINDS, strict=True):
            _chance(panel, random, low)
            panel.set(xlim=(-0.06, 1.06), ylim=(low - 0.06, 1.1))
            panel.set_title(_NAMES[kind], loc="left", size=10, weight="bold", color=INK, pad=34)
            names = pair | {"state": state, "kind": kind}
            panel.text(0, 1.025, _test_lines(_where(checked.tests, names)), **_small(panel))
            _limits(panel, _where(checked.plane, names))
            _axes(panel)
        # Points are labelled last: whether names overlap depends on the axes' final places.
        figure.subplots_adjust(left=0.06, right=0.985, top=0.80, bottom=0.10, wspace=0.06)
        for panel, column in zip(panels, match_tests.KINDS.values(), strict=True):
            _points(panel, _types(found.loc[found[column]], missing))
        panels[0].set_ylabel("means alike: cosine of the words' sentence encodings", size=8.5, color=INK)
        title = " and ".join(map(language_name, (language_a, language_b)))
        place = {"x": 0.014, "va": "top"}
        figure.text(y=0.98, s=f"{title}, state {state}", size=12, weight="bold", color=INK, **place)
        note = (
            "Grey: 50, 80 and 95% of random word pairs of the same sentences that don't match; "
            "dashed: their 5% most alike"
        )
        figure.text(y=0.94, s=note, size=8, color=MUTED, **place)
    return figure


def _where(table: pd.DataFrame, values: dict[str, str]) -> pd.DataFrame:
    keep = np.ones(len(table), bool)
    for column, value in values.items():
        keep &= (table[column].astype(str) == value).to_numpy(bool)
    return table.loc[keep]


def _small(axes: Axes) -> dict[str, object]:
    return {
        "size": 7.5,
        "color": MUTED,
        "transform": axes.transAxes,
        "va": "bottom",
        "linespacing": 1.5,
    }


def _test_lines(tests: pd.DataFrame) -> str:
    """Text with a line per check: difference from chance, effect size, p."""
    lines = []
    for row in tests.to_dict("records"):
        name = "meaning" if row["check"] == "meaning" else "sound"
        if not row["n"]:
            lines.append(f"{name}: no sentence pair has such a match")
            continue
        sign = 1 if name == "meaning" else -1  # of a likeness, not a distance
        p = "p < 0.001" if row["p_permutation"] < 0.001 else f"p = {row['p_permutation']:.3f}"
        lines.append(
            f"{name} {sign * row['difference']:+.3f} against chance, $d_z$ = {sign * row['d_z']:.2f}, {p} "
            f"(n = {row['n']:,}, {row['matches']:,} matches)"
        )
    return "\n".join(lines)


def _chance(axes: Axes, random: pd.DataFrame, low: float) -> None:
    """Draw grey levels that contain most random pairs, from a smoothed histogram."""
    x = np.linspace(-0.2, 1.2, 141)
    y = np.linspace(low - 0.2, 1.2, 141)
    counts, _, _ = np.histogram2d(1 - random["sound_distance"], random["meaning"], (x, y))
    # Phone distances of short words are few fractions: without smoothing they would be stripes, not levels.
    density = ndimage.gaussian_filter(counts.T, (3.0, 4.0))
    levels = _mass_levels(density)
    if np.all(np.diff(levels) > 0):  # of very few pairs heights may be equal, which contourf refuses
        centers = [(edges[1:] + edges[:-1]) / 2 for edges in (x, y)]
        axes.contourf(*centers, density, [*levels, density.max() * 1.01], colors=_GREYS, zorder=0)


def _mass_levels(density: Float[np.ndarray, "Y X"]) -> list[float]:
    """Heights above which the shares _MASSES of the density are."""
    falling = np.sort(density, axis=None)[::-1]
    mass = np.cumsum(falling) / falling.sum()
    return [float(falling[np.searchsorted(mass, share)]) for share in _MASSES]


def _limits(axes: Axes, plane: pd.DataFrame) -> None:
    """Draw the limits, and in each corner the share of its matches."""
    for row in plane.to_dict("records"):
        sound, meaning = 1 - row["sound_limit"], row["meaning_limit"]
        line = {"color": MUTED, "lw": 0.8, "ls": (0, (4, 2.5)), "zorder": 1}
        axes.axvline(sound, **line)
        axes.axhline(meaning, **line)
        total = max(1, sum(row[name] for name in _COLORS))
        corners = {
            "meaning": (0.012, 0.985),
            "both": (0.988, 0.985),
            "sound": (0.988, 0.015),
            "neither": (0.012, 0.015),
        }
        for name, (x, y) in corners.items():
            text = {"both": "alike in both", "neither": "in neither"}.get(name, f"in {name} alone")
            axes.text(
                x, y, f"{text} {row[name] / total:.1%}", transform=axes.transAxes, size=8.5, weight="bold",
                color=_COLORS[name], ha="left" if x < 0.5 else "right", va="top" if y > 0.5 else "bottom",
                zorder=4,
            )  # fmt: skip


def _types(found: pd.DataFrame, missing: set[str]) -> pd.DataFrame:
    """Pairs of word types, case apart, with their number of matches; the most frequent first."""
    # "The" at a sentence's start and "the" within one are one type.
    name = [
        fonts.boxed(f"{a} · {b}".lower(), missing)
        for a, b in zip(found["word_a"], found["word_b"], strict=True)
    ]
    by = found.assign(name=name).groupby("name", sort=True)
    types = by.agg(
        sound=("sound", "mean"), meaning=("meaning", "mean"), alike=("alike", "first"), count=("name", "size")
    )
    return types.reset_index().sort_values(["count", "name"], ascending=[False, True], kind="stable")


def _points(axes: Axes, types: pd.DataFrame) -> None:
    ink = [_COLORS[name] for name in types["alike"]]
    sound, meaning, count = (types[name].to_numpy(float) for name in ("sound", "meaning", "count"))
    axes.scatter(sound, meaning, 9 * count, ink, alpha=0.55, lw=0, zorder=2)
    # Names go to the pairs that are most alike, then to frequent ones, until no place is left.
    order = np.argsort(-np.hypot(sound, meaning) - 0.15 * np.log(count), kind="stable")
    taken: list[Bbox] = []
    for row in types.iloc[order].to_dict("records"):
        if len(taken) == _LABELS:
            break
        if row["alike"] != "neither":
            _label(
                axes, str(row["name"]), (float(row["sound"]), float(row["meaning"])), str(row["alike"]), taken
            )


def _label(axes: Axes, name: str, point: tuple[float, float], alike: str, taken: list[Bbox]) -> None:
    """Write a name on the side of its point where it covers no other; leave it out if there is none."""
    box = axes.get_window_extent()
    for side, offset in (("left", 5), ("right", -5)):
        text = axes.annotate(
            name, point, (offset, 0), textcoords="offset points", size=7, color=_COLORS[alike], ha=side,
            va="center", parse_math=False, zorder=3, bbox=_PAPER,
        )  # fmt: skip
        extent = text.get_window_extent().expanded(1.08, 1.2)
        inside = box.x0 < extent.x0 and extent.x1 < box.x1 and box.y0 < extent.y0 and extent.y1 < box.y1 - 30
        if inside and not any(extent.overlaps(other) for other in taken):
            taken.append(extent)
            return
        text.remove()


def _axes(axes: Axes) -> None:
    axes.set_xlabel("sounds alike: 1 - phone edit distance", size=8.5, color=INK)
    axes.spines[:].set_visible(False)
    axes.grid(color=RULE, lw=0.4, zorder=-1)
    axes.set_axisbelow(True)
    axes.tick_params(length=0, labelsize=8, labelcolor=INK)
