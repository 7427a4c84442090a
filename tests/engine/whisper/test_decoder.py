"""Decoder and its parameters against a NumPy float64 decoder and transformers' PyTorch Whisper."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from isogloss.engine.whisper import parameters
from small_models import NANO, random_tensors

# Every float32 operation rounds by at most 2**-24 of its result. A logit has passed through 3 blocks of 12
# products and the output product; in a sum of K terms of either sign the roundings grow like sqrt(K), and K
# is at most 96. Relative to the norm of all logits that is 37 * sqrt(96) * 2**-24 = 2e-5.
TOLERANCE = 37 * np.sqrt(96) * 2.0**-24
FLOAT32 = jnp.dtype("float32")
SIZES = dataclasses.replace(
    NANO, features=24, heads=3, decoder_layers=3, positions=50, text_positions=16, vocabulary=41, ffn=96
)
EVERY_HEAD = tuple((layer, head) for layer in range(3) for head in range(3))
TOKENS = np.array([[3, 1, 4, 1, 5, 9, 2, 6, 5]] * 2)


def decoder(tensors, dtype=FLOAT32):
    graph, shapes = parameters.build_decoder(SIZES, dtype=dtype)
    loaded = parameters.load(shapes, tensors.__getitem__, SIZES.decoder_layers, parameters.DECODER)
    return nnx.merge(graph, parameters.cast(loaded, dtype))


@functools.cache
def program(heads):
    return jax.jit(lambda d, *a: (d(*a), d.teach(*a, heads)[1]))


def ours(module, tokens, memory, visible, heads=EVERY_HEAD):
    """Logits and scores; texts have 8 or 9 tokens, so that few shapes compile."""
    logits, scores = program(heads)(
        module, jnp.asarray(tokens, jnp.int32), jnp.asarray(memory), jnp.asarray(visible)
    )
    return np.asarray(logits), np.asarray(scores)


@pytest.fixture
def float64_decoder(float64_whisper):
    """Logits and every cross-attention map of one row."""

    def decode(tensors, tokens, memory, visible):
        encoded = memory[:visible].astype(np.float64)
        return float64_whisper(tensors, SIZES.heads).decode(tokens, encoded, SIZES.decoder_layers)

    return decode


@pytest.fixture
def pytorch_decoder(torch_whisper):
    torch = pytest.importorskip("torch", reason="the PyTorch oracle needs a CPU build of torch")

    def decode(tensors, tokens, memory, visible):
        model = torch_whisper(tensors, SIZES, attn_implementation="eager")
        encoded = torch.from_numpy(memory[None, :visible].copy())
        with torch.no_grad():
            output = model(
                encoder_outputs=(encoded,),
                decoder_input_ids=torch.from_numpy(tokens[None]),
                output_attentions=True,
            )
        return output.logits[0].numpy(), np.stack([maps[0].numpy() for maps in output.cross_attentions])

    return decode


def off(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@pytest.fixture(scope="module")
def tensors():
    return random_tensors(SIZES, 0)


@pytest.fixture(scope="module")
def module(tensors):
    return decoder(tensors)


@pytest.fixture(scope="module")
def memory():
    return np.random.default_rng(1).standard_normal((2, 50, 24)).astype(np.float32)


@pytest.mark.parametrize("oracle", ["float64_decoder", "pytorch_decoder"])
@pytest.mark.parametrize("visible", [50, 17, 1])
@pytest.mark.parametrize("length", [9, 8])  # more tokens than a head has features, and as many
def test_logits_and_every_map_equal_the_oracle(tensors, module, memory, oracle, visible, length, request):
    tokens = np.random.default_rng(2).integers(0, 41, (2, length))
    logits, scores = ours(module, tokens, memory, np.full(2, visible))
    maps = np.asarray(jax.nn.softmax(scores, axis=-1)).reshape(2, 3, 3, length, 50)
    decode = request.getfixturevalue(oracle)
    for row in range(2):
        expected, expected_maps = decode(tensors, tokens[row], memory[row], visible)
        assert off(logits[row], expected) < TOLERANCE
        assert off(maps[row, ..., :visible], expected_maps) < TOLERANCE
        assert (maps[row, ..., visible:] == 0).all()


def test_chosen_heads_come_in_the_order_asked_for(module, memory):
    _, every = ours(module, TOKENS, memory, np.array([50, 20]))
    heads = ((2, 1), (0, 0), (2, 2), (2, 1))
    _, some = ours(module, TOKENS, memory, np.array([50, 20]), heads)
    np.testing.assert_array_equal(some, every[:, [3 * layer + head for layer, head in heads]])
    assert np.isneginf(every[1, :, :, 20:]).all()
    assert np.isfinite(every[1, :, :, :20]).all()


@pytest.mark.parametrize("pair", [(3, 0), (0, 3), (-1, 0)])
def test_heads_that_do_not_exist(module, memory, pair):
    with pytest.raises(ValueError, match="layer < 3, head < 3"):
        ours(module, TOKENS, memory, np.full(2, 50), (pair,))


def test_what_is_not_visible_does_not_matter(module, memory):
    hidden = memory.copy()
    hidden[:, 20:] = 1e6
    clean, scores = ours(module, TOKENS, memory, np.full(2, 20))
    dirty, dirty_scores = ours(module, TOKENS, hidden, np.full(2, 20))
    np.testing.assert_array_equal(clean, dirty)
    np.testing.assert_array_equal(scores, dirty_scores)


def test_later_tokens_do_not_matter(module, memory):
    other = TOKENS.copy()
    other[:, 3:] = 40
    first, second = (ours(module, t, memory, np.full(2, 50))[0][:, :3] for t in (TOKENS, other))
    np.testing.assert_array_equal(first, second)


def test_any_state_enters(tensors, module, float64_whisper):
    """The final state's norm was applied by the encoder; the others' is here, if asked for."""
    states = np.random.default_rng(3).standard_normal((3, 50, 24)).astype(np.float16)
    states[:, 30:] = np.nan
    states[2, 4] = np.nan
    visible = np.array([30, 30, 30])
    entered = np.asarray(
        module.enter(jnp.asarray(states), jnp.asarray(visible), jnp.array([True, False, True]))
    )
    assert entered.dtype == np.float32
    assert (entered[:, 30:] == 0).all()
    np.testing.assert_array_equal(entered[1, :30], states[1, :30].astype(np.float32))
    whisper = float64_whisper(tensors, SIZES.heads)
    expected = whisper.norm(states[0, :30].astype(np.float64), "encoder.layer_norm")
    assert off(entered[0, :30], expected) < TOLERANCE
    assert np.isnan(entered[2, 4]).all()  # a broken frame in use isn't hidden
    assert np.isfinite(entered[2, :4]).all()


def test_bfloat16_products_keep_a_float32_stream(tensors, memory, float64_decoder):
    """Rounding to 8 bits in a few products of each branch, 2**-9 each: the stream itself is not rounded."""
    tokens = np.array([3, 1, 4, 1, 5])
    logits, _ = ours(decoder(tensors, dtype=jnp.dtype("bfloat16")), tokens[None], memory[:1], np.full(1, 50))
    assert logits.dtype == np.float32
    assert off(logits[0], float64_decoder(tensors, tokens, memory[0], 50)[0]) < 2.0**-5


def test_kernels_and_embedding_are_cast_and_nothing_else(tensors):
    _, state = nnx.split(decoder(tensors, dtype=jnp.dtype("bfloat16")))
    kinds = {(path[-1], variable[...].dtype.name) for path, variable in nnx.to_flat_state(state)}
    assert kinds == {
        ("kernel", "bfloat16"),
        ("embedding", "bfloat16"),
        ("bias", "float32"),
        ("scale", "float32"),
        ("positions", "float32"),
    }
