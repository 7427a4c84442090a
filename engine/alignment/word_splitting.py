"""Words of a text, split from its tokens as openai/whisper does, with punctuation attached.

In languages written with spaces, a word begins at a token that starts with a space, and at punctuation. In
the others (zh, ja, th, lo, my, yue) every run of tokens that makes whole characters is a word. Languages in
neither case, such as Khmer or Tibetan, give phrases, as in openai/whisper. Punctuation keeps its tokens, but
a word's time is that of its own tokens.

Source: openai/whisper, tokenizer.py, split_to_word_tokens, and timing.py, merge_punctuations, written anew.
"""

import dataclasses
import string
from collections.abc import Callable, Iterator, Sequence

from isogloss.engine.whisper.tokenizer import WITHOUT_SPACES

Decode = Callable[[Sequence[int]], str]  # tokens to text, U+FFFD for an incomplete character

PREPENDED = "\"'“¿([{-"
APPENDED = "\"'.。,，!！?？:：”)]}、"  # noqa: RUF001 full-width signs are meant
_INCOMPLETE = "\ufffd"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Piece:
    """A word and its tokens, by index in the text.

    Attributes:
      text: with its spaces and punctuation.
      start: index of its first token.
      stop: index after its last.
      core: [start, stop) of the word without punctuation; the word's time is that of these tokens.
    """

    text: str
    start: int
    stop: int
    core: tuple[int, int]


def split(tokens: Sequence[int], language: str, decode: Decode) -> tuple[Piece, ...]:
    """Words of a text in order, with punctuation attached; every token belongs to one word.

    `tokens` are without special ones, `language` is Whisper's code.
    """
    pieces = list(_characters(tokens, decode))
    if language not in WITHOUT_SPACES:
        pieces = _join_within_spaces(pieces)
    return tuple(_attach_after(_attach_before(pieces)))


def leading_space(language: str) -> str:
    """Start of a reference text: Whisper's texts begin with a space in languages that write spaces."""
    return "" if language in WITHOUT_SPACES else " "


def _piece(text: str, start: int, stop: int) -> Piece:
    return Piece(text=text, start=start, stop=stop, core=(start, stop))


def _characters(tokens: Sequence[int], decode: Decode) -> Iterator[Piece]:
    """Shortest runs of tokens that make whole characters; tokens that never do are one run at the end."""
    # A byte-level tokenizer may cut a character into several tokens; alone they decode to U+FFFD.
    whole, offset, start = decode(tokens), 0, 0
    for stop in range(1, len(tokens) + 1):
        text = decode(tokens[start:stop])
        at = text.find(_INCOMPLETE)
        # U+FFFD is a character of the text itself, not an incomplete one, if the whole text has it there too.
        if at < 0 or whole[offset + at : offset + at + 1] == _INCOMPLETE:
            yield _piece(text, start, stop)
            offset, start = offset + len(text), stop
    if start < len(tokens):
        yield _piece(decode(tokens[start:]), start, len(tokens))


def _join_within_spaces(pieces: Sequence[Piece]) -> list[Piece]:
    words: list[Piece] = []
    for piece in pieces:
        begins = piece.text.startswith(" ") or piece.text.strip() in string.punctuation
        if begins or not words:
            words.append(piece)
        else:
            last = words[-1]
            words[-1] = _piece(last.text + piece.text, last.start, piece.stop)
    return words


def _attach_before(words: Sequence[Piece]) -> list[Piece]:
    """Opening signs that follow a space, joined to the word after them."""
    joined: list[Piece] = []  # from the last to the first
    for word in reversed(words):
        # Only after a space does a sign open: in "don't" or "a-b" it stands within a word.
        opens = word.text.startswith(" ") and word.text.strip() in PREPENDED
        if opens and joined:
            after = joined[-1]
            joined[-1] = dataclasses.replace(after, text=word.text + after.text, start=word.start)
        else:
            joined.append(word)
    return joined[::-1]


def _attach_after(words: Sequence[Piece]) -> list[Piece]:
    """Closing signs without a space, joined to the word before them."""
    joined: list[Piece] = []
    for word in words:
        if joined and not joined[-1].text.endswith(" ") and word.text in APPENDED:
            # The core stays that of the word, so that a pause at a comma doesn't lengthen it.
            before = joined[-1]
            joined[-1] = dataclasses.replace(before, text=before.text + word.text, stop=word.stop)
        else:
            joined.append(word)
    return joined
