"""Options of the lexicon job."""

import dataclasses
import pathlib

from isogloss.engine.drawing.figure_options import font_option, width_option
from isogloss.engine.runtime.options import ShardedJobConfig, compilation_cache_option, option
from isogloss.engine.runtime.place import Place
from isogloss.engine.runtime.refusal import Refusal

MEAN, CENTRE, SEQSIM = POOLINGS = ("mean", "centre", "seqsim")


@dataclasses.dataclass(frozen=True, kw_only=True)
class LexiconConfig(ShardedJobConfig):
    """Options of the lexicon job; each field's help is in its definition."""

    store: Place = option(
        "Folder or bucket path of activation stores of single words with transcriptions, one <language>.zarr "
        "each."
    )
    out: pathlib.Path = option("Folder to write tables and the figure to.")
    languages: tuple[str, ...] = option("Languages by their codes, or all.", (), all_if_empty=True)
    pairs: tuple[str, ...] = option("Language pairs a-b, or all; each counts once.", (), all_if_empty=True)
    states: tuple[str, ...] = option(
        "Encoder states: all that are stored, or some of 0,1,...,final.", (), all_if_empty=True
    )
    translations: tuple[str, ...] = option(
        "What has one meaning, in place of the sentence ids: FILE.tsv with columns language_a, word_a, "
        "language_b, word_b, or LANG_A:LANG_B:FILE.index, a dictionary in dictd's format.",
        (),
    )
    near: float = option(
        "Largest phone edit distance, over the longer word, of words that sound alike; below 1.",
        0.4,
        minimum=0,
    )
    pooling: tuple[str, ...] = option(
        "How two words are compared: mean (cosine of mean frames), centre (the same, each language's mean "
        "removed first), seqsim (SeqSim of their frames).",
        POOLINGS,
    )
    matches: int = option(
        "Unrelated pairs, nearest in length ratio, that each pair of words is put beside.", 20, minimum=1
    )
    figure_width: float = width_option()
    figure_font: str | None = font_option()
    compilation_cache: pathlib.Path | None = compilation_cache_option()

    def __post_init__(self) -> None:
        """Refuse a distance that all words have, and poolings that don't exist.

        Raises:
          Refusal: the option, the rule and the value.
        """
        super().__post_init__()
        if self.near >= 1:
            raise Refusal(
                f"--near must be below 1, the distance of words without a phone in common; got {self.near}"
            )
        if not self.pooling or not set(self.pooling) <= set(POOLINGS):
            raise Refusal(
                f"--pooling must be some of {', '.join(POOLINGS)}, got {','.join(self.pooling) or 'none'}"
            )
