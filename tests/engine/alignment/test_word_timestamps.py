"""Word timestamps: what the device computes against the reference, and frames of words by hand."""

import dataclasses

import numpy as np
import pytest

from isogloss.engine.alignment import word_timestamps
from isogloss.engine.alignment.word_splitting import Piece
from isogloss.engine.alignment.word_timestamps import Timed
from isogloss.engine.checkpoints.checkpoint import load_checkpoint
from isogloss.engine.decoding import decoder_program
from isogloss.engine.decoding.decoder_program import EncodedRows
from isogloss.engine.whisper import encoder_program
from isogloss.engine.whisper.tokenizer import Tokens
from isogloss.kernels import alignment, alignment_reference, reference

HEADS = ((0, 1), (1, 0), (1, 1))


@pytest.fixture(scope="module")
def decoding(reader):
    tokens = Tokens.load(str(reader))
    precision = encoder_program.precision_for("cpu")
    return decoder_program.load(load_checkpoint(str(reader)), tokens, precision, rows_per_device=2, devices=1)


def rows(seed, count=5):
    """Utterances of any length, their frames and texts; states beyond what is visible are NaN."""
    rng = np.random.default_rng(seed)
    visible = rng.integers(20, 101, count).astype(np.int32)
    states = rng.standard_normal((count, 100, 16)).astype(np.float32)
    for row, seen in enumerate(visible):
        states[row, seen:] = np.nan
    frames = np.array([rng.integers(1, seen + 1) for seen in visible], np.int32)
    frames[0] = 2  # fewer frames than tokens, and than the filter reaches
    texts = [tuple(rng.integers(0, 256, n).tolist()) for n in rng.integers(1, 25, count)]
    encoded = EncodedRows(states=states, visible=visible, apply_norm=rng.random(count) < 0.5)
    return encoded, frames, texts


def align(decoding, encoded, frames, texts, language="en"):
    prompts = [decoding.tokens.prompt(language)] * len(texts)
    return word_timestamps.align(decoding, HEADS, encoded, frames, prompts, texts)


def test_equal_to_the_reference_on_the_same_scores(decoding, reader, taught):
    """Scores by the decoder alone; the path and all before it by NumPy loops in float64."""
    encoded, frames, texts = rows(0)
    prompt = decoding.tokens.prompt("fr")
    timed = align(decoding, encoded, frames, texts, "fr")
    tokens = np.full((5, 48), decoding.tokens.eot, np.int32)
    for row, text in enumerate(texts):
        tokens[row, : len(prompt) + len(text)] = (*prompt, *text)
    scores, _ = taught(reader, *encoded.step(list(range(5)), 100), tokens, HEADS)
    for row, (one, text) in enumerate(zip(timed, texts, strict=True)):
        length = len(prompt) + len(text) + 1
        own = scores[row, :, :length, : frames[row]].astype(np.float64)
        matrix = alignment_reference.attention_matrix(own, alignment.WIDTH)
        # From the step that predicts the first token to the one that predicts the end.
        path = reference.dtw_path(-matrix[len(prompt) - 1 : -1])
        assert one.first.tolist() == alignment_reference.first_frames(path)
        assert len(one.first) == len(text) + 1
        assert one.first[0] == 0
        assert one.finite


def test_probability_is_among_tokens_of_text(decoding, reader, taught):
    encoded, frames, _ = rows(1)
    texts = [(3, 7, *[5] * 9, word) for word in range(0, 256, 64)]
    prompt = decoding.tokens.prompt("en")
    tokens = np.array([[*prompt, *text, decoding.tokens.eot] for text in texts], np.int32)
    for row in (1, 3):
        same = [row] * len(texts)
        timed = align(decoding, encoded.take(same), frames[same], texts)
        _, whole = taught(reader, *encoded.step(same, 100), tokens, HEADS)
        # Among all ids the same tokens are less likely, by one factor at each place: that of specials.
        ours = np.stack([one.probability for one in timed])
        share = whole[:, len(prompt) : -1] / ours
        assert (share < 1).all()
        np.testing.assert_allclose(share, np.repeat(share[:1], len(texts), axis=0), rtol=1e-4)
        assert 0 < ours[:, -1].sum() < 1


def test_a_row_is_a_function_of_itself(decoding):
    """The same bits alone, among others, and whatever stands beyond its frames."""
    encoded, frames, texts = rows(2, 7)
    together = align(decoding, encoded, frames, texts)
    filled = np.where(np.isnan(encoded.states), 1e3, encoded.states).astype(np.float32)
    for row in (0, 4, 6):
        one = dataclasses.replace(encoded, states=filled).take([row])
        [alone] = align(decoding, one, frames[[row]], [texts[row]])
        np.testing.assert_array_equal(alone.first, together[row].first)
        np.testing.assert_array_equal(alone.probability, together[row].probability)
        assert alone.tied == together[row].tied


def test_states_that_are_not_finite_have_no_path(decoding):
    encoded, frames, texts = rows(3, 2)
    encoded.states[1, 0] = np.nan
    good, bad = align(decoding, encoded, frames, texts)
    assert good.finite
    assert not bad.finite
    assert not bad.tied


@pytest.mark.parametrize(
    ("text", "frames", "match"),
    [
        ((), 5, "1 to 43 tokens"),
        ((1,) * 44, 5, "got 44"),
        ((1,), 0, "1 to 100 frames"),
        ((1,), 101, "got 1 and 101"),
    ],
)
def test_impossible_rows_are_refused(decoding, text, frames, match):
    states = np.zeros((1, 100, 16), np.float32)
    encoded = EncodedRows(states=states, visible=np.int32([100]), apply_norm=np.array([False]))
    with pytest.raises(ValueError, match=match):
        align(decoding, encoded, np.int32([frames]), [text])


def test_frames_of_words():
    """A word ends before the next token begins; one that shares its frame with the next has none."""
    timed = Timed(first=np.int32([0, 4, 4, 9, 12]), probability=np.float32([0.5, 1, 0.25, 0.75]), tied=False)
    pieces = [
        Piece(text=" a", start=0, stop=1, core=(0, 1)),
        Piece(text=" b", start=1, stop=2, core=(1, 2)),
        Piece(text=" cd.", start=2, stop=4, core=(2, 3)),
    ]
    a, b, c = word_timestamps.words(timed, pieces, (10, 11, 12, 13))
    assert (a.first_frame, a.last_frame, a.centre_frame, a.empty, a.probability) == (0, 3, 1, False, 0.5)
    assert (b.first_frame, b.last_frame, b.centre_frame, b.empty) == (4, 4, 4, True)
    assert (c.first_frame, c.last_frame, c.centre_frame, c.probability) == (4, 8, 6, 0.25)
    assert c.tokens == (12, 13)
