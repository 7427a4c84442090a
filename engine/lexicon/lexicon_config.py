"""Options of the lexicon job."""

import dataclasses
import pathlib

from isogloss.engine.activations.store_options import states_option, store_option
from isogloss.engine.corpora.corpus import languages_option
from isogloss.engine.grid.grid_options import pairs_option
from isogloss.engine.runtime.options import FigureOptions, ShardedJobConfig, compilation_cache_option, option
from isogloss.engine.runtime.place import Place

MEAN, CENTRE, SEQSIM = USUAL = ("mean", "centre", "seqsim")
MIDDLE = "middle"
POOLINGS = (*USUAL, MIDDLE)


@dataclasses.dataclass(frozen=True, kw_only=True)
class LexiconConfig(ShardedJobConfig, FigureOptions):
    """Options of the lexicon job; each field's help is in its definition."""

    store: Place = store_option(
        "activation stores of single words with transcriptions, one <language>.zarr each"
    )
    out: pathlib.Path = option("Folder to write tables and the figure to.")
    languages: tuple[str, ...] = languages_option()
    pairs: tuple[str, ...] = pairs_option()
    states: tuple[str, ...] = states_option()
    translations: tuple[str, ...] = option(
        "What has one meaning, in place of the sentence ids: FILE.tsv with columns language_a, word_a, "
        "language_b, word_b, or LANG_A:LANG_B:FILE.index, a dictionary in dictd's format.",
        (),
    )
    near: float = option(
        "Largest phone edit distance, over the longer word, of words that sound alike; 1 is that of words "
        "without a phone in common.",
        0.4,
        minimum=0,
        below=1,
    )
    pooling: tuple[str, ...] = option(
        "How two words are compared: mean (cosine of mean frames), centre (the same, each language's mean "
        "removed first), seqsim (SeqSim of their frames), middle (as centre, of middle frames).",
        USUAL,
        choices=POOLINGS,
    )
    matches: int = option(
        "Unrelated pairs, nearest in length ratio, that each pair of words is put beside.", 20, minimum=1
    )
    compilation_cache: pathlib.Path | None = compilation_cache_option()
