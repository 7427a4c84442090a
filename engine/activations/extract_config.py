"""Options of the extract job, and those of every job that runs the encoder."""

import dataclasses
import pathlib
from typing import Literal

from isogloss.engine.activations.store_options import dtype_option, store_option
from isogloss.engine.checkpoints.checkpoint_options import model_option, revision_option
from isogloss.engine.corpora import corpus
from isogloss.engine.runtime.options import ShardedJobConfig, compilation_cache_option, compute_option, option
from isogloss.engine.runtime.place import Place


@dataclasses.dataclass(frozen=True, kw_only=True)
class EncoderJobConfig(ShardedJobConfig):
    """Options of jobs that may run the encoder; each definition has the field's help."""

    model: str = model_option()
    revision: str | None = revision_option()
    columns: tuple[str, ...] = corpus.columns_option()
    languages: tuple[str, ...] = corpus.languages_option()
    recordings: Literal["first", "all"] = corpus.recordings_option()
    long: Literal["truncate", "skip", "error"] = option(
        "Treatment of audio beyond the model's window of 30 s.", "truncate"
    )
    rows_per_device: int = option(
        "Utterances that a device encodes in one step; 0: 1 on CPU, else 16 or what fits its memory.",
        0,
        minimum=0,
    )
    compute: Literal["auto", "float32", "bfloat16"] = compute_option()
    attention: Literal["auto", "dense", "blocks", "chunked", "cudnn"] = option(
        "Form of the encoder's attention; auto: chunked on CPU, else blocks; cudnn: flash, for NVIDIA.",
        "auto",
    )
    compilation_cache: pathlib.Path | None = compilation_cache_option()


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExtractConfig(EncoderJobConfig):
    """Options of the extract job; each definition has the field's help."""

    model: str = model_option(others="; or torch:HUB_ID_OR_FOLDER, another speech encoder, in PyTorch")
    corpus: str = corpus.corpus_option()
    store: Place = store_option()
    states: tuple[str, ...] = option(
        "Encoder states to store: all, or some of 0,1,...,final.", (), empty="all"
    )
    dtype: Literal["float16", "float32"] = dtype_option()
    neurons: bool = option(
        "Also store how the neurons of each block's perceptron answer, over the frames of an utterance, for "
        "the neurons job.",
        False,
    )
    redo_changed: bool = option(
        "Make states again whose recordings have changed since; without it they are named and refused.", False
    )
