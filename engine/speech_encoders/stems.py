"""Stems of speech encoders: what makes frames of samples, as a chain of stages (taps, stride); sizes alone.

A stage of n inputs has floor((n - taps) / stride) + 1 outputs. The first stages may be a feature extractor's;
the others are the model's. One that pads itself to ceil(n / stride) has one tap here, and pooling is a stage.

Source: transformers 5.23, lengths in feature_extraction_*.py and modeling_*.py of the classes in `families`.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple


class StemStage(NamedTuple):
    """Step of a stem.

    Attributes:
      taps: inputs that one output needs.
      stride: inputs from one output to the next.
      channels: of a convolution over samples, whose work counts; 0 of others.
    """

    taps: int
    stride: int
    channels: int = 0


Stages = tuple[StemStage, ...]


def span(stages: Sequence[StemStage]) -> tuple[int, int]:
    """Inputs from one output of a chain to the next, and inputs that an output needs.

    floor((n - k) / s) + 1 of each stage, one after the other, is floor((n - K) / S) + 1 of all, with S the
    product of strides and K = 1 + sum (k - 1) * product of the strides before it.
    """
    strides = [stage.stride for stage in stages]
    # Each further tap of a stage reaches as far as one of its inputs does in samples.
    seen = 1 + sum((stage.taps - 1) * math.prod(strides[:i]) for i, stage in enumerate(stages))
    return math.prod(strides), seen


_BANK = StemStage(400, 160)  # Kaldi's filter bank at 16 kHz


def _samples(front_end: Mapping[str, Any]) -> Stages:
    return ()


def _kaldi(front_end: Mapping[str, Any]) -> Stages:
    return (_BANK,)


def _stacked(front_end: Mapping[str, Any]) -> Stages:
    """Neighbours side by side; one whose last neighbour is missing is masked."""
    stride = front_end.get("stride", 2)
    return _BANK, StemStage(stride, stride)


def _centred(front_end: Mapping[str, Any]) -> Stages:
    """Frames centred on multiples of the hop; the last, half of it beyond the samples, is masked."""
    hop = front_end.get("hop_length", 160)
    return (StemStage(hop, hop),)


def _within(front_end: Mapping[str, Any]) -> Stages:
    """Frames that lie within the samples."""
    return (StemStage(front_end.get("win_length", 400), front_end.get("hop_length", 160)),)


FRONT_ENDS: Mapping[str, Callable[[Mapping[str, Any]], Stages]] = {
    "Wav2Vec2FeatureExtractor": _samples,
    "SpeechT5FeatureExtractor": _samples,
    "SeamlessM4TFeatureExtractor": _stacked,
    "Speech2TextFeatureExtractor": _kaldi,
    "ParakeetFeatureExtractor": _centred,
    "LasrFeatureExtractor": _within,
}
"""Stages of feature extractors by their settings; none if the encoder takes samples."""


def nothing(config: Mapping[str, Any]) -> Stages:
    """Features are frames."""
    return ()


def convolutions(config: Mapping[str, Any]) -> Stages:
    """Convolutions over samples, as wav2vec2 has them."""
    sizes = zip(config["conv_kernel"], config["conv_stride"], config["conv_dim"], strict=True)
    return tuple(StemStage(*size) for size in sizes)


def squeezed(config: Mapping[str, Any]) -> Stages:
    """SEW's convolutions and the pooling before its blocks."""
    pooled = config["squeeze_factor"]
    return *convolutions(config), StemStage(pooled, pooled, config["hidden_size"])


def moonshine(config: Mapping[str, Any]) -> Stages:
    """Three convolutions whose sizes are the class's own."""
    width = config["hidden_size"]
    return StemStage(127, 64, width), StemStage(7, 3, 2 * width), StemStage(3, 2, width)


def speech_to_text(config: Mapping[str, Any]) -> Stages:
    """Padded convolutions that halve the number of frames."""
    # Padding makes up for the width, so a frame is there as soon as its first input is.
    return (StemStage(1, 2),) * config["num_conv_layers"]


def parakeet(config: Mapping[str, Any]) -> Stages:
    """Padded convolutions over time and frequency."""
    return (StemStage(1, config["subsampling_conv_stride"]),) * int(math.log2(config["subsampling_factor"]))


def lasr(config: Mapping[str, Any]) -> Stages:
    """Two convolutions that aren't padded."""
    return (StemStage(config["subsampling_conv_kernel_size"], config["subsampling_conv_stride"]),) * 2
