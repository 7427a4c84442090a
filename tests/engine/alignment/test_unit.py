"""Memory of a unit: how many copies of its states are alive while the decoder aligns them."""

import tracemalloc
from unittest import mock

import numpy as np
import pytest

from isogloss.engine.activations.state_source import Encoded, ListedUtterance, StateSource
from isogloss.engine.alignment import unit, word_timestamps
from isogloss.engine.checkpoints.checkpoint import load_checkpoint
from isogloss.engine.decoding import decoder_program
from isogloss.engine.decoding.language_token import Token
from isogloss.engine.decoding.utterance_blocks import BLOCK, UtteranceBlock
from isogloss.engine.whisper import encoder_program
from isogloss.engine.whisper.tokenizer import Tokens

SHAPE = 1, 1500, 64  # states of an utterance: 0.4 MB


def encoded(language, rows):
    for row in rows:
        yield Encoded(row=row, states=np.ones(SHAPE, np.float32), visible=SHAPE[1])


def listed(row, text):
    return ListedUtterance(
        row=row, name=f"u{row}", sentence="s", transcription=text, seconds=1.0, frames=50, truncated=False
    )


@pytest.mark.parametrize(("bad", "copies"), [(0, 1), (1, 2)])
def test_states_are_held_once_and_copied_only_without_the_bad_texts(reader, monkeypatch, bad, copies):
    """The first text is empty, so its row isn't given to the decoder."""
    tokens, precision = Tokens.load(str(reader)), encoder_program.precision_for("cpu")
    decoding = decoder_program.load(
        load_checkpoint(str(reader)), tokens, precision, rows_per_device=2, devices=1
    )
    source = mock.Mock(spec=StateSource, states=("1",), apply_norm=(False,), encoded=encoded)
    work = unit.Work(
        source=source, decoding=decoding, heads=((0, 0),), text="reference", exit_norm=True,
        tokens={"aa": Token(language="en", how="given")},
    )  # fmt: skip
    utterances = tuple(listed(row, "" if row < bad else "a b") for row in range(BLOCK))
    alive = []

    def align(decoding, heads, encoded, frames, prompts, texts):
        alive.append((len(encoded), tracemalloc.get_traced_memory()[0]))
        n = len(texts[0])
        one = word_timestamps.Timed(
            first=np.zeros(n + 1, np.int32), probability=np.ones(n, np.float32), tied=False
        )
        return [one] * len(encoded)

    monkeypatch.setattr(word_timestamps, "align", align)
    tracemalloc.start()
    try:
        found = unit.align(UtteranceBlock(language="aa", number=0, utterances=utterances), work, lambda: None)
    finally:
        tracemalloc.stop()
    assert [bool(one.problem) for one in found] == [True] * bad + [False] * (BLOCK - bad)
    [(rows, held)] = alive
    assert rows == BLOCK - bad
    assert held / (BLOCK * 4 * np.prod(SHAPE)) == pytest.approx(copies, abs=0.2)
