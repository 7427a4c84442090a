"""What several tests of words need: a Whisper whose tokens are bytes, word pairs of known matches."""

import itertools
import json
import types

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
import safetensors.numpy
import tokenizers
from flax import nnx
from tokenizers import decoders, models, pre_tokenizers

from isogloss.engine import meaning, parameters, phones, word_checks
from isogloss.engine.checkpoint import load_checkpoint
from isogloss.engine.dimensions import Dimensions, tensor_shapes

SPECIAL = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|fr|>", "<|zh|>", "<|translate|>"]
SPECIAL += ["<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]


@pytest.fixture(scope="session")
def reader(tmp_path_factory):
    """Folder of a model of a 2 s window and 48 tokens; its attention is sharp enough to tell frames."""
    folder = tmp_path_factory.mktemp("models") / "reader"
    folder.mkdir()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = tokenizers.Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([tokenizers.AddedToken(t, special=True) for t in SPECIAL])
    backend.save(str(folder / "tokenizer.json"))
    vocabulary = 256 + len(SPECIAL)
    config = {"model_type": "whisper", "d_model": 16, "encoder_attention_heads": 2, "encoder_layers": 2}
    config |= {"decoder_layers": 2, "num_mel_bins": 80, "encoder_ffn_dim": 64, "max_source_positions": 100}
    config |= {"max_target_positions": 48, "vocab_size": vocabulary}
    (folder / "config.json").write_text(json.dumps(config))
    sizes = Dimensions(
        mels=80, features=16, heads=2, encoder_layers=2, decoder_layers=2, positions=100,
        text_positions=48, vocabulary=vocabulary, ffn=64,
    )  # fmt: skip
    rng = np.random.default_rng(4)
    tensors = {}
    for name, shape in tensor_shapes(sizes).items():
        drawn = rng.standard_normal(shape) * (0.1 if len(shape) == 1 else 3 / np.sqrt(np.prod(shape[1:])))
        tensors[name] = (("norm.weight" in name) + drawn).astype(np.float32)
    safetensors.numpy.save_file(tensors, folder / "model.safetensors")
    return folder


@pytest.fixture(scope="session")
def taught():
    """The decoder alone, without batches or rounding of shapes."""

    def run(folder, states, visible, apply_norm, tokens, heads):
        """Cross-attention scores (B, A, T, N), and of each token its probability among all ids (B, T)."""
        checkpoint = load_checkpoint(str(folder))
        graph, shapes = parameters.build_decoder(checkpoint.dimensions, dtype=jnp.dtype("float32"))
        layers = checkpoint.dimensions.decoder_layers
        decoder = nnx.merge(
            graph,
            parameters.cast(
                parameters.load(shapes, checkpoint.read, layers, parameters.DECODER), jnp.dtype("float32")
            ),
        )
        tokens, visible = jnp.asarray(tokens, jnp.int32), jnp.asarray(visible, jnp.int32)
        memory = decoder.enter(jnp.asarray(states), visible, jnp.asarray(apply_norm))
        scores = decoder.teach(tokens, memory, visible, heads)[1]
        likely = jax.nn.softmax(decoder(tokens, memory, visible)[:, :-1])
        chosen = jnp.take_along_axis(likely, tokens[:, 1:, None], axis=-1)[..., 0]
        return np.asarray(scores), np.pad(chosen, ((0, 0), (1, 0)), constant_values=np.nan)

    return run


SENTENCES = {
    "s0": (["red", "dog", "runs"], ["rot", "hund", "rennt"]),
    "s1": (["the", "cat"], ["die", "katze"]),
    "s2": (["a", "big", "house", "here"], ["ein", "grosses", "haus", "hier"]),
    "s3": (["we"], ["wir"]),
}


class Letters(phones.Phones):
    """Phones that are letters; "katze" has none."""

    def __init__(self):
        pass

    def of(self, language, words):
        return {word: None if word == "katze" else tuple(word) for word in words}


def encoder():
    """One direction a concept, shared by the two languages, plus a bit of everything."""
    concept = {}
    for a, b in SENTENCES.values():
        for pair in zip(a, b, strict=True):
            concept |= dict.fromkeys(pair, len(set(concept.values())))
    return meaning.Encoder("concepts", lambda words: np.eye(10)[[concept[word] for word in words]] + 0.1)


def table(states=("0", "1"), *, diagonal=True):
    """Every word pair with the gap's rows; in state "1" the true ones match."""
    rows = []
    for state, (name, (a, b)) in itertools.product(states, SENTENCES.items()):
        for i, j in itertools.product(range(-1, len(a)), range(-1, len(b))):
            real = i >= 0 and j >= 0
            match = real and (i == j) == diagonal
            rows.append(
                {
                    **{
                        "language_a": "en",
                        "language_b": "de",
                        "state": state,
                        "query": name,
                        "candidate": name,
                    },
                    **{"utterance_a": f"{name}.0", "utterance_b": f"{name}.0", "gold": True},
                    **{"word_index_a": i, "word_index_b": j},
                    **{"word_a": a[i] if i >= 0 else "", "word_b": b[j] if j >= 0 else ""},
                    **{
                        "start_a": 0.5 * i,
                        "end_a": 0.5 * i + 0.4,
                        "start_b": 0.3 * j,
                        "end_b": 0.3 * j + 0.2,
                    },
                    **{"similarity": 0.5 if real else np.nan, "mutual": match and state == "1"},
                    **{"transport": 0.1, "transported": match, "share": 0.05},
                }
            )
    return pd.DataFrame(rows)


def check(pairs, **changes):
    return word_checks.check(pairs, **({"encoder": encoder(), "voices": Letters(), "seed": 3} | changes))


@pytest.fixture(scope="session")
def known():
    """Functions that make the word pairs, and check them with a stand-in encoder and letters for phones."""
    return types.SimpleNamespace(sentences=SENTENCES, table=table, check=check)


@pytest.fixture(scope="session")
def checked():
    """The word pairs, checked."""
    return check(table())
