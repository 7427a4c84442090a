"""Options of the convert job."""

import dataclasses
import pathlib
from typing import Literal

from isogloss.engine.activations.store_options import store_option
from isogloss.engine.corpora.corpus import columns_option, corpus_option, languages_option, recordings_option
from isogloss.engine.runtime.options import ShardedJobConfig, option
from isogloss.engine.runtime.place import Place


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertConfig(ShardedJobConfig):
    """Options of the convert job; each definition has the field's help."""

    corpus: str = corpus_option("Corpus that the states are of")
    arrays: pathlib.Path = option(
        "Folder of LANGUAGE/UTTERANCE.npy, each (state, frame, feature), in float16, float32 or float64."
    )
    name: str = option("Name of the model, for people.")
    weights: pathlib.Path = option("File of the model's weights, whose SHA-256 the store names.")
    frame_seconds: float = option("Seconds from one frame to the next.", above=0)
    store: Place = store_option()
    window_seconds: float = option("Most seconds that the store holds of a recording.", 30.0, above=0)
    states: tuple[str, ...] = option(
        "Names of the states in the arrays, in order; by default 0, 1, 2 and so on.", ()
    )
    columns: tuple[str, ...] = columns_option()
    languages: tuple[str, ...] = languages_option()
    recordings: Literal["first", "all"] = recordings_option()
    dtype: Literal["float16", "float32"] = option("Number format on disk.", "float16")
