"""The fetch job: fills the caches of the hub, so that machines without a network need only HF_HOME.

Takes the time of the downloads. It can be stopped and run again: files in the cache are not fetched again.
Other jobs fetch the same files themselves where there is a network.
"""

import dataclasses
import fnmatch
import functools
import logging
import shlex
import time
from collections.abc import Callable, Mapping, Sequence

import huggingface_hub
from huggingface_hub import constants

from isogloss.engine.checkpoints import checkpoint, huggingface, speech_checkpoint
from isogloss.engine.checkpoints.checkpoint import TORCH
from isogloss.engine.corpora import corpus
from isogloss.engine.corpora.stored_files import StoredFiles, StoredSource, offline
from isogloss.engine.operations.fetch_config import FetchConfig
from isogloss.engine.runtime import amounts, hub_faults
from isogloss.engine.runtime.progress import Progress, seconds_since
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.speech_encoders import families
from isogloss.engine.texts import encoder_names
from isogloss.engine.whisper.tokenizer import Tokens

_LOG = logging.getLogger(__name__)
_TOKENIZER = ["*.json", "*.txt"]
_OTHER_RUNTIMES = ["onnx/*", "openvino/*", "*.h5", "*.ot", "*.msgpack", "*.onnx"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FetchSummary:
    """Result of a run.

    Attributes:
      files: number of files that were fetched.
      bytes: their size.
      environment: variables for machines without a network.
      seconds: duration of the run.
      plan: files to fetch, and their bytes.
    """

    files: int = 0
    bytes: int = 0
    environment: Mapping[str, str]
    seconds: float
    plan: Mapping[str, int | float]

    @property
    def complete(self) -> bool:
        """True: a file that can't be fetched ends the run."""
        return True

    def sentence(self, config: FetchConfig) -> str:
        """Files fetched, and the variables for machines without a network."""
        del config
        done = (
            f"fetched {self.files:,} files ({amounts.size(self.bytes)})"
            if self.files
            else "all was fetched before"
        )
        variables = " ".join(f"{name}={shlex.quote(value)}" for name, value in self.environment.items())
        return f"{done}; where there is no network: export {variables}"


Choice = Callable[[Sequence[str]], list[str]]
"""Of the names of a repository's files, those that jobs read."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Model:
    """Model of the hub, by name."""

    name: str
    revision: str | None
    choice: Choice


def run(config: FetchConfig) -> FetchSummary:
    """Summary of a fetch run with these options.

    Raises:
      Refusal: something isn't on the hub, or HF_HUB_OFFLINE is set.
      UnreachableError: the hub doesn't answer.
    """
    start = time.monotonic()
    if offline():
        raise Refusal("HF_HUB_OFFLINE forbids to ask the hub; unset it to fetch")
    models = _models(config)
    sizes = {f"{model.name}/{file}": size for model in models for file, size in _missing(model).items()}
    files = _corpus_files(config) if config.corpus else {}
    wanted = [
        (stored, file, size)
        for stored, names in files.items()
        for file, size in stored.missing(names).items()
    ]
    plan = {
        "files": len(wanted) + len(sizes),
        "bytes": sum(size for *_, size in wanted) + sum(sizes.values()),
    }
    if not config.dry_run:
        # Models first: they are what a job opens before anything else.
        for model in models:
            _fetch(model)
        if config.model or config.tokenizer:
            _open(config)
        progress = Progress("fetch", len(wanted), "files")
        for stored, file, _ in wanted:
            stored.path(file)
            progress.advance()
        progress.close()
    return FetchSummary(
        **({} if config.dry_run else plan),
        environment=_environment(),
        seconds=seconds_since(start),
        plan=plan,
    )


def _corpus_files(config: FetchConfig) -> dict[StoredFiles, set[str]]:
    """Files of the corpus with the audio of the languages; their rows are kept by listing them."""
    opened = corpus.open_corpus(str(config.corpus), config.columns)
    languages = config.languages or opened.languages()
    found: dict[StoredFiles, set[str]] = {}
    progress = Progress("list", len(languages), "languages")
    for language in languages:
        # Listing also keeps the rows, without which an offline run couldn't list.
        for utterance in opened.listing(language, config.recordings).utterances:
            if isinstance(utterance.source, StoredSource):
                found.setdefault(utterance.source.files, set()).add(utterance.source.file)
        progress.advance()
    progress.close()
    return found


def _models(config: FetchConfig) -> list[_Model]:
    """Models of the hub that the options name; a folder has nothing to fetch."""
    model = (config.model or "").removeprefix(TORCH)
    read = _read_of_torch if model != config.model else _read_of_whisper
    named = [
        (model, config.revision, functools.partial(read, model, config.revision)),
        (config.tokenizer, None, functools.partial(_matching, _TOKENIZER)),
        (_full_name(config.sentence_encoder), None, _read_of_sentence_encoder),
    ]
    return [
        _Model(name=name, revision=revision, choice=choice)
        for name, revision, choice in named
        if name and huggingface.local_path(name) is None
    ]


def _matching(patterns: Sequence[str], names: Sequence[str]) -> list[str]:
    return [name for name in names if any(fnmatch.fnmatch(name, each) for each in patterns)]


def _read_of_whisper(model: str, revision: str | None, names: Sequence[str]) -> list[str]:
    """Files of a Whisper with its tokenizer, or of an audio language model's encoder."""
    patterns = huggingface.wanted(model, revision)
    whole = patterns == huggingface.FETCHED
    return _matching([*patterns, *_TOKENIZER] if whole else patterns, names)


def _read_of_torch(model: str, revision: str | None, names: Sequence[str]) -> list[str]:
    """Descriptions and weights of a speech encoder in PyTorch, in the first format that is there."""
    formats = speech_checkpoint.weight_names(model, revision, families.PREFIXES)
    weights = next((wanted for wanted in formats if set(wanted) <= set(names)), [])
    return _matching([*speech_checkpoint.DESCRIPTION, *weights], names)


def _read_of_sentence_encoder(names: Sequence[str]) -> list[str]:
    """All files but those of other programs and, of two formats of the same weights, the less safe."""
    ignored = [*_OTHER_RUNTIMES, *(["pytorch_model*.bin"] if "model.safetensors" in names else [])]
    return sorted(set(names) - set(_matching(ignored, names)))


def _full_name(name: str | None) -> str | None:
    """Hub id of a sentence encoder: those without an owner are of sentence-transformers.

    None for those that aren't of the hub: "none", and the one that is installed with isogloss.
    """
    if name in (None, encoder_names.NONE, encoder_names.USE):
        return None
    if "/" in name or huggingface.local_path(name):
        return name
    return f"sentence-transformers/{name}"


def _missing(model: _Model) -> dict[str, int]:
    """Sizes of a model's files that aren't in the cache."""
    try:
        info = huggingface_hub.HfApi().model_info(model.name, revision=model.revision, files_metadata=True)
    except hub_faults.errors() as error:
        rule = f": not on the hub ({hub_faults.reason(error)}). Check the name"
        raise hub_faults.failure(model.name, error, rule) from error
    sizes = {sibling.rfilename: sibling.size or 0 for sibling in info.siblings or []}
    absent = {
        name: size
        for name, size in sizes.items()
        if not isinstance(huggingface_hub.try_to_load_from_cache(model.name, name, revision=info.sha), str)
    }
    # After `absent`: to choose may fetch the model's description, which is to be counted, too.
    chosen = set(model.choice(list(sizes)))
    return {name: size for name, size in absent.items() if name in chosen}


def _fetch(model: _Model) -> None:
    """Fill the cache with the files that `_missing` counts."""
    names = list(_missing(model))
    if names:
        _LOG.info("fetching %s", model.name)
    try:
        # Also if none is missing: it notes the commit of the branch, which an offline run reads.
        huggingface_hub.snapshot_download(
            model.name,
            revision=model.revision,
            allow_patterns=names or ["config.json"],
        )
    except hub_faults.errors() as error:
        rule = f": can't be fetched ({error}). Run again"
        raise hub_faults.failure(model.name, error, rule) from error


def _open(config: FetchConfig) -> None:
    """Open model and tokenizer as other jobs do, which notes which optional files there are not."""
    name, revision = config.tokenizer, None
    if config.model and config.model.startswith(TORCH):
        # Without PyTorch, which a login node may lack.
        model = config.model.removeprefix(TORCH)
        speech_checkpoint.open_checkpoint(model, config.revision, families.PREFIXES)
    elif config.model:
        opened = checkpoint.load_encoder(config.model, config.revision)
        if opened.dimensions.has_decoder and not name:
            name, revision = config.model, config.revision
    if name:
        Tokens.load(name, revision)
        huggingface.optional_file(name, "normalizer.json", revision)


def _environment() -> dict[str, str]:
    """Variables for machines without a network; those of single caches only if they lie elsewhere."""
    home = constants.HF_HOME
    given = {
        "HF_HUB_CACHE": (constants.HF_HUB_CACHE, "hub"),
        "HF_ASSETS_CACHE": (constants.HF_ASSETS_CACHE, "assets"),
    }
    elsewhere = {name: path for name, (path, inside) in given.items() if path != f"{home}/{inside}"}
    return {"HF_HOME": home, **elsewhere, "HF_HUB_OFFLINE": "1"}
