"""engine.decoder and engine.parameters against a NumPy float64 decoder and transformers' PyTorch Whisper."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import transformers
from flax import nnx
from scipy.special import erf

from isogloss.engine import parameters
from isogloss.engine.dimensions import Dimensions, tensor_shapes

# Every float32 operation rounds by at most 2**-24 of its result. A logit has passed through 3 blocks of 12
# products and the output product; in a sum of K terms of either sign the roundings grow like sqrt(K), and K
# is at most 96. Relative to the norm of all logits that is 37 * sqrt(96) * 2**-24 = 2e-5.
TOLERANCE = 37 * np.sqrt(96) * 2.0**-24
FLOAT32 = jnp.dtype("float32")
SIZES = Dimensions(
    mels=80,
    features=24,
    heads=3,
    encoder_layers=2,
    decoder_layers=3,
    positions=50,
    text_positions=16,
    vocabulary=41,
    ffn=96,
)
EVERY_HEAD = [(layer, head) for layer in range(3) for head in range(3)]


def random_tensors(sizes, seed=0):
    rng = np.random.default_rng(seed)
    return {
        name: (("norm.weight" in name) + rng.standard_normal(shape) / np.sqrt(max(shape[-1], 16))).astype(
            np.float32
        )
        for name, shape in tensor_shapes(sizes).items()
    }


def decoder(tensors, sizes=SIZES, dtype=FLOAT32):
    graph, shapes = parameters.build_decoder(sizes, dtype=dtype)
    loaded = parameters.load(shapes, tensors.__getitem__, sizes.decoder_layers, parameters.DECODER)
    return nnx.merge(graph, parameters.cast(loaded, dtype))


def ours(module, tokens, memory, visible, heads=()):
    run = jax.jit(lambda d, *a: (d(*a), d.teach(*a, heads)[1]))
    logits, scores = run(module, jnp.asarray(tokens, jnp.int32), jnp.asarray(memory), jnp.asarray(visible))
    return np.asarray(logits), np.asarray(scores)


def float64_decoder(tensors, tokens, memory, visible, sizes=SIZES):
    """Logits and every cross-attention map of one row, without a line of the product's."""
    p = {name: value.astype(np.float64) for name, value in tensors.items()}
    width = sizes.features // sizes.heads

    def norm(x, name):
        centred = x - x.mean(-1, keepdims=True)
        scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
        return scaled * p[f"{name}.weight"] + p[f"{name}.bias"]

    def linear(x, name):
        return x @ p[f"{name}.weight"].T + p.get(f"{name}.bias", 0.0)

    def attend(x, known, name, causal):
        mixed, maps = [], []
        q, k, v = (
            linear(y, f"{name}.{letter}_proj") for letter, y in zip("qkv", (x, known, known), strict=True)
        )
        for head in range(sizes.heads):
            cut = slice(head * width, (head + 1) * width)
            scores = q[:, cut] @ k[:, cut].T / np.sqrt(width)
            if causal:
                scores = np.where(np.tri(len(x), dtype=bool), scores, -np.inf)
            weights = np.exp(scores - scores.max(-1, keepdims=True))
            maps.append(weights / weights.sum(-1, keepdims=True))
            mixed.append(maps[-1] @ v[:, cut])
        return linear(np.concatenate(mixed, -1), f"{name}.out_proj"), np.stack(maps)

    heard = memory[:visible].astype(np.float64)
    x = p["decoder.embed_tokens.weight"][tokens] + p["decoder.embed_positions.weight"][: len(tokens)]
    every = []
    for layer in range(sizes.decoder_layers):
        name = f"decoder.layers.{layer}"
        normed = norm(x, f"{name}.self_attn_layer_norm")
        x = x + attend(normed, normed, f"{name}.self_attn", causal=True)[0]
        mixed, maps = attend(norm(x, f"{name}.encoder_attn_layer_norm"), heard, f"{name}.encoder_attn", False)
        x = x + mixed
        hidden = linear(norm(x, f"{name}.final_layer_norm"), f"{name}.fc1")
        x = x + linear(0.5 * hidden * (1 + erf(hidden / np.sqrt(2))), f"{name}.fc2")
        every.append(maps)
    return norm(x, "decoder.layer_norm") @ p["decoder.embed_tokens.weight"].T, np.stack(every)


def pytorch_decoder(tensors, tokens, memory, visible, sizes=SIZES):
    torch = pytest.importorskip("torch", reason="the PyTorch oracle needs a CPU build of torch")
    model = pytorch_model(tensors, sizes, eot=0)
    heard = torch.from_numpy(memory[None, :visible].copy())
    with torch.no_grad():
        output = model(
            encoder_outputs=(heard,),
            decoder_input_ids=torch.from_numpy(tokens[None]),
            output_attentions=True,
        )
    return output.logits[0].numpy(), np.stack([maps[0].numpy() for maps in output.cross_attentions])


