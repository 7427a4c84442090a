"""Whispers so small that a step takes milliseconds: sizes, configuration, random weights."""

import dataclasses
import json

import numpy as np
import safetensors.numpy

from isogloss.engine.checkpoints.dimensions import Dimensions, tensor_shapes

NANO = Dimensions(  # a window of 2 s
    mels=80, features=16, heads=2, encoder_layers=2, decoder_layers=1,
    positions=100, text_positions=8, vocabulary=11, ffn=64,
)  # fmt: skip
TINY = Dimensions(  # for readers of weights: no array is large, few sizes are equal
    mels=4, features=6, heads=2, encoder_layers=2, decoder_layers=1,
    positions=7, text_positions=5, vocabulary=11, ffn=24,
)  # fmt: skip
TOWER = dataclasses.replace(NANO, decoder_layers=0, text_positions=0, vocabulary=0)  # the encoder alone
TOWER_CONFIG = {
    "num_mel_bins": 80, "d_model": 16, "encoder_layers": 2, "encoder_attention_heads": 2,
    "encoder_ffn_dim": 64, "max_source_positions": 100,
}  # fmt: skip


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


def write_audio_language_model(folder):
    """Write a Qwen2-Audio in three shards, of which the last has no tensor of the encoder, TOWER."""
    audio = {"model_type": "qwen2_audio_encoder", **TOWER_CONFIG}
    (folder / "config.json").write_text(json.dumps({"model_type": "qwen2_audio", "audio_config": audio}))
    tensors = {
        f"audio_tower.{name.removeprefix('encoder.')}": value
        for name, value in random_tensors(TOWER, 0).items()
    }
    names = sorted(tensors)
    text = {"language_model.x": np.ones(3, np.float32)}
    parts = ({name: tensors[name] for name in names[:9]}, {name: tensors[name] for name in names[9:]} | text)
    shards = {f"model-{i}-of-3.safetensors": part for i, part in enumerate(parts, 1)}
    for shard, part in shards.items():
        safetensors.numpy.save_file(part, folder / shard)
    (folder / "model-3-of-3.safetensors").write_text("not safetensors: to open it is an error")
    weights = {name: shard for shard, part in shards.items() for name in part}
    weights |= {"language_model.y": "model-3-of-3.safetensors"}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weights}))
