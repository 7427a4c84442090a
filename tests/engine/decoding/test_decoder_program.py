"""The decoder on devices: any rows on any number of them, the same results; refusals."""

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
ENCODED = decoder_program.EncodedRows(states=STATES, visible=VISIBLE, apply_norm=NORMED)
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
    own = load_checkpoint(str(model_folder))

    def loaded(checkpoint=own, devices=1, vocabulary=tokens):
        precision = encoder_program.precision_for("cpu")
        return decoder_program.load(checkpoint, vocabulary, precision, rows_per_device=2, devices=devices)

    return loaded


@pytest.fixture(scope="module")
def alone(load):
    return load()


def everything(decoding, order=slice(None)):
    """Greedy and beam texts and languages of all rows, in `order`."""
    some, prompts = ENCODED.take(order), [PROMPTS[row] for row in np.arange(ROWS)[order]]
    greedy, beams = (decoding.generate(some, prompts, LIMITS[order], count) for count in (1, 2))
    languages, probabilities = decoding.detect(some)
    return greedy, beams, languages, probabilities.tolist()


@pytest.fixture(scope="module")
def expected(alone):
    return everything(alone)


@pytest.mark.deep
@pytest.mark.parametrize("devices", [2, 8])
def test_devices_do_not_change_a_bit(load, expected, devices):
    for ours, theirs in zip(everything(load(devices=devices)), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("order", [slice(None, None, -1), slice(4, 7)])
def test_order_and_neighbours_do_not_change_a_bit(alone, expected, order):
    for ours, theirs in zip(everything(alone, order), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs[order])


def test_a_bad_row_is_marked_and_spoils_no_other(alone, expected):
    spoilt = STATES.copy()
    spoilt[3, 0] = np.nan
    spoilt[np.arange(100)[None, :] >= VISIBLE[:, None]] = np.nan  # which is not a fault
    found = alone.generate(dataclasses.replace(ENCODED, states=spoilt), PROMPTS, LIMITS)
    bad = found.pop(3)
    assert found == [text for row, text in enumerate(expected[0]) if row != 3]
    assert bad.tokens == ()
    assert np.isnan(bad.log_probability)


def test_probabilities_are_those_of_a_text_read_at_once(taught, model_folder, expected):
    texts = [
        [*prompt, *one.tokens] + [7] * (not one.cut) for prompt, one in zip(PROMPTS, expected[0], strict=True)
    ]
    padded = np.array([text + [0] * (8 - len(text)) for text in texts])
    _, likely = taught(model_folder, STATES, VISIBLE, NORMED, padded, ((0, 0),))
    for row, one in enumerate(expected[0]):
        total = np.log(likely[row, 4 : len(texts[row])]).sum()
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
    encoded = dataclasses.replace(ENCODED, visible=change.pop("visible", VISIBLE))
    with pytest.raises(ValueError, match=match):
        alone.generate(encoded, **({"prompts": PROMPTS, "limits": LIMITS} | change))


def test_another_vocabulary_is_refused(load, tokens, published):
    """Ids of large-v3 and of base differ by one; only the number of times at the end shows it."""
    with pytest.raises(ValueError, match=r"among the model's 11, got \[11\]"):
        load(vocabulary=dataclasses.replace(tokens, suppressed=(11,)))
    v3 = stored_tensors.Weights(dimensions=published("large-v3"), tensors={}, files=(), alignment_heads=None)
    with pytest.raises(ValueError, match="has 51866 tokens, the tokenizer is of a Whisper with 51865"):
        load(Checkpoint(name="v3", weights=v3), vocabulary=dataclasses.replace(tokens, timestamp_begin=50364))


def test_an_english_only_model_detects_nothing(load, tokens):
    english = load(vocabulary=dataclasses.replace(tokens, multilingual=False))
    with pytest.raises(ValueError, match="multilingual"):
        english.detect(ENCODED)
