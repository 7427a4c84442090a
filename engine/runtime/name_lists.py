"""Lists of names: read from a file; the first ones in a message, and how many more; what has changed."""

import pathlib
from collections.abc import Sequence

from isogloss.engine.runtime.refusal import Refusal

SHOWN = 20


def first_names(names: Sequence[str], shown: int = SHOWN, separator: str = ", ") -> str:
    """Names in one line, "a, b and 3 more"; all of them if there are at most `shown`."""
    more = f" and {len(names) - shown} more" if len(names) > shown else ""
    return separator.join(names[:shown]) + more


def read(option: str, file: pathlib.Path) -> frozenset[str]:
    """Names in a file, one a line; Refusal if there is no such file, or none in it. `option` names it."""
    if not file.is_file():
        raise Refusal(f"{option}={file}: there is no such file")
    if not (names := frozenset(filter(None, file.read_text("utf-8").split("\n")))):
        raise Refusal(f"{option}={file}: has no name. Remedy: one a line, or leave the option out")
    return names


def changes(more: Sequence[str], fewer: Sequence[str], changed: Sequence[str], noun: str = "sentence") -> str:
    """Text such as "1 sentence more: agent-pass; 2 recordings changed: a, b"; "" if nothing differs."""
    lists = (more, noun, "more"), (fewer, noun, "fewer"), (changed, "recording", "changed")
    return "; ".join(
        f"{len(names):,} {what}{'s'[: len(names) != 1]} {how}: {first_names(names)}"
        for names, what, how in lists
        if names
    )
