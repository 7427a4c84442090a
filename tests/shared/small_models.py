"""Whispers so small that a step takes milliseconds: sizes, configuration, random weights."""

import numpy as np

from isogloss.engine.checkpoints.dimensions import Dimensions, tensor_shapes

NANO = Dimensions(  # a window of 2 s
    mels=80, features=16, heads=2, encoder_layers=2, decoder_layers=1,
    positions=100, text_positions=8, vocabulary=11, ffn=64,
)  # fmt: skip
TINY = Dimensions(  # for readers of weights: no array is large, few sizes are equal
    mels=4, features=6, heads=2, encoder_layers=2, decoder_layers=1,
    positions=7, text_positions=5, vocabulary=11, ffn=24,
)  # fmt: skip


def config_of(sizes):
    """Content of config.json."""
    return {
        "model_type": "whisper",
        "num_mel_bins": sizes.mels,
        "d_model": sizes.features,
        "encoder_attention_heads": sizes.heads,
        "encoder_layers": sizes.encoder_layers,
        "decoder_layers": sizes.decoder_layers,
        "encoder_ffn_dim": sizes.ffn,
        "max_source_positions": sizes.positions,
        "max_target_positions": sizes.text_positions,
        "vocab_size": sizes.vocabulary,
    }


def random_tensors(sizes, seed, spread=1.0):
    """Weights by canonical name; `spread` is the standard deviation of a product's output."""
    rng = np.random.default_rng(seed)
    tensors = {}
    for name, shape in tensor_shapes(sizes).items():
        scale = 0.1 if len(shape) == 1 else spread / np.sqrt(np.prod(shape[1:]))
        center = 1.0 if "norm.weight" in name else 0.0
        tensors[name] = (center + scale * rng.standard_normal(shape)).astype(np.float32)
    return tensors
