"""One unit of transcription: a block of utterances of a language, at all exits.

An utterance's states are read once for all exits. The duration of a recording limits the tokens of its text,
see `generation.token_limit`; a longer text, mostly an endless repetition, is cut and marked. Host memory of
each unit being made: twice `_PENDING` bytes of states, or twice those of a step if that is more.
"""

import collections
import dataclasses
import math
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
from jaxtyping import Float32

from isogloss.engine.activations.state_source import Encoded, ListedUtterance, StateSource, Unusable
from isogloss.engine.decoding import early_exit
from isogloss.engine.decoding.decoder_program import Decoded, Decoding, EncodedRows
from isogloss.engine.decoding.early_exit import Exit
from isogloss.engine.decoding.generation import token_limit
from isogloss.engine.decoding.language_token import Token
from isogloss.engine.decoding.utterance_blocks import UtteranceBlock
from isogloss.engine.transcription.transcript_table import Transcript
from isogloss.engine.whisper.tokenizer import Tokens

_PENDING = 500_000_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecodingTask:
    """Task of the decoder for the utterances of a language.

    Attributes:
      task: "transcribe" or "translate".
      exits: encoder states that enter the decoder.
      beams: hypotheses of each text; 1 is greedy.
      token: language token of the prompt.
      references: text by utterance; unusable ones are left out.
    """

    task: str
    exits: tuple[Exit, ...]
    beams: int
    token: Token
    references: Mapping[str, str]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Entry:
    """One utterance at one exit, waiting to be decoded."""

    utterance: ListedUtterance
    exit: Exit
    states: Float32[np.ndarray, "N D"]
    visible: int
    apply_norm: bool


def transcribe(
    unit: UtteranceBlock,
    task: DecodingTask,
    source: StateSource,
    decoding: Decoding,
    advance: Callable[[], None],
) -> list[Transcript]:
    """Transcripts of every utterance of a unit at every exit, utterance by utterance.

    `advance` is called as the states of each utterance arrive.
    """
    transcripts: dict[tuple[int, Exit], Transcript] = {}
    by_row = {utterance.row: utterance for utterance in unit.utterances}
    for entries, broken in _groups(unit, task, source, decoding, advance):
        for failed in broken:
            for exit in task.exits:
                utterance = by_row[failed.row]
                transcripts[failed.row, exit] = Transcript(
                    utterance=utterance,
                    exit=exit,
                    reference=task.references.get(utterance.name, ""),
                    token=task.token,
                    problem=failed.reason,
                    left_out=failed.asked_for,
                )
        for entry, row in zip(entries, _decode(entries, task, decoding), strict=True):
            transcripts[entry.utterance.row, entry.exit] = row
    return [transcripts[utterance.row, exit] for utterance in unit.utterances for exit in task.exits]


def _groups(
    unit: UtteranceBlock,
    task: DecodingTask,
    source: StateSource,
    decoding: Decoding,
    advance: Callable[[], None],
) -> Iterator[tuple[list[_Entry], list[Unusable]]]:
    """Entries of the unit in groups of up to `_PENDING` bytes, or of a step of the decoder."""
    # One state enters the decoder with and without the norm: it is read once for both.
    by_state = collections.defaultdict(list)
    for exit in task.exits:
        by_state[exit.state].append(exit)
    entries: list[_Entry] = []
    broken: list[Unusable] = []
    by_row = {utterance.row: utterance for utterance in unit.utterances}
    for made in source.encoded(unit.language, [u.row for u in unit.utterances]):
        advance()
        if isinstance(made, Unusable):
            broken.append(made)
            continue
        for state, needed, frames in zip(source.states, source.apply_norm, made.states, strict=True):
            entries += [_entry(by_row[made.row], exit, made, frames, needed) for exit in by_state[state]]
        # At least a whole step of the decoder, or its batch would never be full.
        most = max(decoding.capacity, _PENDING // made.states[0].nbytes)
        if len(entries) + len(task.exits) > most:
            yield entries, broken
            entries, broken = [], []
    if entries or broken:
        yield entries, broken


def _entry(
    utterance: ListedUtterance, exit: Exit, made: Encoded, frames: Float32[np.ndarray, "N D"], needed: bool
) -> _Entry:
    return _Entry(
        utterance=utterance,
        exit=exit,
        states=frames,
        visible=made.visible,
        apply_norm=needed if exit == early_exit.FINAL else exit.exit_norm,
    )


def _decode(entries: Sequence[_Entry], task: DecodingTask, decoding: Decoding) -> Iterator[Transcript]:
    if not entries:
        return
    encoded = EncodedRows(
        states=np.stack([entry.states for entry in entries]),
        visible=np.asarray([entry.visible for entry in entries], np.int32),
        apply_norm=np.asarray([entry.apply_norm for entry in entries], bool),
    )
    languages, likely = [task.token.language] * len(entries), None
    if task.token.how == "detected":
        # Of each exit anew: an early state may be taken for another language.
        languages, likely = decoding.detect(encoded)
    prompts = [decoding.tokens.prompt(language, task.task) for language in languages]
    room = decoding.sizes.text_positions
    # By its own length: short audio that makes the decoder loop would run to the end of its room.
    limits = [token_limit(e.utterance.frames, room - len(p)) for e, p in zip(entries, prompts, strict=True)]
    decoded = decoding.generate(encoded, prompts, np.asarray(limits, np.int32), task.beams)
    for row, (entry, found) in enumerate(zip(entries, decoded, strict=True)):
        token = dataclasses.replace(task.token, language=languages[row])
        probability = None if likely is None else float(likely[row])
        yield _transcript(entry, found, token, probability, task.references, decoding.tokens)


def _transcript(
    entry: _Entry,
    found: Decoded,
    token: Token,
    probability: float | None,
    references: Mapping[str, str],
    tokens: Tokens,
) -> Transcript:
    finite = math.isfinite(found.log_probability)
    return Transcript(
        utterance=entry.utterance,
        exit=entry.exit,
        reference=references.get(entry.utterance.name, ""),
        token=token,
        language_probability=probability,
        visible=entry.visible,
        text=tokens.decode(found.tokens).strip() if finite else None,
        tokens=found.tokens,
        # The end counts as a token unless the limit came first.
        mean_log_probability=found.log_probability / max(1, len(found.tokens) + (not found.cut)),
        cut=found.cut,
        problem="" if finite else f"{entry.utterance.name}: the decoder's output isn't finite",
    )
