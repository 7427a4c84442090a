"""Options of the interpret job."""

import dataclasses
import pathlib
from typing import Literal

from isogloss.engine.corpora.corpus import columns_option, forms
from isogloss.engine.drawing.figure_options import font_option, width_option
from isogloss.engine.runtime.options import ShardedJobConfig, compilation_cache_option, option
from isogloss.engine.runtime.place import Place
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.texts.encoder_names import sentence_encoder_option


@dataclasses.dataclass(frozen=True, kw_only=True)
class InterpretConfig(ShardedJobConfig):
    """Options of the interpret job; each field's help is in its definition."""

    store: Place = option("Folder or bucket path of activation stores, one <language>.zarr each.")
    grid: Place = option("Grid of score matrices made of that store, GRID.zarr in a folder or bucket.")
    out: pathlib.Path = option("Folder to write tables, pictures and the page to.")
    words: pathlib.Path | None = option(
        "Folder of words.parquet, the align job's --out; without it words are aligned here.", None
    )
    corpus: str | None = option(
        f"Corpus that the store was made of, for waveforms and word times: {forms()}.", None
    )
    columns: tuple[str, ...] = columns_option()
    model: str | None = option(
        "Whisper checkpoint that the store was made with, to align words: hub id, folder or OpenAI .pt file.",
        None,
    )
    revision: str | None = option("Commit, tag or branch of a hub id.", None)
    tokenizer: str | None = option(
        "Folder or hub id that holds the tokenizer; by default the model's own.", None
    )
    decoder_rows: int = option(
        "Utterances that a device aligns in one step; 0: 1 on CPU, else 16 or what fits its memory.",
        0,
        minimum=0,
    )
    pairs: tuple[str, ...] = option("Language pairs a-b, or all; each counts once.", (), empty="all")
    states: tuple[str, ...] = option(
        "Encoder states: all of the grid, or some of 0,1,...,final.", ("final",), empty="all"
    )
    sentences: Literal["retrieved", "gold"] = option(
        "Sentence pairs: each sentence with its best candidate, or with its translation.", "retrieved"
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
    phones: Literal["espeak", "none"] = option("Sound of words: espeak-ng's phones, or none.", "espeak")
    pictures: int = option(
        "Sentence pairs drawn of each language pair and state: those of the highest scores.", 2, minimum=0
    )
    figure_width: float = width_option()
    figure_font: str | None = font_option()
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
