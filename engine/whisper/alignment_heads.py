"""Heads of the decoder's cross-attention that follow the words, by model.

The checkpoint's own list takes precedence (Hugging Face's generation_config.json, CTranslate2's config.json).
Next are the lists that OpenAI publishes for its sizes, found by the model's dimensions; large-v1 and large-v2
have the same dimensions, so the name or the file's hash decides. A model without a list gets all heads of
the upper half of the decoder's layers, as in openai/whisper: its word times are less precise.

Source: github.com/openai/whisper, whisper/__init__.py, _ALIGNMENT_HEADS (compressed masks there) and _MODELS.
"""

import dataclasses
import re

from isogloss.engine.checkpoints.checkpoint import Checkpoint
from isogloss.engine.checkpoints.dimensions import Dimensions
from isogloss.engine.runtime.refusal import Refusal

Heads = tuple[tuple[int, int], ...]

_LARGE_V1 = ((9, 19), (11, 2), (11, 4), (11, 17), (22, 7), (22, 11), (22, 17), (23, 2), (23, 15))
_LARGE_V2 = (
    *((10, 12), (13, 17), (16, 11), (16, 12), (16, 13), (17, 15), (17, 16), (18, 4), (18, 11), (18, 19)),
    *((19, 11), (21, 2), (21, 3), (22, 3), (22, 9), (22, 12), (23, 5), (23, 7), (23, 13), (25, 5)),
    *((26, 1), (26, 12), (27, 15)),
)
_LARGE_V3 = (*((7, 0), (10, 17), (12, 18), (13, 12), (16, 1), (17, 14), (19, 11), (21, 4), (24, 1), (25, 6)),)
_TURBO = ((2, 4), (2, 11), (3, 3), (3, 6), (3, 11), (3, 14))
# (mels, features, encoder layers, decoder layers, vocabulary): English-only models have a token less.
_PUBLISHED: dict[tuple[int, int, int, int, int], tuple[str, Heads]] = {
    (80, 384, 4, 4, 51864): ("tiny.en", ((1, 0), (2, 0), (2, 5), *((3, head) for head in range(5)))),
    (80, 384, 4, 4, 51865): ("tiny", ((2, 2), (3, 0), (3, 2), (3, 3), (3, 4), (3, 5))),
    (80, 512, 6, 6, 51864): ("base.en", ((3, 3), (4, 7), (5, 1), (5, 5), (5, 7))),
    (80, 512, 6, 6, 51865): ("base", ((3, 1), (4, 2), (4, 3), (4, 7), (5, 1), (5, 2), (5, 4), (5, 6))),
    (80, 768, 12, 12, 51864): (
        "small.en",
        (
            *((6, 6), (7, 0), (7, 3), (7, 8), (8, 2), (8, 5), (8, 7), (9, 0), (9, 4), (9, 8), (9, 10)),
            *((10, 0), (10, 1), (10, 2), (10, 3), (10, 6), (10, 11), (11, 2), (11, 4)),
        ),
    ),
    (80, 768, 12, 12, 51865): (
        "small",
        ((5, 3), (5, 9), (8, 0), (8, 4), (8, 7), (8, 8), (9, 0), (9, 7), (9, 9), (10, 5)),
    ),
    (80, 1024, 24, 24, 51864): (
        "medium.en",
        (
            *((11, 4), (14, 1), (14, 12), (14, 14), (15, 4), (16, 0), (16, 4), (16, 9), (17, 12), (17, 14)),
            *((18, 7), (18, 10), (18, 15), (20, 0), (20, 3), (20, 9), (20, 14), (21, 12)),
        ),
    ),
    (80, 1024, 24, 24, 51865): ("medium", ((13, 15), (15, 4), (15, 15), (16, 1), (20, 0), (23, 4))),
    (128, 1280, 32, 32, 51866): ("large-v3", _LARGE_V3),
    (128, 1280, 32, 4, 51866): ("large-v3-turbo", _TURBO),
}
_LARGE_SIZES = (80, 1280, 32, 32, 51865)
_LARGE = {"large-v1": _LARGE_V1, "large-v2": _LARGE_V2}
_LARGE_FILES = {  # SHA-256 of OpenAI's .pt, from their addresses
    "e4b87e7e0bf463eb8e6956e646f1e277e901512310def2c24bf0e11bd3c28e9a": "large-v1",
    "81f7c96c852ee8fc832187b0132e569d6c3065a3252ed18e56effd0b6a73e524": "large-v2",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class AlignmentHeads:
    """Heads to align with.

    Attributes:
      heads: (layer, head) of the decoder, from 0, in ascending order.
      source: origin of the list, for messages and attributes.
      listed: False if no list is known and the upper half of the layers was taken.
    """

    heads: Heads
    source: str
    listed: bool


def choose(checkpoint: Checkpoint) -> AlignmentHeads:
    """Alignment heads of a checkpoint.

    Raises:
      Refusal: the checkpoint's own list names heads that its decoder doesn't have.
    """
    sizes = checkpoint.dimensions
    if checkpoint.alignment_heads:  # an empty list says nothing
        heads = tuple(sorted(set(checkpoint.alignment_heads)))
        bad = [pair for pair in heads if not _exists(pair, sizes)]
        if bad:
            raise Refusal(
                f"{checkpoint.name}: alignment_heads names {bad}, but the decoder has layers 0 to "
                f"{sizes.decoder_layers - 1} of heads 0 to {sizes.heads - 1}. Remedy: correct the list in "
                "generation_config.json (Hugging Face) or config.json (CTranslate2), or remove it."
            )
        return AlignmentHeads(heads=heads, source=f"listed by {checkpoint.name}", listed=True)
    published = _published(checkpoint)
    if published:
        name, heads = published
        return AlignmentHeads(heads=heads, source=f"published for {name}", listed=True)
    half = sizes.decoder_layers // 2
    return AlignmentHeads(
        heads=tuple(
            (layer, head) for layer in range(half, sizes.decoder_layers) for head in range(sizes.heads)
        ),
        source=f"every head of decoder layers {half} to {sizes.decoder_layers - 1}: no list is known",
        listed=False,
    )


def _exists(pair: tuple[int, int], sizes: Dimensions) -> bool:
    layer, head = pair
    return 0 <= layer < sizes.decoder_layers and 0 <= head < sizes.heads


def _published(checkpoint: Checkpoint) -> tuple[str, Heads] | None:
    """Name and heads of the official size with these dimensions, if there is one."""
    sizes = checkpoint.dimensions
    key = (sizes.mels, sizes.features, sizes.encoder_layers, sizes.decoder_layers, sizes.vocabulary)
    if key != _LARGE_SIZES:
        return _PUBLISHED.get(key)
    # "large-v20" is neither; a file of OpenAI's that was renamed is still known by its hash.
    named = re.search(r"large-v[12](?!\d)", checkpoint.name)
    name = named[0] if named else _LARGE_FILES.get(checkpoint.sha256)
    return (name, _LARGE[name]) if name else None
