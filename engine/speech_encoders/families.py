"""Table of the speech encoders of transformers: class, front end, frame hop, states; nothing of PyTorch.

What isn't in a model's configuration is here: its front end, whether a norm follows the last block, and
whether utterances of several lengths may share a step. State 0 enters the first block, state k leaves
block k; `hidden_states` of transformers hides the last one's where a norm follows, so states are taken from
the blocks themselves.

Source: transformers 5.23, modeling_*.py of the classes named, and the configurations beside them.
"""

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal

from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.time_axis import SAMPLE_RATE, TimeAxis

WINDOW_SECONDS = 30  # these encoders have none of their own; Whisper's makes stores that compare
WAVEFORM, FILTER_BANK = "Wav2Vec2FeatureExtractor", "SeamlessM4TFeatureExtractor"
BUCKET = 50  # frames; a second at 20 ms
_BANK_SAMPLES, _BANK_HOP = 400, 160  # of a filter bank's frame, SeamlessM4TFeatureExtractor


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpeechFamily:
    """Class of speech encoders.

    Attributes:
      module: module of transformers.models that has the class.
      name: class of the bare encoder.
      prefix: beginning of its tensors' names in a model with a head.
      front_end: class of the feature extractor.
      final: whether a norm, encoder.layer_norm, follows the last block: always, never, or if the
        configuration has do_stable_layer_norm.
      padding: whether states of padded utterances, with masks, are those of the utterances alone. If a
        convolution or a norm over time sees what is padded, utterances run one by one.
      layers, ffn: keys of the configuration.
      conformer: True for blocks with two perceptrons and a convolution.
    """

    module: str
    name: str
    prefix: str
    front_end: str = WAVEFORM
    final: Literal["always", "never", "stable"] = "stable"
    padding: bool = True
    layers: str = "num_hidden_layers"
    ffn: str = "intermediate_size"
    conformer: bool = False


