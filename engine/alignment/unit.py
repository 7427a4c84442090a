"""One unit of alignment: a block of utterances of a language, each with its text.

A text that can't be aligned is reported with the reason, and the run continues: it is empty, has more tokens
than the decoder holds, or letters that the tokenizer can't write. Memory, in each thread of `made_together`:
the states of all that it joins; twice that while they are put together, and where a text can't be aligned.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from isogloss.engine.activations.state_source import ListedUtterance, StateSource, Unusable
from isogloss.engine.alignment import word_splitting, word_timestamps
from isogloss.engine.alignment.word_tables import Aligned
from isogloss.engine.corpora.languages import whisper_code
from isogloss.engine.decoding.decoder_program import Decoding, EncodedRows
from isogloss.engine.decoding.generation import token_limit
from isogloss.engine.decoding.language_token import Token
from isogloss.engine.decoding.utterance_blocks import UtteranceBlock
from isogloss.engine.whisper.decoder import Heads
from isogloss.engine.whisper.tokenizer import WITHOUT_SPACES, Tokens


@dataclasses.dataclass(frozen=True, kw_only=True)
class Work:
    """Decoder, states and options of an alignment.

    Attributes:
      source: of one encoder state.
      decoding: the decoder.
      heads: of its cross-attention that follow the words.
      text: "reference" or "decoded".
      exit_norm: whether the decoder gets a state other than "final" through the encoder's final LayerNorm.
      tokens: language token of the prompt, by language.
    """

    source: StateSource
    decoding: Decoding
    heads: Heads
    text: str
    exit_norm: bool
    tokens: Mapping[str, Token]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _EncodedBlock:
    """Utterances of a block that have states."""

    utterances: list[ListedUtterance]
    rows: EncodedRows


def align(unit: UtteranceBlock, work: Work, advance: Callable[[], None]) -> list[Aligned]:
    """Words of every utterance of a unit, in order; `advance` is called as the states of each arrive."""
    token = work.tokens[unit.language]
    block, found = _states(unit, token, work, advance)
    if block:
        found |= {one.utterance.row: one for one in _align(unit.language, block, token, work)}
    return [found[utterance.row] for utterance in unit.utterances]


def _states(
    unit: UtteranceBlock, token: Token, work: Work, advance: Callable[[], None]
) -> tuple[_EncodedBlock | None, dict[int, Aligned]]:
    """Utterances of a unit that have states, None without any; the others by row, each with its reason."""
    # A function of its own, so that states that have been put together aren't kept one by one as well.
    by_row = {utterance.row: utterance for utterance in unit.utterances}
    found: dict[int, Aligned] = {}
    encoded = []
    for made in work.source.encoded(unit.language, list(by_row)):
        advance()
        if isinstance(made, Unusable):
            found[made.row] = Aligned(
                utterance=by_row[made.row],
                token=token,
                problem=made.reason,
                without_states=True,
                left_out=made.asked_for,
            )
        else:
            encoded.append(made)
    if not encoded:
        return None, found
    norm = work.source.apply_norm[0] or (work.source.states[0] != "final" and work.exit_norm)
    rows = EncodedRows(
        states=np.stack([made.states[0] for made in encoded]),
        visible=np.asarray([made.visible for made in encoded], np.int32),
        apply_norm=np.full(len(encoded), norm),
    )
    return _EncodedBlock(utterances=[by_row[made.row] for made in encoded], rows=rows), found


def _align(language: str, block: _EncodedBlock, token: Token, work: Work) -> list[Aligned]:
    decoding, vocabulary = work.decoding, work.decoding.tokens
    codes, likely = _languages(block, token, decoding)
    prompts = [vocabulary.prompt(code) for code in codes]
    text_languages = [_text_language(language, code, vocabulary) for code in codes]
    if work.text == "decoded":
        texts, cuts = _decode(block, prompts, decoding)
    else:
        listed = zip(block.utterances, text_languages, strict=True)
        texts = [reference(utterance.transcription, code, vocabulary) for utterance, code in listed]
        cuts = [False] * len(texts)
    room = decoding.sizes.text_positions - len(prompts[0])
    problems: dict[int, str] = {}
    good: dict[int, tuple[int, ...]] = {}
    for row, text in enumerate(texts):
        if isinstance(text, str):
            problems[row] = text
        elif problem := _unfit(text, room):
            problems[row] = problem
        else:
            good[row] = text
    timed = _timed(good, block, prompts, work)
    problems |= {row: "the decoder's attention isn't finite" for row in good if not timed[row].finite}
    aligned = []
    for row, utterance in enumerate(block.utterances):
        one = Aligned(
            utterance=utterance,
            token=dataclasses.replace(token, language=codes[row]),
            language_probability=likely[row],
            cut=cuts[row],
            problem=f"{utterance.name}: {problems[row]}" if row in problems else "",
        )
        if not one.problem:
            pieces = word_splitting.split(good[row], text_languages[row], vocabulary.decode)
            words = word_timestamps.words(timed[row], pieces, good[row])
            one = dataclasses.replace(
                one,
                text=vocabulary.decode(good[row]),
                # A lone space may be a piece of its own, but it isn't a word.
                words=tuple(word for word in words if word.text.strip()),
                tied=timed[row].tied,
            )
        aligned.append(one)
    return aligned


def _languages(
    block: _EncodedBlock, token: Token, decoding: Decoding
) -> tuple[list[str], list[float | None]]:
    """Language of each row's prompt, and the probability of a detected one."""
    if token.how != "detected":
        return [token.language] * len(block.utterances), [None] * len(block.utterances)
    codes, probabilities = decoding.detect(block.rows)
    return codes, [float(probability) for probability in probabilities]


