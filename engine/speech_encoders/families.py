"""Table of the speech encoders of transformers: class, front end, frame hop, states; nothing of PyTorch.

What isn't in a model's configuration is here: its front end, its stem, whether a norm follows the last block,
and whether utterances of several lengths may share a step. State 0 enters the first block, state k leaves
block k; `hidden_states` of transformers hides the last one's where a norm follows, so states are taken from
the blocks themselves.

Source: transformers 5.23, modeling_*.py of the classes named, and the configurations beside them.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Literal

from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.speech_encoders import stems
from isogloss.engine.time_axis import SAMPLE_RATE, TimeAxis

WINDOW_SECONDS = 30  # these encoders have none of their own; Whisper's makes stores that compare


@dataclasses.dataclass(frozen=True, kw_only=True)
class SpeechFamily:
    """Class of speech encoders.

    Attributes:
      module: module of transformers.models that has the class.
      name: class of the bare encoder.
      prefix: beginning of its tensors' names in a model with a head.
      front_end: class of the feature extractor, of `stems.FRONT_ENDS`.
      stem: stages between what it makes and the first block, by the configuration.
      nested: key of the encoder's own configuration in that of a model with a head; "" if they are one.
      blocks, norm: names of the list of blocks and of the norm behind it.
      final: whether that norm follows the last block: always, never, or if the configuration has
        do_stable_layer_norm.
      padding: whether states of padded utterances, with masks, are those of the utterances alone. If a
        convolution or a norm over time sees what is padded, utterances run one by one.
      width, layers, ffn: keys of the configuration.
      conformer: True for blocks with two perceptrons and a convolution.
    """

    module: str
    name: str
    prefix: str
    front_end: str = "Wav2Vec2FeatureExtractor"
    stem: Callable[[Mapping[str, Any]], stems.Stages] = stems.convolutions
    nested: str = ""
    blocks: str = "encoder.layers"
    norm: str = "encoder.layer_norm"
    final: Literal["always", "never", "stable"] = "stable"
    padding: bool = True
    width: str = "hidden_size"
    layers: str = "num_hidden_layers"
    ffn: str = "intermediate_size"
    conformer: bool = False


_SEAMLESS = {
    "prefix": "speech_encoder.",
    "front_end": "SeamlessM4TFeatureExtractor",
    "stem": stems.nothing,
    "final": "always",
    "layers": "speech_encoder_layers",
    "ffn": "speech_encoder_intermediate_size",
    "conformer": True,
}
_PARAKEET = SpeechFamily(
    module="parakeet.modeling_parakeet",
    name="ParakeetEncoder",
    prefix="encoder.",
    front_end="ParakeetFeatureExtractor",
    stem=stems.parakeet,
    nested="encoder_config",
    blocks="layers",
    final="never",  # each block ends with a norm
    conformer=True,
)
_LASR = SpeechFamily(
    module="lasr.modeling_lasr",
    name="LasrEncoder",
    prefix="encoder.",
    front_end="LasrFeatureExtractor",
    stem=stems.lasr,
    nested="encoder_config",
    blocks="layers",
    norm="out_norm",
    final="always",
    conformer=True,
)
FAMILIES: Mapping[str, SpeechFamily] = {
    "wav2vec2": SpeechFamily(module="wav2vec2.modeling_wav2vec2", name="Wav2Vec2Model", prefix="wav2vec2."),
    "hubert": SpeechFamily(module="hubert.modeling_hubert", name="HubertModel", prefix="hubert."),
    "wavlm": SpeechFamily(module="wavlm.modeling_wavlm", name="WavLMModel", prefix="wavlm."),
    "speech-encoder-decoder": SpeechFamily(
        module="wav2vec2.modeling_wav2vec2", name="Wav2Vec2Model", prefix="encoder.", nested="encoder"
    ),
    "wav2vec2-bert": SpeechFamily(
        module="wav2vec2_bert.modeling_wav2vec2_bert",
        name="Wav2Vec2BertModel",
        prefix="wav2vec2_bert.",
        front_end="SeamlessM4TFeatureExtractor",
        stem=stems.nothing,
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
    "sew": SpeechFamily(
        module="sew.modeling_sew",
        name="SEWModel",
        prefix="sew.",
        stem=stems.squeezed,
        final="never",
        padding=False,  # half a pair of frames would count as a pair, and be attended to
    ),
    "sew-d": SpeechFamily(
        module="sew_d.modeling_sew_d",
        name="SEWDModel",
        prefix="sew_d.",
        stem=stems.squeezed,
        blocks="encoder.encoder.layer",
        final="never",
        padding=False,  # as SEW
    ),
    "speecht5": SpeechFamily(
        module="speecht5.modeling_speecht5",
        name="SpeechT5EncoderWithSpeechPrenet",
        prefix="speecht5.encoder.",
        front_end="SpeechT5FeatureExtractor",
        blocks="wrapped_encoder.layers",
        final="never",
        padding=False,  # its convolution of positions has no mask
        layers="encoder_layers",
        ffn="encoder_ffn_dim",
    ),
    "moonshine": SpeechFamily(
        module="moonshine.modeling_moonshine",
        name="MoonshineEncoder",
        prefix="model.encoder.",
        stem=stems.moonshine,
        blocks="layers",
        norm="layer_norm",
        final="always",
        padding=False,  # a norm over the whole time axis
        layers="encoder_num_hidden_layers",
    ),
    "speech_to_text": SpeechFamily(
        module="speech_to_text.modeling_speech_to_text",
        name="Speech2TextEncoder",
        prefix="model.encoder.",
        front_end="Speech2TextFeatureExtractor",
        stem=stems.speech_to_text,
        blocks="layers",
        norm="layer_norm",
        final="always",
        padding=False,  # its second convolution sees what the first makes of padding
        width="d_model",
        layers="encoder_layers",
        ffn="encoder_ffn_dim",
    ),
    "parakeet_encoder": dataclasses.replace(_PARAKEET, nested=""),
    "parakeet_ctc": _PARAKEET,
    "parakeet_rnnt": _PARAKEET,
    "parakeet_tdt": _PARAKEET,
    "canary": dataclasses.replace(_PARAKEET, prefix="model.encoder."),
    "lasr_encoder": dataclasses.replace(_LASR, nested=""),
    "lasr_ctc": _LASR,
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
      bank, stem: stages of the feature extractor, none if it gives samples, and of the model.
    """

    family: SpeechFamily
    axis: TimeAxis
    features: int
    layers: int
    ffn: int
    final: bool
    padding: bool
    bank: stems.Stages
    stem: stems.Stages

    @property
    def states(self) -> tuple[str, ...]:
        """Names of all states."""
        return (*map(str, range(self.layers + 1)), *(["final"] if self.final else []))

    @property
    def no_final(self) -> str | None:
        """Reason why there is no state "final"; None if there is one."""
        return None if self.final else f"no norm follows its last block, whose output is state {self.layers}"

    def bucket(self, frames: int) -> int:
        """Frames to which an utterance of so many is padded, where it is padded: seconds, rounded up."""
        second = -(-SAMPLE_RATE // self.axis.samples_per_frame)
        return -(-frames // second) * second

    def inputs(self, frames: int) -> int:
        """Samples or features of so many frames, as many as still make no frame more."""
        hop, first = stems.span(self.stem)
        return first + frames * hop - 1

    def flops(self, frames: int) -> float:
        """Multiplications and additions of one utterance; norms, gates and stems behind a bank left out."""
        samples, stem, channels = self.axis.samples_per_frame * frames, 0.0, 1
        for stage in () if self.bank else self.stem:
            samples //= stage.stride
            stem += 2.0 * samples * stage.taps * channels * stage.channels
            channels = stage.channels
        d, perceptrons = self.features, 2 if self.family.conformer else 1
        convolution = 3 * d * d if self.family.conformer else 0
        block = 2 * frames * (4 * d * d + perceptrons * 2 * d * self.ffn + convolution) + 4 * frames**2 * d
        return stem + self.layers * block


def layout(
    model: str, family: SpeechFamily, config: Mapping[str, Any], front_end: Mapping[str, Json]
) -> SpeechLayout:
    """Sizes by the encoder's configuration, defaults included, and its feature extractor's settings.

    Raises:
      Refusal: the audio is of another rate, or its front end or stem makes no frames.
    """
    if (rate := front_end.get("sampling_rate", SAMPLE_RATE)) != SAMPLE_RATE:
        raise Refusal(f"{model}: takes audio at {rate} Hz, not at {SAMPLE_RATE}. Remedy: give another model")
    bank, stem = stems.FRONT_ENDS[family.front_end](front_end), family.stem(config)
    for stage in (*bank, *stem):
        for name, size in (("stride", stage.stride), ("width", stage.taps)):
            if type(size) is not int or size < 1:
                raise Refusal(f"{model}: a {name} of its stem must be 1 or more, not {size!r}")
    hop, first = stems.span((*bank, *stem))
    if hop > WINDOW_SECONDS * SAMPLE_RATE:
        raise Refusal(
            f"{model}: a frame of {hop} samples is longer than {WINDOW_SECONDS} s. Remedy: correct "
            "the strides in its config.json and preprocessor_config.json"
        )
    exact = family.padding and not config.get("conv_pos_batch_norm")
    if not bank:
        # A group norm is over the whole time axis; models with one were trained without masks.
        exact &= config.get("feat_extract_norm", "layer") == "layer" and bool(
            front_end.get("return_attention_mask")
        )
    return SpeechLayout(
        family=family,
        axis=TimeAxis(
            samples_per_frame=hop, window_frames=WINDOW_SECONDS * SAMPLE_RATE // hop, frame_samples=first
        ),
        features=config[family.width],
        layers=config[family.layers],
        ffn=config[family.ffn],
        final=family.final == "always" or (family.final == "stable" and config["do_stable_layer_norm"]),
        padding=exact,
        bank=bank,
        stem=stem,
    )
