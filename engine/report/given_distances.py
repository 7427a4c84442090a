"""Distances between languages that a user gives, as predictors of the association tests.

A tab-separated file with a header: language_a, language_b, and a column of numbers for each distance, such as
lexical or typological ones. A pair stands in one line, in either order; codes may be written as FLEURS,
Whisper or ISO 639 write them.
"""

import pathlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from isogloss.engine.corpora import languages, tsv
from isogloss.engine.runtime.refusal import Refusal

_HEAD = ["language_a", "language_b"]


def read(path: pathlib.Path, codes: Sequence[str]) -> dict[str, Float[np.ndarray, "L L"]]:
    """Symmetric matrices by name of their column.

    Args:
      path: the file.
      codes: languages; every two of them must have a line.

    Raises:
      Refusal: names the file, the line or the pair, and what it must be.
    """
    lines = iter(tsv.rows(path))
    head = next(lines, (1, []))[1]
    names = head[2:]
    if head[:2] != _HEAD or not names or len(set(names)) < len(names):
        raise Refusal(
            f"{path.name}: the header must be {', '.join(_HEAD)} and a name for each distance, each once; "
            f"got {', '.join(head) or 'nothing'}"
        )
    found: dict[frozenset[str], tuple[int, list[float]]] = {}
    for number, fields in lines:
        where = f"{path.name} line {number}"
        if len(fields) != len(head):
            raise Refusal(f"{where}: must have {len(head)} fields, as the header, got {len(fields)}")
        key, values = frozenset(map(_key, fields[:2])), _numbers(fields[2:], where)
        if len(key) == 2 and found.get(key, (0, values))[1] != values:
            raise Refusal(f"{where}: another distance of the same languages stands in line {found[key][0]}")
        found[key] = number, values
    matrices = np.zeros((len(names), len(codes), len(codes)))
    for i, a in enumerate(codes):
        for j, b in enumerate(codes[:i]):
            entry = found.get(frozenset((_key(a), _key(b))))
            if entry is None:
                raise Refusal(
                    f"{path.name}: no distance between {a} and {b}; add a line for every two languages"
                )
            matrices[:, i, j] = matrices[:, j, i] = entry[1]
    return dict(zip(names, matrices, strict=True))


def _key(code: str) -> str:
    language = languages.find(code)
    return language.code if language else languages.base_code(code)


def _numbers(fields: Sequence[str], where: str) -> list[float]:
    try:
        values = [float(field) for field in fields]
    except ValueError as error:
        raise Refusal(f"{where}: a distance must be a number ({error})") from error
    if not np.isfinite(values).all():
        raise Refusal(f"{where}: a distance must be a finite number, got {', '.join(fields)}")
    return values
