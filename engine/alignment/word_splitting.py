"""Words of a text, as openai/whisper splits its tokens, and how punctuation is attached to them.

Where a language writes spaces, a word begins at a token that does, and at punctuation; where it doesn't (zh,
ja, th, lo, my, yue), wherever the tokens so far are whole characters. Languages in neither case, such as
Khmer or Tibetan, give phrases, as they do there. Punctuation keeps its tokens but gives the word no time.

Source: openai/whisper, tokenizer.py, split_to_word_tokens, and timing.py, merge_punctuations, written anew.
"""

import dataclasses
import string
from collections.abc import Callable, Iterator, Sequence

from isogloss.engine.corpora.languages import WITHOUT_SPACES

Decode = Callable[[Sequence[int]], str]  # tokens to text, U+FFFD for what is no whole character

PREPENDED = "\"'“¿([{-"
APPENDED = "\"'.。,，!！?？:：”)]}、"  # noqa: RUF001 full-width signs are meant
_INCOMPLETE = "\ufffd"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Piece:
    """A word and its tokens.

    Attributes:
      text: with the spaces and the punctuation that belong to it.
      start: place of its first token in the text.
      stop: place after its last.
      core: the tokens [start, stop) of the word itself, without the punctuation attached: its time is theirs.
    """

    text: str
    start: int
    stop: int
    core: tuple[int, int]


def split(tokens: Sequence[int], language: str, decode: Decode) -> tuple[Piece, ...]:
    """Words of a text in order, with punctuation attached; every token belongs to one.

    Args:
      tokens: of the text, no special ones.
      language: by Whisper's code; "en" for English-only models.
      decode: of the tokenizer.
    """
    pieces = list(_characters(tokens, decode))
    if language not in WITHOUT_SPACES:
        pieces = _join_within_spaces(pieces)
    return tuple(_attach_after(_attach_before(pieces)))


def leading_space(language: str) -> str:
    """What a reference text begins with: Whisper's transcripts start with a space where words have them."""
    return "" if language in WITHOUT_SPACES else " "


def _piece(text: str, start: int, stop: int) -> Piece:
    return Piece(text=text, start=start, stop=stop, core=(start, stop))


def _characters(tokens: Sequence[int], decode: Decode) -> Iterator[Piece]:
    """Shortest runs of tokens that are whole characters; what never becomes one is a run at the end."""
    whole, offset, start = decode(tokens), 0, 0
    for stop in range(1, len(tokens) + 1):
        text = decode(tokens[start:stop])
        at = text.find(_INCOMPLETE)
        # An incomplete character is a run of its own where the whole text has none there either.
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
            before = joined[-1]
            joined[-1] = dataclasses.replace(before, text=before.text + word.text, stop=word.stop)
        else:
            joined.append(word)
    return joined
