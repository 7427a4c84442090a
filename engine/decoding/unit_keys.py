"""Keys of the parts of all processes, so that none looks at recordings of another's languages to find them.

A part's key depends on the lengths of recordings. OUT/parts/languages/CODE.json has the keys of a language's
units; every process whose share touches the language writes it before its first part, and all write the same.
A language of another process counts as awaited until its file is there, and again once something differs that
is known without its recordings: its sentences, its store, its token, the references of a translation. Changed
recordings and transcriptions of a corpus are noticed by the process whose share has the language, and by no
other before that one has begun.
"""

import json
import pathlib
import urllib.parse
from collections.abc import Mapping

from isogloss.engine.runtime import atomic_write, json_values


def record(out: pathlib.Path, language: str, known: object, keys: Mapping[str, str]) -> None:
    """Write down the key of every unit of a language, by its name, and a hash of what is `known`.

    Raises:
      OSError: the file can't be written.
    """
    described = {"known_sha256": json_values.sha256(known), "keys": dict(keys)}
    text = json.dumps(described, indent=1) + "\n"
    file = _file(out, language)
    if not file.is_file() or file.read_text("utf-8") != text:
        atomic_write.make_folder(file.parent)
        atomic_write.write_whole(file, lambda draft: draft.write_text(text, "utf-8"))


def recorded(out: pathlib.Path, language: str, known: object) -> dict[str, str]:
    """Keys of a language by unit; none if no process has written them, or what is `known` was another."""
    file = _file(out, language)
    if not file.is_file():
        return {}
    found = json.loads(file.read_text("utf-8"))
    return found["keys"] if found.get("known_sha256") == json_values.sha256(known) else {}


def _file(out: pathlib.Path, language: str) -> pathlib.Path:
    return out / "parts" / "languages" / f"{urllib.parse.quote(language, safe='')}.json"
