"""Lists of names in messages: the first ones, and how many more there are."""

from collections.abc import Sequence

SHOWN = 20


def first_names(names: Sequence[str], shown: int = SHOWN, separator: str = ", ") -> str:
    """Names in one line, "a, b and 3 more"; all of them if there are at most `shown`."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return separator.join(names[:shown]) + more
