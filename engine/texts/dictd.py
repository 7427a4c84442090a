"""Translations of words from a dictionary in dictd's format, as Debian's packages dict-freedict-* install it.

A dictionary is two files. NAME.index has a line for each headword: headword, offset and length, tabs apart;
both numbers are in base 64 with the digits A to Z, a to z, 0 to 9, + and /, the highest first. NAME.dict.dz
(or NAME.dict) holds the articles; dictzip's format is gzip's. dictfmt writes headwords of the index in lower
case and without signs. Source: RFC 2229's server dictd, dictfmt(1) and dictzip(1).

An article of FreeDict is a line with the headword, its pronunciation and grammar, then lines of
translations. Parts in brackets, examples in quotes and lines that refer to other articles are left out. The
whole dictionary is in memory, 100 MB for the largest (German-English).
"""

import gzip
import pathlib
import re
import string
from collections.abc import Collection, Iterator

from isogloss.engine.corpora import tsv
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.texts.spoken_words import single_word

_DIGITS = {c: i for i, c in enumerate(string.ascii_uppercase + string.ascii_lowercase + string.digits + "+/")}
_ABOUT = "00database"  # of headwords that describe the dictionary
_NUMBERED = re.compile(r"^\d+\.\s")
_LABEL = re.compile(r"""^(["{]|[\w ]+: )""")  # an example, a reference, "Note: ", "Synonyms: "
_ASIDE = re.compile(r"<[^>]*>|\[[^\]]*\]|\([^)]*\)|/\S[^/]*/")  # grammar, field, remark, pronunciation


def translations(index: pathlib.Path, words: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Translations of those of `words` that a dictionary has; such as are one word, as they are spoken.

    Args:
      index: NAME.index, beside which the articles lie.
      words: as `single_word` makes them.

    Raises:
      Refusal: a file is missing, or isn't in that format.
    """
    wanted: dict[str, list[str]] = {}
    for word in words:
        wanted.setdefault(_plain(word), []).append(word)
    articles = _articles(index)
    found: dict[str, dict[str, None]] = {}
    for number, (headword, *place) in tsv.rows(index):
        start, size = _place(f"{index.name} line {number}", place)
        plain = _plain(headword)
        if headword.startswith(_ABOUT) or len(headword.split()) != 1 or plain not in wanted:
            continue
        if start + size > len(articles):
            raise Refusal(
                f"{index.name} line {number}: the articles end before it and are of another version"
            )
        article = articles[start : start + size].decode("utf-8", errors="replace")
        for word in wanted[plain]:
            found.setdefault(word, {}).update(dict.fromkeys(_translated(article)))
    return {word: tuple(held) for word, held in found.items()}


def _plain(word: str) -> str:
    """The word as dictfmt writes a headword."""
    return "".join(filter(str.isalnum, word.casefold()))


def _articles(index: pathlib.Path) -> bytes:
    if not index.is_file():
        raise Refusal(f"{index}: not a file. Name the .index of a dictionary in dictd's format")
    packed, plain = (index.with_name(f"{index.stem}{suffix}") for suffix in (".dict.dz", ".dict"))
    for path, opened in ((packed, gzip.open), (plain, open)):
        if path.is_file():
            try:
                with opened(path, "rb") as file:
                    return file.read()
            except (OSError, EOFError) as error:
                raise Refusal(f"{path}: can't be read ({error}). Install the dictionary again") from error
    raise Refusal(f"{packed} is missing: a dictionary in dictd's format is an .index and its articles")


def _place(line: str, fields: list[str]) -> tuple[int, int]:
    """Offset and length of an article in bytes."""
    if len(fields) < 2 or not all(field and set(field) <= set(_DIGITS) for field in fields[:2]):
        raise Refusal(
            f"{line}: not of dictd's format, which is headword, offset and length in base 64, tabs apart"
        )
    start, size = (sum(_DIGITS[c] << 6 * i for i, c in enumerate(reversed(field))) for field in fields[:2])
    return start, size


def _translated(article: str) -> Iterator[str]:
    for line in article.split("\n")[1:]:
        text = _NUMBERED.sub("", line.strip())
        if _LABEL.match(text):
            continue
        # An aside ends a translation: "hundred <n>Hun." are two.
        for piece in re.split("[,;]", _ASIDE.sub(",", text)):
            if word := single_word(piece):
                yield word
