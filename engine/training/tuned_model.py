"""Results of a run: models in Hugging Face's layout, steps.parquet, split.tsv and the figure of losses.

Each folder of a model says in average.json which share of the start its weights have, so that a run without
checkpoints knows whether all models are there.
"""

import pathlib
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from isogloss.engine.checkpoints import huggingface, model_folder
from isogloss.engine.checkpoints.checkpoint import Checkpoint
from isogloss.engine.drawing import picture_files
from isogloss.engine.runtime import atomic_write, json_values, table_files
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.name_lists import first_names
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.time_axis import SAMPLE_RATE
from isogloss.engine.training import loss_figure
from isogloss.engine.training.trainable import HostValues, Trainable
from isogloss.engine.training.tune_config import TuneConfig
from isogloss.engine.training.tune_input import TuneInput
from isogloss.engine.whisper import encoder_program, log_mel
from isogloss.engine.whisper.tokenizer import TASKS, Tokens

STEPS = pa.schema(
    [
        ("step", pa.int32()),  # steps done; row 0 is before the first
        ("learning_rate", pa.float32()),
        ("loss", pa.float32()),
        ("penalty", pa.float32()),
        ("gradient_norm", pa.float32()),
        ("dev_loss", pa.float32()),
    ]
)
_MODEL = ("config.json", *huggingface.WEIGHTS, huggingface.INDEX, "pytorch_model*.bin")
_LOSSES = "losses"
_AVERAGE, _SHARE = "average.json", "share_of_start"
History = dict[str, np.ndarray]
"""Columns of steps.parquet by name, NaN where nothing is measured; row k is after k steps."""


def empty_history(steps: int) -> History:
    """History of a run of which nothing is done."""
    return {name: np.full(steps + 1, np.nan, np.float32) for name in STEPS.names[1:]}


def write_steps(out: pathlib.Path, history: History, done: int) -> None:
    """Write steps.parquet, of the steps that are done."""
    columns = {"step": np.arange(done + 1, dtype=np.int32), **{n: v[: done + 1] for n, v in history.items()}}
    table = pa.table([pa.array(columns[name], from_pandas=False) for name in STEPS.names], schema=STEPS)
    atomic_write.write_whole(out / "steps.parquet", lambda file: table_files.write_parquet(table, file))


def read_steps(out: pathlib.Path) -> History:
    """History that a run which has ended wrote to steps.parquet."""
    table = table_files.read_parquet(out / "steps.parquet", STEPS.names)
    return {name: table.column(name).to_numpy() for name in STEPS.names[1:]}


def write_split(out: pathlib.Path, given: TuneInput) -> None:
    """Write split.tsv, and held_out.txt with the held-out sentences, one a line."""
    sentences = list(given.split.cluster)
    dev = given.split.dev
    table = pa.table(
        {
            "sentence": sentences,
            "part": ["dev" if sentence in dev else "training" for sentence in sentences],
            "cluster": [given.split.cluster[sentence] for sentence in sentences],
        }
    )
    atomic_write.write_whole(out / "split.tsv", lambda file: table_files.write_tsv(table, file))
    lines = "".join(f"{sentence}\n" for sentence in sentences if sentence in dev)
    atomic_write.write_whole(out / "held_out.txt", lambda file: file.write_text(lines, "utf-8"))


def write_figure(out: pathlib.Path, config: TuneConfig, history: History) -> None:
    """Write losses.png, losses.svg and losses.pdf."""
    measured = np.flatnonzero(np.isfinite(history["dev_loss"]))
    dev = [(int(step), float(history["dev_loss"][step])) for step in measured]
    title = f"{config.source} to {config.target}: {config.train}, state {config.states[0]}"
    picture_files.save(loss_figure.draw(title, history["loss"][1:].astype(np.float64), dev), out / _LOSSES)


def figures(out: pathlib.Path) -> list[pathlib.Path]:
    """Files of the figure of losses."""
    return picture_files.files(out / _LOSSES)


def write_models(config: TuneConfig, given: TuneInput, parts: Trainable, trained: HostValues) -> list[str]:
    """Folders of the models written."""
    files = _files(config, given)
    start, end = parts.tensors(parts.trained), parts.tensors(trained)
    for folder, share in zip(folders(config), config.shares, strict=True):
        # A kill between weights and share leaves no share, rather than that of other weights.
        (folder / _AVERAGE).unlink(missing_ok=True)
        model_folder.write(folder, given.checkpoint, averaged(start, end, share), files)
        record = model_folder.json_file({_SHARE: share})
        atomic_write.write_whole(folder / _AVERAGE, lambda file, record=record: file.write_bytes(record))
    return [str(folder) for folder in folders(config)]


def folders(config: TuneConfig) -> list[pathlib.Path]:
    """Folders of the models: OUT, and one for each further share of the start."""
    return [config.out, *(config.out / f"average-{share:g}" for share in config.shares[1:])]


