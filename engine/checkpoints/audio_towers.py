"""Encoders of audio language models that are Whisper's encoder, known by the names in their config.json.

Their tensors are Whisper's without a decoder: conv1, conv2 of stride 2, positions, pre-norm blocks, keys
without bias, a final norm. A pooler that follows has no weights. Source: transformers 5.23,
Qwen2AudioEncoder, VoxtralEncoder, AudioFlamingo3Encoder, MossTranscribeDiarizeAudioModel and their
configurations.
"""

import dataclasses
from collections.abc import Mapping

from isogloss.engine.checkpoints import dimensions
from isogloss.engine.checkpoints.dimensions import Dimensions
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.refusal import Refusal

POOLED = (
    "the model averages two frames before its final norm, so its final states are frames of 40 ms, which are "
    "not stored beside those of 20 ms"
)
TOWERS = {  # type of the encoder: why it has no state "final" of 20 ms, if it has none
    "qwen2_audio_encoder": POOLED,
    "voxtral_encoder": None,
    "audioflamingo3_encoder": POOLED,
    "moss_transcribe_diarize_audio": None,  # four final states are put side by side after its norm
}
_CONV2D = "its stem has Conv2d over time and frequency, Whisper's has Conv1d"
_CAUSAL = "its encoder is causal: a frame doesn't see what follows it, in Whisper's it does"
_BLOCKS = "its attention is in blocks of the window, Whisper's sees the whole window"
_OTHERS = {  # by the beginning of the type
    "glmasr": "its attention rotates queries and keys by position, Whisper adds positions to its stem",
    "nemo_speechlm": "its stem projects eight frames of log-mel at once, Whisper's has convolutions",
    "phi4_multimodal": f"{_CONV2D}, and its blocks have convolutions, too",
    "qwen2_5_omni": _BLOCKS,
    "qwen3_asr": _CONV2D,
    "qwen3_omni": _CONV2D,
    "voxtral_realtime": _CAUSAL,
}
_PREFIXES = ("audio_tower.", "model.audio_tower.")  # as on the hub, and as a bare model of transformers 5
# Configurations leave out what equals the default of their class; all classes but one have the same.
_SIZES = {
    "mels": (("num_mel_bins",), 128),
    "features": (("d_model", "hidden_size"), 1280),
    "heads": (("encoder_attention_heads", "num_attention_heads"), 20),
    "encoder_layers": (("encoder_layers", "num_hidden_layers"), 32),
    "positions": (("max_source_positions",), 1500),
    "ffn": (("encoder_ffn_dim", "intermediate_size"), 5120),
}
_OWN_SIZES: Mapping[str, Mapping[str, int]] = {
    "moss_transcribe_diarize_audio": {
        "mels": 80,
        "features": 1024,
        "heads": 16,
        "encoder_layers": 24,
        "ffn": 4096,
    }
}
_RULES = {"activation_function": "gelu", "scale_embedding": False}


@dataclasses.dataclass(frozen=True, kw_only=True)
class AudioTower:
    """Encoder inside a model.

    Attributes:
      dimensions: its sizes; those of a decoder are 0.
      prefixes: beginnings that the names of its tensors may have.
      no_final: why it has no state "final"; None if it has one.
    """

    dimensions: Dimensions
    prefixes: tuple[str, ...]
    no_final: str | None


def difference(kind: str) -> str | None:
    """Part in which the encoder of a type of models differs from Whisper's; None if it isn't known."""
    return next((reason for known, reason in _OTHERS.items() if kind.startswith(known)), None)


def tower_of(file: str, config: Mapping[str, Json]) -> AudioTower | None:
    """Encoder that a configuration describes; None if the table has no such name, as for a Whisper.

    Args:
      file: name of config.json, for messages.
      config: its content.

    Raises:
      Refusal: the model's encoder is known to differ from Whisper's, or its sizes are those of no model.
    """
    inner = config.get("audio_config")
    part = inner if isinstance(inner, dict) else config
    types = [str(of.get("model_type")) for of in (config, part)]
    if reason := difference(types[0]) or difference(types[1]):
        raise Refusal(f"{file}: {types[0]} can't be read: {reason}. Remedy: give one of {', '.join(TOWERS)}.")
    if types[1] not in TOWERS:
        return None
    for key, needed in _RULES.items():
        if part.get(key, needed) != needed:
            raise Refusal(
                f"{file}: {key} must be {needed!r}, but is {part[key]!r}. Remedy: give another model."
            )
    sizes: dict[str, Json] = {"decoder_layers": 0, "text_positions": 0, "vocabulary": 0}
    for field, (names, default) in _SIZES.items():
        own = _OWN_SIZES.get(types[1], {}).get(field, default)
        sizes[field] = next((part[name] for name in names if name in part), own)
    return AudioTower(
        dimensions=dimensions.from_sizes(file, sizes, {field: field for field in sizes}),
        prefixes=_PREFIXES if part is inner else ("",),
        no_final=TOWERS[types[1]],
    )
