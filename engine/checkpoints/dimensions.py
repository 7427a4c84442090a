"""Sizes of a Whisper model, and the names and shapes of its tensors.

Canonical names are those of Hugging Face's WhisperModel without the leading "model."; layouts are PyTorch's:
linear (out, in), convolution (out, in, width). Key projections have no bias, and the output projection is the
token embedding, so neither is listed. An encoder alone has no decoder's tensors. Source: Radford et al.,
arXiv 2212.04356, table 1; openai/whisper.
"""

import dataclasses
from collections.abc import Mapping

from isogloss.engine.runtime.name_lists import first_names
from isogloss.engine.runtime.refusal import Refusal

CONV_WIDTH = 3  # frames; both convolutions of the stem
MOST_LAYERS = 1000  # the largest Whisper has 32; a damaged file may state 2^31, which would fill the memory

_OF_DECODER = ("decoder_layers", "text_positions", "vocabulary")

Shape = tuple[int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Dimensions:
    """Sizes of a Whisper model, which determine the shape of every tensor; an encoder alone has no decoder's.

    Attributes:
      mels: bins of the log-mel spectrogram: 80, or 128 in large-v3 and later.
      features: width D of the residual stream.
      heads: number of attention heads, equal in encoder and decoder.
      encoder_layers: number of encoder blocks.
      decoder_layers: number of decoder blocks; smaller in the distilled and turbo models. In an encoder
        alone it is 0, as are text_positions and vocabulary.
      positions: frames of the encoder's output, 20 ms each; 1500 are 30 s.
      text_positions: largest number of tokens in the decoder.
      vocabulary: rows of the token embedding.
      ffn: width of the feed-forward layers; 4 D in all published models.
    """

    mels: int
    features: int
    heads: int
    encoder_layers: int
    decoder_layers: int
    positions: int
    text_positions: int
    vocabulary: int
    ffn: int

    def __post_init__(self) -> None:
        """Refuse sizes that no Whisper model can have."""
        for name, value in dataclasses.asdict(self).items():
            if value < 1 and (self.has_decoder or name not in _OF_DECODER):
                raise Refusal(f"{name} must be at least 1, got {value}")
        for name in ("encoder_layers", "decoder_layers"):
            if (layers := getattr(self, name)) > MOST_LAYERS:
                raise Refusal(f"{name} must be at most {MOST_LAYERS}, got {layers}")
        if self.features % self.heads:
            rule = "features must be a multiple of heads"
            raise Refusal(f"{rule}, got {self.features} and {self.heads}")

    @property
    def has_decoder(self) -> bool:
        """False for an encoder alone, whose sizes of a decoder are all 0."""
        return any(getattr(self, name) for name in _OF_DECODER)


def from_sizes(file: str, sizes: Mapping[str, object], keys: Mapping[str, str]) -> Dimensions:
    """Dimensions read from a checkpoint's own keys; Refusal names the file.

    Args:
      file: name of the file, for messages.
      sizes: content of the file.
      keys: key in `sizes` of each field of `Dimensions`.
    """
    numbers: dict[str, int] = {}
    for field, key in keys.items():
        size = sizes.get(key)
        if type(size) is not int:  # isinstance would let True pass
            rule = f"{key} ({field} of the model) must be a whole number"
            raise Refusal(f"{file}: {rule}, got {size!r}. Remedy: give a Whisper checkpoint.")
        numbers[field] = size
    try:
        return Dimensions(**numbers)
    except ValueError as error:
        raise Refusal(f"{file}: {error}. Remedy: give a Whisper checkpoint.") from error


def tensor_shapes(dimensions: Dimensions) -> dict[str, Shape]:
    """Shapes of all tensors of a Whisper model by canonical name, in the order of use."""
    width = dimensions.features
    encoder = {
        "encoder.conv1.weight": (width, dimensions.mels, CONV_WIDTH),
        "encoder.conv1.bias": (width,),
        "encoder.conv2.weight": (width, width, CONV_WIDTH),
        "encoder.conv2.bias": (width,),
        "encoder.embed_positions.weight": (dimensions.positions, width),
        **_blocks("encoder", dimensions.encoder_layers, ("self_attn",), dimensions),
        **_layer_norm("encoder.layer_norm", width),
    }
    if not dimensions.has_decoder:
        return encoder
    return {
        **encoder,
        "decoder.embed_tokens.weight": (dimensions.vocabulary, width),
        "decoder.embed_positions.weight": (dimensions.text_positions, width),
        **_blocks("decoder", dimensions.decoder_layers, ("self_attn", "encoder_attn"), dimensions),
        **_layer_norm("decoder.layer_norm", width),
    }


def _blocks(side: str, layers: int, attentions: tuple[str, ...], dimensions: Dimensions) -> dict[str, Shape]:
    width, ffn = dimensions.features, dimensions.ffn
    shapes: dict[str, Shape] = {}
    for layer in range(layers):
        block = f"{side}.layers.{layer}"
        for attention in attentions:
            shapes |= _layer_norm(f"{block}.{attention}_layer_norm", width)
            for projection in ("q_proj", "k_proj", "v_proj", "out_proj"):
                shapes[f"{block}.{attention}.{projection}.weight"] = (width, width)
                if projection != "k_proj":
                    shapes[f"{block}.{attention}.{projection}.bias"] = (width,)
        shapes |= _layer_norm(f"{block}.final_layer_norm", width)
        shapes |= {f"{block}.fc1.weight": (ffn, width), f"{block}.fc1.bias": (ffn,)}
        shapes |= {f"{block}.fc2.weight": (width, ffn), f"{block}.fc2.bias": (width,)}
    return shapes


def _layer_norm(name: str, width: int) -> dict[str, Shape]:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def check_shapes(
    file: str, expected: Mapping[str, Shape], found: Mapping[str, Shape], tied: Mapping[str, Shape]
) -> None:
    """Refuse a file that doesn't hold exactly the expected tensors, by name and shape.

    Args:
      file: name of the checkpoint, for the message.
      expected: shape of each tensor, by its name in the file's own format.
      found: shape of each tensor in the file.
      tied: shapes of further tensors that the file may hold: copies of expected ones.
    """
    missing = [f"{name} {shape}" for name, shape in expected.items() if name not in found]
    surplus = [f"{name} {shape}" for name, shape in found.items() if name not in {**expected, **tied}]
    misshapen = [
        f"{name} must be {shape}, but is {found[name]}"
        for name, shape in {**expected, **tied}.items()
        if name in found and found[name] != shape
    ]
    # All faults in one message: fetching a checkpoint again takes long.
    faults = {"missing": missing, "surplus": surplus, "misshapen": misshapen}
    lines = [f"  {kind}: {first_names(names, separator='; ')}" for kind, names in faults.items() if names]
    if lines:
        raise Refusal(
            f"{file}: a checkpoint must hold exactly the tensors of a Whisper model\n"
            + "\n".join(lines)
            + "\n  Remedy: fetch the checkpoint again, or give one of an unaltered Whisper model."
        )