def is_there(folder: pathlib.Path) -> bool:
    """True if a folder has a model's weights."""
    return (folder / model_folder.SINGLE).is_file()


def refuse_foreign(config: TuneConfig) -> None:
    """Refuse an OUT that no run of tune has claimed, if a model lies where models are to be written."""
    for folder in folders(config):
        if held := sorted(file.name for pattern in _MODEL for file in folder.glob(pattern)):
            raise Refusal(
                f"{folder}: holds a model that tune hasn't made: {first_names(held)}. Remedy: name another "
                "--out"
            )


def kept(config: TuneConfig) -> bool:
    """True if OUT, which has no checkpoints, has all models of a run that has ended; False if it has none.

    Raises:
      Refusal: it has a model, and lacks what only the weights of the end can give.
    """
    if not is_there(config.out):
        return False
    asked = zip(folders(config), config.shares, strict=True)
    lacks = [f"the model of --average={share:g}" for folder, share in asked if _share_in(folder) != share]
    if not (config.out / "steps.parquet").is_file():
        lacks.append("steps.parquet")
    if lacks:
        raise Refusal(
            f"{config.out}: holds a model and no checkpoints, from which others are made, and isn't known to "
            f"hold {', '.join(lacks)}. Remedy: name another --out, or remove "
            f"{config.out / model_folder.SINGLE} to train again"
        )
    return True


def _share_in(folder: pathlib.Path) -> Json:
    """Share of the start in a folder's model; None if there is none, or it doesn't say."""
    file = folder / _AVERAGE
    if not is_there(folder) or not file.is_file():
        return None
    return json_values.json_object(file, "name another --out, or remove that file").get(_SHARE)


def averaged(
    start: Mapping[str, np.ndarray], end: Mapping[str, np.ndarray], share: float
) -> dict[str, np.ndarray]:
    """Weights between those of the start and of the end (Wortsman et al., arXiv 2109.01903, equation 1)."""
    if share in (0, 1):  # exactly one of them, to the last bit
        return dict(start if share else end)
    mixed = {name: share * start[name] + (1 - share) * end[name] for name in end}
    return {name: np.asarray(value, np.float32) for name, value in mixed.items()}


def _files(config: TuneConfig, given: TuneInput) -> dict[str, bytes]:
    """Files of the model besides its weights: those of the source, or made where it has another layout."""
    checkpoint, vocabulary = given.checkpoint, given.vocabulary
    special: dict[str, Json] = {
        "bos_token_id": vocabulary.eot,
        "eos_token_id": vocabulary.eot,
        "pad_token_id": vocabulary.eot,
        "decoder_start_token_id": vocabulary.sot,
    }
    files = {"config.json": model_folder.configuration(checkpoint, special)}
    if model_folder.is_of_this_layout(checkpoint):
        files |= model_folder.companions(config.model, config.revision)
    else:
        settings = special | _generation(vocabulary, checkpoint.dimensions.text_positions)
        files["generation_config.json"] = model_folder.generation_settings(checkpoint, settings)
        files["preprocessor_config.json"] = _features(checkpoint)
    if not {"tokenizer.json", "vocab.json"} & files.keys() or config.tokenizer:
        # A conversion's tokenizer may lack merges, see `tokenizer`; this one has them all.
        files["tokenizer.json"] = vocabulary.backend.to_str(pretty=False).encode()
        files.setdefault("tokenizer_config.json", b'{"tokenizer_class": "WhisperTokenizer"}\n')
    return files


def _features(checkpoint: Checkpoint) -> bytes:
    """Content of preprocessor_config.json."""
    return model_folder.json_file(
        {
            "feature_extractor_type": "WhisperFeatureExtractor",
            "processor_class": "WhisperProcessor",
            "feature_size": checkpoint.dimensions.mels,
            "sampling_rate": SAMPLE_RATE,
            "hop_length": log_mel.HOP,
            "n_fft": log_mel.WINDOW,
            "chunk_length": int(encoder_program.time_axis(checkpoint.dimensions).window_seconds),
            "padding_value": 0.0,
            "padding_side": "right",
            "return_attention_mask": False,
        }
    )


def _generation(vocabulary: Tokens, longest: int) -> dict[str, Json]:
    tasks = {task: getattr(vocabulary, task) for task in TASKS}
    own: dict[str, Json] = {
        "max_length": longest,
        "no_timestamps_token_id": vocabulary.no_timestamps,
        "suppress_tokens": list(vocabulary.suppressed),
        "begin_suppress_tokens": list(vocabulary.suppressed_at_begin),
        "is_multilingual": vocabulary.multilingual,
    }
    if not vocabulary.multilingual:
        return own
    languages = {f"<|{code}|>": id for code, id in vocabulary.languages.items()}
    return own | {"lang_to_id": languages, "task_to_id": tasks}