_SEAMLESS = {
    "prefix": "speech_encoder.",
    "front_end": FILTER_BANK,
    "final": "always",
    "layers": "speech_encoder_layers",
    "ffn": "speech_encoder_intermediate_size",
    "conformer": True,
}
FAMILIES: Mapping[str, SpeechFamily] = {
    "wav2vec2": SpeechFamily(module="wav2vec2.modeling_wav2vec2", name="Wav2Vec2Model", prefix="wav2vec2."),
    "hubert": SpeechFamily(module="hubert.modeling_hubert", name="HubertModel", prefix="hubert."),
    "wavlm": SpeechFamily(module="wavlm.modeling_wavlm", name="WavLMModel", prefix="wavlm."),
    "wav2vec2-bert": SpeechFamily(
        module="wav2vec2_bert.modeling_wav2vec2_bert",
        name="Wav2Vec2BertModel",
        prefix="wav2vec2_bert.",
        front_end=FILTER_BANK,
        final="never",
        conformer=True,
    ),
    "seamless_m4t_v2": SpeechFamily(
        module="seamless_m4t_v2.modeling_seamless_m4t_v2", name="SeamlessM4Tv2SpeechEncoder", **_SEAMLESS
    ),
    "seamless_m4t": SpeechFamily(
        module="seamless_m4t.modeling_seamless_m4t", name="SeamlessM4TSpeechEncoder", **_SEAMLESS
    ),
    "unispeech": SpeechFamily(
        module="unispeech.modeling_unispeech", name="UniSpeechModel", prefix="unispeech."
    ),
    "unispeech-sat": SpeechFamily(
        module="unispeech_sat.modeling_unispeech_sat", name="UniSpeechSatModel", prefix="unispeech_sat."
    ),
    "data2vec-audio": SpeechFamily(
        module="data2vec.modeling_data2vec_audio",
        name="Data2VecAudioModel",
        prefix="data2vec_audio.",
        final="never",
        padding=False,  # its five convolutions of positions see each other's padding
    ),
    "wav2vec2-conformer": SpeechFamily(
        module="wav2vec2_conformer.modeling_wav2vec2_conformer",
        name="Wav2Vec2ConformerModel",
        prefix="wav2vec2_conformer.",
        final="always",
        padding=False,  # the convolution in its blocks has no mask
        conformer=True,
    ),
}
"""Families by the model_type of config.json."""
PREFIXES: Mapping[str, str] = {kind: family.prefix for kind, family in FAMILIES.items()}
"""Beginnings of their tensors' names, see `SpeechFamily`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpeechLayout:
    """Sizes of one model.

    Attributes:
      family: its class.
      axis: frames and window.
      features: width of a state.
      layers: number of blocks.
      ffn: width of a perceptron's hidden layer.
      final: True if a norm follows the last block.
      padding: True if utterances of several lengths may share a step.
      convolutions: (channels, width, stride) of the stem, none of a filter bank's.
    """

    family: SpeechFamily
    axis: TimeAxis
    features: int
    layers: int
    ffn: int
    final: bool
    padding: bool
    convolutions: tuple[tuple[int, int, int], ...]

    @property
    def states(self) -> tuple[str, ...]:
        """Names of all states."""
        return (*map(str, range(self.layers + 1)), *(["final"] if self.final else []))

    @property
    def no_final(self) -> str | None:
        """Reason why there is no state "final"; None if there is one."""
        return None if self.final else f"no norm follows its last block, whose output is state {self.layers}"

    def flops(self, frames: int) -> float:
        """Multiplications and additions of one utterance, norms and gates left out."""
        samples, stem, channels = self.axis.samples_per_frame * frames, 0.0, 1
        for width, taps, stride in self.convolutions:
            samples //= stride
            stem += 2.0 * samples * taps * channels * width
            channels = width
        d, perceptrons = self.features, 2 if self.family.conformer else 1
        convolution = 3 * d * d if self.family.conformer else 0
        block = 2 * frames * (4 * d * d + perceptrons * 2 * d * self.ffn + convolution) + 4 * frames**2 * d
        return stem + self.layers * block


def bucket(frames: int) -> int:
    """Frames to which an utterance of so many is padded, where it is padded."""
    return -(-frames // BUCKET) * BUCKET


def layout(
    model: str, family: SpeechFamily, config: Mapping[str, Any], front_end: Mapping[str, Json]
) -> SpeechLayout:
    """Sizes of a model by its configuration, defaults included, and its feature extractor's settings.

    Raises:
      Refusal: the audio is of another rate, or a frame isn't a whole number of samples.
    """
    if (rate := front_end.get("sampling_rate", SAMPLE_RATE)) != SAMPLE_RATE:
        raise Refusal(f"{model}: takes audio at {rate} Hz, not at {SAMPLE_RATE}. Remedy: give another model")
    waveform = family.front_end == WAVEFORM
    convolutions: tuple[tuple[int, int, int], ...] = ()
    if waveform:
        convolutions = tuple(
            zip(config["conv_dim"], config["conv_kernel"], config["conv_stride"], strict=True)
        )
        hop, first = _span(convolutions)
    else:
        pooled = front_end.get("stride", 2)
        if type(pooled) is not int or pooled < 1:
            raise Refusal(f"{model}: stride of its feature extractor must be 1 or more, not {pooled!r}")
        # A frame is made of `stride` neighbours; one whose last neighbour is missing is masked.
        hop, first = _BANK_HOP * pooled, _BANK_SAMPLES + _BANK_HOP * (pooled - 1)
    exact = family.padding and not config.get("conv_pos_batch_norm")
    if waveform:
        # A group norm is over the whole time axis; models with one were trained without masks.
        exact &= config.get("feat_extract_norm", "layer") == "layer" and bool(
            front_end.get("return_attention_mask")
        )
    return SpeechLayout(
        family=family,
        axis=TimeAxis(
            samples_per_frame=hop, window_frames=WINDOW_SECONDS * SAMPLE_RATE // hop, frame_samples=first
        ),
        features=config["hidden_size"],
        layers=config[family.layers],
        ffn=config[family.ffn],
        final=family.final == "always" or (family.final == "stable" and config["do_stable_layer_norm"]),
        padding=exact,
        convolutions=convolutions,
    )


def _span(convolutions: Sequence[tuple[int, int, int]]) -> tuple[int, int]:
    """Samples from one frame to the next, and samples that a frame sees.

    floor((n - k) / s) + 1 of each convolution, one after the other, is floor((n - K) / S) + 1 of all, with S
    the product of strides and K = 1 + sum (k - 1) * product of the strides before it.
    """
    strides = [stride for *_, stride in convolutions]
    seen = 1 + sum((taps - 1) * math.prod(strides[:i]) for i, (_, taps, _) in enumerate(convolutions))
    return math.prod(strides), seen
