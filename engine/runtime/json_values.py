"""JSON values: their type, their hashes, objects read from files, and the differences of two objects.

Used for the attributes of stores and grids, the settings of OUT folders and the names of part files.
"""

import hashlib
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from isogloss.engine.runtime.refusal import Refusal

if TYPE_CHECKING:
    Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
else:  # one level deep, because in tests beartype takes 10 ms for each value of a type that names itself
    Json = None | bool | int | float | str | Sequence | Mapping

_KEY = 16  # characters of a fingerprint
_SHOWN = 200  # characters of a value that `differences` shows


def sha256(described: object) -> str:
    """Hash of any JSON value; the order of an object's keys doesn't matter."""
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()


def fingerprint(described: object) -> str:
    """First characters of `sha256`, short enough for a file name."""
    return sha256(described)[:_KEY]


def json_object(file: pathlib.Path, remedy: str) -> dict[str, Json]:
    """Object in a JSON file.

    Raises:
      Refusal: the file holds something else; the message ends with `remedy`.
    """
    try:
        content = json.loads(file.read_text("utf-8"))
    except ValueError as error:  # UnicodeDecodeError is one too
        raise Refusal(f"{file}: not JSON: {error}. Remedy: {remedy}") from error
    if not isinstance(content, dict):
        raise Refusal(f"{file}: must hold a JSON object. Remedy: {remedy}")
    return content


def differences(
    found: Mapping[str, Json], wanted: Mapping[str, Json], names: tuple[str, str] = ("stored", "asked for")
) -> str:
    """Lines that name each key whose values differ, with both values; "" if all are equal.

    Nested objects are compared key by key: `settings.dtype: stored float16, asked for float32`. Tuples equal
    lists, because JSON has only lists.

    Args:
      found: the existing object.
      wanted: the object that is needed.
      names: what the lines call the two objects.
    """
    return "".join(
        f"\n  {key}: {names[0]} {_brief(there)}, {names[1]} {_brief(here)}"
        # Through JSON and back, so that both are compared as they would be stored.
        for key, there, here in _differing(json.loads(json.dumps(found)), json.loads(json.dumps(wanted)), "")
    )


def _differing(found: Mapping[str, Json], wanted: Mapping[str, Json], prefix: str) -> list[tuple]:
    lines = []
    for key in dict.fromkeys([*wanted, *found]):
        there, here = found.get(key), wanted.get(key)
        if isinstance(there, Mapping) and isinstance(here, Mapping):
            lines += _differing(there, here, f"{prefix}{key}.")
        elif there != here:
            lines.append((prefix + key, there, here))
    return lines


def _brief(value: Json) -> str:
    text = "nothing" if value is None else value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]} ..."