def _timed(
    texts: Mapping[int, tuple[int, ...]], block: _EncodedBlock, prompts: Sequence[Sequence[int]], work: Work
) -> dict[int, word_timestamps.Timed]:
    """Frames of the tokens of some rows of a block."""
    rows = list(texts)
    if not rows:
        return {}
    timed = word_timestamps.align(
        work.decoding,
        work.heads,
        block.rows if len(rows) == len(block.rows) else block.rows.take(rows),  # which copies
        np.asarray([block.utterances[row].frames for row in rows], np.int32),
        [prompts[row] for row in rows],
        [texts[row] for row in rows],
    )
    return dict(zip(rows, timed, strict=True))


def reference(transcription: str, language: str, tokens: Tokens) -> tuple[int, ...] | str:
    """Tokens of a transcription, or the reason why it can't be aligned; a run of spaces counts as one."""
    plain = " ".join(transcription.split())
    if not plain:
        return "its transcription is empty. Give one, or align what the model decodes by --text=decoded"
    text = word_splitting.leading_space(language) + plain
    try:
        ids = tokens.encode(text)
    except (TypeError, UnicodeError):  # a lone surrogate, in a broken transcription
        return f"its transcription isn't text: {plain[:60]!a}. Correct it"
    written = tokens.decode(ids)
    # Text such as "<|endoftext|>" would become a special token, which the decoder obeys and nobody speaks.
    if written != text or any(id >= tokens.eot for id in ids):
        lost = "".join(sorted(set(text) - set(written)))[:20]
        which = f"{lost!r} of " if lost else ""
        return (
            f"the tokenizer can't write {which}its transcription {plain[:60]!r}. Correct it, or the tokenizer"
        )
    return ids


def unfit(
    utterance: ListedUtterance, language: str, token: Token, tokens: Tokens, text_positions: int
) -> str:
    """Reason why the transcription of an utterance of a language can't be aligned; "" if it can."""
    text = reference(utterance.transcription, _text_language(language, token.language, tokens), tokens)
    room = text_positions - len(tokens.prompt(token.language))
    return text if isinstance(text, str) else _unfit(text, room)


def _unfit(text: tuple[int, ...], room: int) -> str:
    """Reason why a text can't be aligned by a decoder with `room` for it and eot; "" if it can."""
    if not text:
        return "the decoder's text is empty, so there is nothing to align"
    if len(text) >= room:
        rule = f"its text has {len(text)} tokens, the decoder holds {room - 1}"
        return f"{rule}. Split the recording and its text"
    return ""


def _text_language(language: str, code: str, tokens: Tokens) -> str:
    """Language whose rules split a text: its own if Whisper has it, else the prompt's."""
    own = whisper_code(language)
    return own if own in tokens.languages or own in WITHOUT_SPACES else code


def _decode(
    block: _EncodedBlock, prompts: Sequence[Sequence[int]], decoding: Decoding
) -> tuple[list[tuple[int, ...] | str], list[bool]]:
    """Greedy text of each row of a block or the reason why it has none, and whether a limit ended it."""
    room = decoding.sizes.text_positions - len(prompts[0]) - 1
    limits = np.asarray([token_limit(one.frames, room) for one in block.utterances], np.int32)
    decoded = decoding.generate(block.rows, prompts, limits)
    texts: list[tuple[int, ...] | str] = [
        tuple(id for id in one.tokens if id < decoding.tokens.eot)
        if np.isfinite(one.log_probability)
        else "the decoder's output isn't finite"
        for one in decoded
    ]
    return texts, [one.cut for one in decoded]
