"""Meaning of words as unit vectors of a sentence encoder: any model of sentence-transformers.

Needs the extra `meaning`, which installs PyTorch, and the model's weights: LaBSE, the default, has 1.9 GB and
109 languages. Each word is encoded once per run, in sorted batches, so that equal words give equal bits.
"""

import importlib
import logging
from collections.abc import Callable, Iterable, Mapping

import numpy as np
from jaxtyping import Float

from isogloss.engine.runtime.refusal import Refusal
from isogloss.kernels.unit_vectors import unit_vectors

NONE = "none"
_BATCH = 64
_LOG = logging.getLogger(__name__)

Encode = Callable[[list[str]], Float[np.ndarray, "W D"]]


class SentenceEncoder:
    """A sentence encoder, and the vectors of the words that it has encoded."""

    def __init__(self, name: str, encode: Encode) -> None:
        """Wrap a function from words to vectors of any length; tables and figures show the `name`."""
        self.name = name
        self._encode = encode
        self._known: dict[str, Float[np.ndarray, " D"]] = {}

    def of(self, words: Iterable[str]) -> Mapping[str, Float[np.ndarray, " D"]]:
        """Unit vectors by word; NaN, with a warning, where the encoder's is zero or not finite."""
        # Sorted, so that batches, and with them the last bits, don't depend on the order of sentences.
        wanted = sorted(set(words))
        new = [word for word in wanted if word not in self._known]
        if new:
            vectors = np.asarray(self._encode(new), np.float64)
            bad = np.logical_not(np.isfinite(vectors).all(axis=1) & vectors.any(axis=1))
            if bad.any():
                _LOG.warning(
                    "--sentence_encoder=%s: the vector of %r is zero or not finite, as of %d of %d words; "
                    "their meaning stays unknown",
                    self.name,
                    new[int(bad.argmax())],
                    bad.sum(),
                    len(new),
                )
            units = unit_vectors(np.where(bad[:, None], np.nan, vectors))
            self._known |= dict(zip(new, np.asarray(units), strict=True))
        return {word: self._known[word] for word in wanted}


def load(name: str) -> SentenceEncoder | None:
    """Encoder of --sentence_encoder; None for "none".

    Raises:
      Refusal: the extra isn't installed, or the model can't be loaded.
    """
    if name == NONE:
        return None
    try:
        library = importlib.import_module("sentence_transformers")  # an extra that takes seconds
    except ImportError as error:
        raise Refusal(
            f"--sentence_encoder={name} needs sentence-transformers, and {error.name} isn't installed: run "
            "`pip install -e '.[meaning]'` in isogloss's folder, or leave the check of meaning out with "
            f"--sentence_encoder={NONE}"
        ) from error
    try:
        model = library.SentenceTransformer(name)
    except (OSError, ValueError) as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise Refusal(
            f"--sentence_encoder={name}: no model of sentence-transformers can be loaded ({reason}). "
            "Check the name and the network, name a folder that holds one, or leave the check of meaning out "
            f"with --sentence_encoder={NONE}"
        ) from error

    def encode(words: list[str]) -> Float[np.ndarray, "W D"]:
        return model.encode(words, batch_size=_BATCH, convert_to_numpy=True, show_progress_bar=False)

    return SentenceEncoder(name.rstrip("/").split("/")[-1], encode)


def cosine(
    vectors: Mapping[str, Float[np.ndarray, " D"]], a: Iterable[str], b: Iterable[str]
) -> Float[np.ndarray, " P"]:
    """Cosine of each word of `a` with the word of `b` at the same index."""
    pairs = list(zip(a, b, strict=True))
    return np.fromiter((vectors[x] @ vectors[y] for x, y in pairs), np.float64, len(pairs))
