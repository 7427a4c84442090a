"""Options of the interpret job."""

import dataclasses
import pathlib
from typing import Literal

from isogloss.engine.activations.store_options import states_option, store_option
from isogloss.engine.checkpoints.checkpoint_options import model_option, revision_option, tokenizer_option
from isogloss.engine.corpora.corpus import columns_option, corpus_option
from isogloss.engine.decoding.job_config import decoder_rows_option
from isogloss.engine.grid.grid_options import grid_option, pairs_option
from isogloss.engine.runtime.options import FigureOptions, ShardedJobConfig, compilation_cache_option, option
from isogloss.engine.runtime.place import Place
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.texts.text_options import phones_option, sentence_encoder_option


@dataclasses.dataclass(frozen=True, kw_only=True)
class InterpretConfig(ShardedJobConfig, FigureOptions):
    """Options of the interpret job; each field's help is in its definition."""

    store: Place = store_option()
    grid: Place = grid_option("Grid of score matrices made of that store")
    out: pathlib.Path = option("Folder to write tables, pictures and the page to.")
    words: pathlib.Path | None = option(
        "Folder of words.parquet, the align job's --out; without it words are aligned here.", None
    )
    corpus: str | None = corpus_option(
        "Corpus that the store was made of, for waveforms and word times", default=None
    )
    columns: tuple[str, ...] = columns_option()
    model: str | None = model_option(
        "Whisper checkpoint that the store was made with, to align words", default=None
    )
    revision: str | None = revision_option()
    tokenizer: str | None = tokenizer_option()
    decoder_rows: int = decoder_rows_option()
    pairs: tuple[str, ...] = pairs_option("a asks and b answers, so b-a is another pair")
    states: tuple[str, ...] = states_option("of the grid", ("final",))
    sentence_pairs: Literal["retrieved", "gold"] = option(
        "Sentences compared: each with its best candidate, or with its translation.", "retrieved"
    )
    word_vector: Literal["centre", "mean"] = option(
        "Vector of a word: its centre frame, or the mean of its frames.", "centre"
    )
    epsilon: float = option(
        "Entropic regularisation of the transport, in units of 1 - cosine.", 0.05, minimum=1e-3, maximum=1e3
    )
    threshold: float = option(
        "Two words are linked if they exchange at least this fraction of the mass they could.",
        0.3,
        above=0,
        maximum=1,
    )
    sentence_encoder: str = sentence_encoder_option("words")
    phones: Literal["espeak", "none"] = phones_option()
    pictures: int = option(
        "Sentence pairs drawn of each language pair and state: those of the highest scores.", 2, minimum=0
    )
    compilation_cache: pathlib.Path | None = compilation_cache_option()

    def __post_init__(self) -> None:
        """Refuse shards without words.

        Raises:
          Refusal: the option, the rule and the value.
        """
        super().__post_init__()
        if self.words is None and self.num_shards > 1:
            raise Refusal(
                "several shards need the words of all utterances: run isogloss.jobs.align to its end, then "
                "give its --out by --words"
            )
