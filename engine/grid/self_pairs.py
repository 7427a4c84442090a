"""Self pairs of a grid: a language with itself, and with the second recordings of its sentences.

The first say how alike different sentences of one language are (anisotropy), the second how much two
recordings of one sentence can have in common (ceiling). Second recordings enter a grid under the name of
their language with "@2".
"""

from collections.abc import Mapping, Sequence

from isogloss.engine.activations.language_states import GridLanguage, second_recordings
from isogloss.engine.grid.grid_axes import Pair, second
from isogloss.engine.runtime.refusal import Refusal


def added(
    pairs: Sequence[Pair], members: Mapping[str, GridLanguage]
) -> tuple[tuple[Pair, ...], dict[str, GridLanguage]]:
    """Pairs and their languages with the self pairs, which come last.

    Args:
      pairs: pairs of two languages.
      members: their languages.

    Raises:
      Refusal: second recordings aren't all extracted.
    """
    again = {second(code): second_recordings(member) for code, member in members.items()}
    every = dict(members) | {code: member for code, member in again.items() if member}
    own = [(code, other) for code in members for other in (code, second(code)) if other in every]
    return (*pairs, *own), every


def check_names(codes: Sequence[str]) -> None:
    """Refuse a language whose code would pass for the second recordings of another."""
    if taken := sorted({second(code) for code in codes} & set(codes)):
        raise Refusal(f"{', '.join(taken)}: names second recordings in a grid; extract it under another code")
