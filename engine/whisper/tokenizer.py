"""Whisper's tokens: text to ids and back, special tokens, and those that generation never chooses.

Wraps the tokenizer of a model folder (Hugging Face, CTranslate2) or of a hub id; torch isn't needed. The ids
of a Whisper vocabulary follow the order of its merges. A tokenizer.json that lacks merges would split words
differently from training (" there" as " ", "there" in one published conversion), so they are restored.

Source of prompts and suppressed tokens: openai/whisper, tokenizer.py and decoding.py.
"""

import dataclasses
import importlib
import itertools
import json
import re
from collections.abc import Mapping, Sequence

import tokenizers

from isogloss.engine.checkpoints import huggingface, stored_tensors
from isogloss.engine.runtime import hub_faults
from isogloss.engine.runtime.refusal import Refusal

TASKS = ("transcribe", "translate")
ENGLISH_ONLY_EOT = 50256  # GPT-2's vocabulary, which has a token less than the multilingual one
WITHOUT_SPACES = frozenset({"zh", "ja", "th", "lo", "my", "yue"})
"""Languages, by Whisper's code, whose texts it writes without a space at the start and splits by characters.

openai/whisper names these six alone: Khmer and Tibetan, written without spaces too, are split as others.
"""
_LISTS = {  # file: its keys of the suppressed tokens and of those suppressed at the beginning
    "generation_config.json": ("suppress_tokens", "begin_suppress_tokens"),
    "config.json": ("suppress_ids", "suppress_ids_begin"),  # CTranslate2's
}
_LANGUAGE = re.compile(r"<\|([a-z]{2,3})\|>")
_REMEDY = "Remedy: --tokenizer=FOLDER_OR_HUB_ID of a Whisper model that has one."


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tokens:
    """Vocabulary of a model; `Tokens.load` makes it.

    Attributes:
      sot, eot, no_timestamps, transcribe, translate: ids of special tokens.
      timestamp_begin: id of <|0.00|>; all ids from here on are times.
      languages: id of each language's token, by Whisper's code ("en"), in order of ids.
      multilingual: False for English-only models, whose prompt names neither language nor task.
      suppressed: ids that generation never chooses.
      suppressed_at_begin: ids that it doesn't choose first.
    """

    sot: int
    eot: int
    no_timestamps: int
    transcribe: int
    translate: int
    timestamp_begin: int
    languages: Mapping[str, int]
    multilingual: bool
    suppressed: tuple[int, ...]
    suppressed_at_begin: tuple[int, ...]
    backend: tokenizers.Tokenizer = dataclasses.field(repr=False)

    @classmethod
    def load(cls, name: str, revision: str | None = None) -> "Tokens":
        """Tokens of a folder, or of a hub id.

        Raises:
          Refusal: there is no tokenizer, or it is not Whisper's.
        """
        backend = _backend(name, revision)
        special = {content: id for id, content in _added(backend).items()}
        missing = [token for token in _NEEDED.values() if token not in special]
        if missing:
            rule = f"a Whisper tokenizer has {', '.join(_NEEDED.values())}"
            raise Refusal(f"{name}: {rule}; not here: {', '.join(missing)}. {_REMEDY}")
        ids = {field: special[token] for field, token in _NEEDED.items()}
        languages = {
            found[1]: id
            for token, id in sorted(special.items(), key=lambda item: item[1])
            # Other tags may be as short; those of languages lie between these two.
            if (found := _LANGUAGE.fullmatch(token)) and ids["sot"] < id < ids["translate"]
        }
        listed = _listed(name, revision)
        suppressed, at_begin = listed or (_suppressed(backend, special), _suppressed_at_begin(backend, ids))
        return cls(
            **ids,
            timestamp_begin=ids["no_timestamps"] + 1,
            languages=languages,
            multilingual=ids["eot"] != ENGLISH_ONLY_EOT,
            suppressed=suppressed,
            suppressed_at_begin=at_begin,
            backend=backend,
        )

    def encode(self, text: str) -> tuple[int, ...]:
        """Ids of a text, nothing added: Whisper's texts begin with a space."""
        return tuple(self.backend.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, without special tokens and times."""
        return self.backend.decode([id for id in ids if id < self.eot], skip_special_tokens=False)

    def prompt(self, language: str, task: str = "transcribe") -> tuple[int, ...]:
        """Tokens that decoding starts from: start, language, task, no timestamps.

        Raises:
          Refusal: the model lacks the language or the task.
        """
        if task not in TASKS:
            raise Refusal(f"task must be one of {TASKS}, got {task!r}")
        if not self.multilingual:
            if (language, task) != ("en", "transcribe"):
                rule = "an English-only model can only transcribe English"
                raise Refusal(f"{rule}, got {task} {language!r}. Remedy: give a multilingual model.")
            return (self.sot, self.no_timestamps)
        if language not in self.languages:
            known = " ".join(self.languages)
            raise Refusal(f"language must be one of the model's ({known}), got {language!r}")
        task_token = self.transcribe if task == "transcribe" else self.translate
        return (self.sot, self.languages[language], task_token, self.no_timestamps)


_NEEDED = {
    "sot": "<|startoftranscript|>",
    "eot": "<|endoftext|>",
    "no_timestamps": "<|notimestamps|>",
    "transcribe": "<|transcribe|>",
    "translate": "<|translate|>",
}


def _backend(name: str, revision: str | None) -> tokenizers.Tokenizer:
    path = huggingface.local_path(name)
    if path and not any((path / file).is_file() for file in ("tokenizer.json", "merges.txt")):
        raise Refusal(f"{name}: no tokenizer.json or merges.txt there. {_REMEDY}")
    try:
        # The fast tokenizer in transformers 4; in 5 another name of the only one. An import statement would
        # have a type checker read all models of transformers, a third of its time.
        load = importlib.import_module("transformers").WhisperTokenizerFast.from_pretrained
        loaded = load(path or name, revision=revision or "main")
    except (*hub_faults.errors(), ValueError) as error:
        rule = f": no tokenizer can be loaded: {error} {_REMEDY}"
        raise hub_faults.failure(name, error, rule) from error
    return _completed(loaded.backend_tokenizer)


def _added(backend: tokenizers.Tokenizer) -> dict[int, str]:
    return {id: token.content for id, token in backend.get_added_tokens_decoder().items()}


def _completed(backend: tokenizers.Tokenizer) -> tokenizers.Tokenizer:
    """The same tokenizer with a merge for every token, in order of ids."""
    written = json.loads(backend.to_str())
    vocabulary: dict[str, int] = written["model"]["vocab"]
    pairs = [tuple(pair) for pair in written["model"]["merges"]]
    ranks = {pair: vocabulary["".join(pair)] for pair in pairs}
    merged = {"".join(pair) for pair in pairs} | set(_added(backend).values())
    # Single bytes need no merge, and special tokens are never made of merges.
    lacking = [token for token in vocabulary if len(token) > 1 and token not in merged]
    if not lacking:
        return backend
    # In order of ids, which is that of training: a longer token may need a merge restored before it.
    for token in sorted(lacking, key=vocabulary.__getitem__):
        parts = _parts(token, ranks)
        if len(parts) == 2:  # otherwise no merge of two known parts makes this token
            ranks[parts[0], parts[1]] = vocabulary[token]
    written["model"]["merges"] = sorted(map(list, ranks), key=lambda pair: ranks[pair[0], pair[1]])
    return tokenizers.Tokenizer.from_str(json.dumps(written))


def _parts(token: str, ranks: Mapping[tuple[str, str], int]) -> list[str]:
    """Parts of a token after the known merges."""
    parts = list(token)
    while known := [pair for pair in itertools.pairwise(parts) if pair in ranks]:
        # Byte-pair encoding applies the merge learned first, wherever it stands in the token.
        best = min(known, key=lambda pair: ranks[pair])
        at = list(itertools.pairwise(parts)).index(best)
        parts[at : at + 2] = ["".join(best)]
    return parts


def _listed(name: str, revision: str | None) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
    """Tokens that the model's own configuration suppresses; None if it lists none."""
    for file, keys in _LISTS.items():
        found = huggingface.optional_file(name, file, revision)
        settings = stored_tensors.json_object(found) if found else {}
        if any(settings.get(key) for key in keys):
            return _ids(name, file, settings.get(keys[0])), _ids(name, file, settings.get(keys[1]))
    return None


def _ids(name: str, file: str, value: object) -> tuple[int, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or not all(type(id) is int and id >= 0 for id in value):
        raise Refusal(
            f"{name}: {file} must list ids of suppressed tokens, got {value!r}. Remedy: fetch it again."
        )
    return tuple(value)


def _suppressed(backend: tokenizers.Tokenizer, special: Mapping[str, int]) -> tuple[int, ...]:
    """Tokens suppressed by openai/whisper's rule: signs without a sound, speaker tags, special tokens."""
    signs = [*'"#()*+/:;<=>@[\\]^_`{|}~「」『』']
    signs += "<< >> <<< >>> -- --- -( -[ (' (\" (( )) ((( ))) [[ ]] {{ }} ♪♪ ♪♪♪".split()
    notes = "♩♪♫♬♭♮♯"  # share their first bytes, so the first token of each is enough

    def ids(text: str) -> list[int]:
        return backend.encode(text, add_special_tokens=False).ids

    chosen = {ids(" -")[0], ids(" '")[0]}  # allowed within a word, not before one
    for sign in (*signs, *notes):
        chosen |= {cut[0] for cut in (ids(sign), ids(f" {sign}")) if len(cut) == 1 or sign in notes}
    names = "transcribe translate startoftranscript startofprev startoflm nospeech nocaptions".split()
    return tuple(sorted(chosen | {special[f"<|{s}|>"] for s in names if f"<|{s}|>" in special}))


def _suppressed_at_begin(backend: tokenizers.Tokenizer, ids: Mapping[str, int]) -> tuple[int, ...]:
    return (*backend.encode(" ", add_special_tokens=False).ids, ids["eot"])
