"""engine.decode: any rows on any number of devices, the same results; refusals."""

import dataclasses

import numpy as np
import pytest
import tokenizers

from isogloss.engine.checkpoints import stored_tensors
from isogloss.engine.checkpoints.checkpoint import Checkpoint, load_checkpoint
from isogloss.engine.decoding import decoder_program
from isogloss.engine.whisper import encoder_program
from isogloss.engine.whisper.tokenizer import Tokens

ROWS = 11
RNG = np.random.default_rng(5)
STATES = RNG.standard_normal((ROWS, 100, 16)).astype(np.float16)
VISIBLE = RNG.integers(1, 101, ROWS)
NORMED = np.arange(ROWS) % 2 == 0
PROMPTS = [(8, 9, 6, 4) if row % 3 else (8, 10, 5, 4) for row in range(ROWS)]
LIMITS = np.arange(ROWS) % 4 + 1


@pytest.fixture(scope="module")
def tokens():
    return Tokens(
        sot=8,
        eot=7,
        no_timestamps=4,
        transcribe=6,
        translate=5,
        timestamp_begin=11,
        languages={"en": 9, "fr": 10},
        multilingual=True,
        suppressed=(4, 8),
        suppressed_at_begin=(7,),
        backend=tokenizers.Tokenizer(tokenizers.models.BPE()),
    )


@pytest.fixture(scope="module")
def load(model_folder, tokens):
    def loaded(rows=2, devices=1, vocabulary=tokens):
        return decoder_program.load(
            load_checkpoint(str(model_folder)),
            vocabulary,
            encoder_program.precision_for("cpu"),
            rows_per_device=rows,
            devices=devices,
        )

    return loaded


@pytest.fixture(scope="module")
def alone(load):
    return load()


def everything(decoding, order=slice(None)):
    """Greedy and beam texts and languages of all rows, in `order`."""
    heard = STATES[order], VISIBLE[order], NORMED[order]
    prompts = [PROMPTS[row] for row in np.arange(ROWS)[order]]
    greedy = decoding.generate(*heard, prompts, LIMITS[order])
    beams = decoding.generate(*heard, prompts, LIMITS[order], 2)
    languages, sure = decoding.detect(*heard)
    return greedy, beams, languages, sure.tolist()


@pytest.fixture(scope="module")
def expected(alone):
    return everything(alone)


@pytest.mark.parametrize("devices", [2, pytest.param(8, marks=pytest.mark.deep)])
def test_devices_do_not_change_a_bit(load, expected, devices):
    found = everything(load(devices=devices))
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_order_and_neighbours_do_not_change_a_bit(alone, expected):
    backwards = everything(alone, slice(None, None, -1))
    for ours, theirs in zip(backwards, expected, strict=True):
        np.testing.assert_array_equal(ours[::-1], theirs)
    some = everything(alone, slice(4, 7))
    for ours, theirs in zip(some, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs[4:7])


def test_a_bad_row_is_told_and_spoils_no_other(alone, expected):
    spoilt = STATES.copy()
    spoilt[3, 0] = np.nan
    spoilt[np.arange(100)[None, :] >= VISIBLE[:, None]] = np.nan  # which is no fault
    found = alone.generate(spoilt, VISIBLE, NORMED, PROMPTS, LIMITS)
    assert [found[row] for row in range(ROWS) if row != 3] == [
        expected[0][row] for row in range(ROWS) if row != 3
    ]
    assert found[3].tokens == ()
    assert np.isnan(found[3].log_probability)


def test_probabilities_are_those_of_a_text_read_at_once(taught, model_folder, expected):
    greedy = expected[0]
    said = np.full((ROWS, 8), 0)
    lengths = np.zeros(ROWS, int)
    for row, (prompt, one) in enumerate(zip(PROMPTS, greedy, strict=True)):
        text = [*prompt, *one.tokens] + [7] * (not one.cut)
        said[row, : len(text)], lengths[row] = text, len(text)
    _, likely = taught(model_folder, STATES, VISIBLE, NORMED, said, ((0, 0),))
    for row, one in enumerate(greedy):
        total = np.log(likely[row, 4 : lengths[row]]).sum()
        assert total == pytest.approx(one.log_probability, abs=1e-4)  # 4 terms, 1e-5 each as test_decoder has


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"visible": VISIBLE * 0}, "visible frames must be 1 to 100"),
        ({"visible": VISIBLE + 100}, "visible frames must be 1 to 100"),
        ({"limits": LIMITS + 4}, "fit the model's 8 positions"),
        ({"prompts": [()] * ROWS}, "at least 1 token"),
        ({"beams": 6}, "6 beams need 12 tokens"),
    ],
)
def test_refusals(alone, change, match):
    usual = {"visible": VISIBLE, "apply_norm": NORMED, "prompts": PROMPTS, "limits": LIMITS}
    with pytest.raises(ValueError, match=match):
        alone.generate(STATES, **(usual | change))


def test_another_vocabulary_is_refused(load, tokens):
    with pytest.raises(ValueError, match=r"among the model's 11, got \[11\]"):
        load(vocabulary=dataclasses.replace(tokens, suppressed=(11,)))


def test_a_tokenizer_of_another_family_is_refused(tokens, published):
    """Ids of large-v3 and of base differ by one; only the number of times at the end tells."""
    v3 = stored_tensors.Weights(dimensions=published("large-v3"), tensors={}, files=(), alignment_heads=None)
    base = dataclasses.replace(tokens, timestamp_begin=50364)
    with pytest.raises(ValueError, match="has 51866 tokens, the tokenizer is of a Whisper with 51865"):
        decoder_program.load(
            Checkpoint(name="v3", weights=v3), base, encoder_program.precision_for("cpu"), rows_per_device=1
        )


def test_an_english_only_model_detects_nothing(load, tokens):
    english = load(vocabulary=dataclasses.replace(tokens, multilingual=False))
    with pytest.raises(ValueError, match="multilingual"):
        english.detect(STATES, VISIBLE, NORMED)