def pytorch_model(tensors, sizes, eot):
    torch = pytest.importorskip("torch", reason="the PyTorch oracle needs a CPU build of torch")
    config = transformers.WhisperConfig(
        vocab_size=sizes.vocabulary,
        num_mel_bins=sizes.mels,
        d_model=sizes.features,
        encoder_layers=sizes.encoder_layers,
        decoder_layers=sizes.decoder_layers,
        encoder_attention_heads=sizes.heads,
        decoder_attention_heads=sizes.heads,
        encoder_ffn_dim=sizes.ffn,
        decoder_ffn_dim=sizes.ffn,
        max_source_positions=sizes.positions,
        max_target_positions=sizes.text_positions,
        pad_token_id=eot,
        bos_token_id=eot,
        eos_token_id=eot,
        decoder_start_token_id=3,
        suppress_tokens=None,
        begin_suppress_tokens=None,
        attn_implementation="eager",
    )
    model = transformers.WhisperForConditionalGeneration(config).eval()
    model.model.load_state_dict({name: torch.from_numpy(t.copy()) for name, t in tensors.items()})
    return model


def off(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


@pytest.fixture(scope="module")
def tensors():
    return random_tensors(SIZES)


@pytest.fixture(scope="module")
def module(tensors):
    return decoder(tensors)


@pytest.fixture(scope="module")
def memory():
    return np.random.default_rng(1).standard_normal((2, 50, 24)).astype(np.float32)


@pytest.mark.parametrize("oracle", [float64_decoder, pytorch_decoder])
@pytest.mark.parametrize("visible", [50, 17, 1])
def test_logits_and_every_map_equal_the_oracle(tensors, module, memory, oracle, visible):
    tokens = np.random.default_rng(2).integers(0, 41, (2, 9))
    logits, scores = ours(module, tokens, memory, np.full(2, visible), EVERY_HEAD)
    maps = np.asarray(jax.nn.softmax(scores, axis=-1)).reshape(2, 3, 3, 9, 50)
    for row in range(2):
        expected, expected_maps = oracle(tensors, tokens[row], memory[row], visible)
        assert off(logits[row], expected) < TOLERANCE
        assert off(maps[row, ..., :visible], expected_maps) < TOLERANCE
        assert (maps[row, ..., visible:] == 0).all()


def test_chosen_heads_come_in_the_order_asked_for(module, memory):
    tokens = np.array([[3, 1, 4, 1, 5]] * 2)
    _, every = ours(module, tokens, memory, np.array([50, 20]), EVERY_HEAD)
    heads = [(2, 1), (0, 0), (2, 2), (2, 1)]
    _, some = ours(module, tokens, memory, np.array([50, 20]), heads)
    np.testing.assert_array_equal(some, every[:, [3 * layer + head for layer, head in heads]])
    assert np.isneginf(every[1, :, :, 20:]).all()
    assert np.isfinite(every[1, :, :, :20]).all()


@pytest.mark.parametrize("pair", [(3, 0), (0, 3), (-1, 0)])
def test_heads_that_do_not_exist(module, memory, pair):
    with pytest.raises(ValueError, match="layer < 3, head < 3"):
        ours(module, np.array([[1], [2]]), memory, np.full(2, 50), [pair])


def test_what_is_not_visible_does_not_matter(module, memory):
    tokens = np.array([[3, 1, 4]] * 2)
    hidden = memory.copy()
    hidden[:, 20:] = 1e6
    clean, scores = ours(module, tokens, memory, np.full(2, 20), EVERY_HEAD)
    dirty, dirty_scores = ours(module, tokens, hidden, np.full(2, 20), EVERY_HEAD)
    np.testing.assert_array_equal(clean, dirty)
    np.testing.assert_array_equal(scores, dirty_scores)


def test_later_tokens_do_not_matter(module, memory):
    tokens = np.array([[3, 1, 4, 1, 5]] * 2)
    other = tokens.copy()
    other[:, 3:] = 40
    first, second = (ours(module, t, memory, np.full(2, 50))[0][:, :3] for t in (tokens, other))
    np.testing.assert_array_equal(first, second)


def test_any_state_enters(tensors, module):
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
    x = states[0, :30].astype(np.float64)
    centred = x - x.mean(-1, keepdims=True)
    scaled = centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5)
    expected = scaled * tensors["encoder.layer_norm.weight"] + tensors["encoder.layer_norm.bias"]
    assert off(entered[0, :30], expected) < TOLERANCE
    assert np.isnan(entered[2, 4]).all()  # a broken frame in use isn't hidden
    assert np.isfinite(entered[2, :4]).all()


def test_bfloat16_products_keep_a_float32_stream(tensors, memory):
    """Rounding to 8 bits in a few products of each branch, 2**-9 each: the stream itself is not rounded."""
    tokens = np.array([3, 1, 4, 1, 5])
    logits, _ = ours(decoder(tensors, dtype=jnp.dtype("bfloat16")), tokens[None], memory[:1], np.full(1, 50))
    assert logits.dtype == np.float32
    assert off(logits[0], float64_decoder(tensors, tokens, memory[0], 50)[0]) < 2.0**-5


def test_kernels_and_embedding_are_cast_and_nothing_else():
    tensors = random_tensors(SIZES)
    _, state = nnx.split(decoder(tensors, dtype=jnp.dtype("bfloat16")))
    kinds = {(path[-1], variable[...].dtype.name) for path, variable in nnx.to_flat_state(state)}
    assert kinds == {
        ("kernel", "bfloat16"),
        ("embedding", "bfloat16"),
        ("bias", "float32"),
        ("scale", "float32"),
        ("positions", "float32"),
    }
