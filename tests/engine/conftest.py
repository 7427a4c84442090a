"""A Whisper for texts: random weights, tokens of one byte."""

import json

import numpy as np
import pytest
import safetensors.numpy
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

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
