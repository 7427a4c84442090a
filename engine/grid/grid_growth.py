"""Growth of a grid: pairs and sentences that a plan adds, and pairs whose recordings have changed since.

Pairs and sentences are added at the ends of their axes, so that all other scores stay where they are. The
scores of a language whose recordings differ from those that the grid was made of no longer hold: they are
removed before the grid's labels change, and made again.
"""

import dataclasses
from collections.abc import Mapping

from isogloss.engine.grid import grid_axes
from isogloss.engine.grid.grid_axes import GridAxes, Pair
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.place import Place
from isogloss.engine.runtime.refusal import Refusal

Described = Mapping[str, Json]
"""Facts about one language of a grid, see language_states.GridLanguage.identity."""

_OWN = ("corpus_sha256", "missing")  # of a language: what tells its recordings where they aren't recorded


@dataclasses.dataclass(frozen=True, kw_only=True)
class GridGrowth:
    """Difference between a grid and a plan.

    Attributes:
      changes: names of the sentences that a language has more, fewer or otherwise than in the grid.
      stale: pairs of these languages that the grid has.
      axes: axes of the grid, as they should be.
      languages: facts about the languages, as they should be.
      needed: True if the grid's axes or languages are others.
    """

    changes: Mapping[str, str]
    stale: frozenset[Pair]
    axes: GridAxes
    languages: Mapping[str, Described]
    needed: bool


def compare(
    path: Place,
    held: GridAxes,
    languages: Mapping[str, Described],
    wanted: GridAxes,
    wanted_languages: Mapping[str, Described],
) -> GridGrowth:
    """Difference between a grid and a plan.

    Args:
      path: path of the grid, for messages.
      held: axes of the grid.
      languages: facts about its languages.
      wanted: axes that the plan needs.
      wanted_languages: facts about the plan's languages.

    Raises:
      Refusal: the grid is of an earlier format, must grow, and has languages that the plan hasn't.
    """
    found = {
        code: changes(code, held, languages[code], wanted, described)
        for code, described in wanted_languages.items()
        if code in languages
    }
    changed = {code: text for code, text in found.items() if text}
    merged = dict(languages) | dict(wanted_languages)
    axes = _joined(held, wanted)
    grows = (axes.pairs, axes.sentences) != (held.pairs, held.sentences) or merged != dict(languages)
    unknown = sorted({code for pair in axes.pairs for code in pair} - axes.recordings.keys())
    # An axis that knows some languages' recordings alone couldn't tell a changed one of the others.
    if grows and axes.recordings and unknown:
        raise Refusal(
            f"{path}: is of an earlier version, which didn't record what {', '.join(unknown)} is made of. "
            "Name all languages of the grid by --languages and --pairs, or another --grid"
        )
    return GridGrowth(
        changes=changed,
        stale=frozenset(pair for pair in held.pairs if changed.keys() & set(pair)),
        axes=axes,
        languages=merged,
        needed=grows,
    )


def _joined(held: GridAxes, wanted: GridAxes) -> GridAxes:
    """Axes of a grid, each followed by what only the plan has; recordings are as the plan says."""
    # New labels come last, because chunks that are written keep their place.
    pairs = held.pairs + tuple(pair for pair in wanted.pairs if pair not in set(held.pairs))
    recordings = dict(held.recordings) | dict(wanted.recordings)
    return GridAxes(
        pairs=pairs,
        states=held.states,
        sentences=held.sentences + tuple(s for s in wanted.sentences if s not in set(held.sentences)),
        recordings=recordings,
        common=_common(pairs, recordings, held, wanted),
        frames=dict(held.frames) | dict(wanted.frames),
    )


def changes(code: str, held: GridAxes, described: Described, wanted: GridAxes, needed: Described) -> str:
    """Changes of a language between two axes, each with its facts, in words; "" if nothing has."""
    if code in held.recordings and code in wanted.recordings:
        return grid_axes.changes(held.recordings[code], wanted.recordings[code])
    same = all(described.get(key) == needed.get(key) for key in _OWN)
    return "" if same else "other recordings, which this grid of an earlier version doesn't name"


def _common(
    pairs: tuple[Pair, ...], recordings: Mapping[str, Mapping[str, str]], held: GridAxes, wanted: GridAxes
) -> tuple[int, ...]:
    if recordings:
        known = {code: set(of_language) for code, of_language in recordings.items()}
        return tuple(len(known.get(a, set()) & known.get(b, set())) for a, b in pairs)
    stated = dict(zip(held.pairs, held.common, strict=True)) | dict(
        zip(wanted.pairs, wanted.common, strict=True)
    )
    return tuple(stated[pair] for pair in pairs)
