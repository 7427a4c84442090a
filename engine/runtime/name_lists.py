"""Lists of names in messages: the first ones, and how many more there are; lists that have changed."""

from collections.abc import Sequence

SHOWN = 20


def first_names(names: Sequence[str], shown: int = SHOWN, separator: str = ", ") -> str:
    """Names in one line, "a, b and 3 more"; all of them if there are at most `shown`."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return separator.join(names[:shown]) + more


def changes(more: Sequence[str], fewer: Sequence[str], changed: Sequence[str], noun: str = "sentence") -> str:
    """Text such as "1 sentence more: agent-pass; 2 recordings changed: a, b"; "" if nothing differs."""
    lists = (more, noun, "more"), (fewer, noun, "fewer"), (changed, "recording", "changed")
    return "; ".join(
        f"{len(names):,} {what}{'s'[: len(names) != 1]} {how}: {first_names(names)}"
        for names, what, how in lists
        if names
    )
