"""Examples: stored utterances, each with its prompt and the text that the decoder is taught.

Texts come from a table, or are what the store has as transcription of the same sentence in the language of
the text. The new task has the token that --language_token names; an old task has the prompt that Whisper was
trained with: the language that is spoken, and `transcribe` if text and speech are of one language.
"""

import dataclasses
import logging
import pathlib
from collections.abc import Mapping, Sequence

from isogloss.engine.activations import activation_store
from isogloss.engine.activations.activation_store import LanguageStore
from isogloss.engine.corpora import tsv
from isogloss.engine.corpora.languages import whisper_code
from isogloss.engine.decoding import language_token
from isogloss.engine.runtime.name_lists import first_names
from isogloss.engine.runtime.place import Place
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.whisper.tokenizer import WITHOUT_SPACES, Tokens

_LOG = logging.getLogger(__name__)
COLUMNS = ("language", "sentence", "text", "target_language")
Texts = Mapping[tuple[str, str], Mapping[str, str]]
"""Text by sentence, by the languages of speech and text."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pair:
    """Languages of a task.

    Attributes:
      source: of the speech, its code in the store.
      target: of the text.
    """

    source: str
    target: str

    def __str__(self) -> str:
        """Name of the task, as in "fr-en"."""
        return f"{self.source}-{self.target}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class Example:
    """One utterance and its text.

    Attributes:
      language: of the speech.
      row: of the utterance in its store.
      frames: of the utterance.
      truncated: True if its recording is longer than the encoder's window, so that its end has no frames.
      sentence: id shared by languages.
      text: as written.
      transcription: of the speech; "" if unknown.
      prompt: tokens before the text.
      ids: tokens of the text, without its end.
    """

    language: str
    row: int
    frames: int
    truncated: bool
    sentence: str
    text: str
    transcription: str
    prompt: tuple[int, ...]
    ids: tuple[int, ...]


def read_texts(path: pathlib.Path) -> dict[tuple[str, str], dict[str, str]]:
    """Texts of a table.

    Raises:
      Refusal: the table can't be read, lacks a column or has two texts for one utterance and language.
    """
    rows = tsv.rows(path)
    _, head = next(rows, (0, []))
    if missing := [name for name in COLUMNS if name not in head]:
        raise Refusal(
            f"{path}: the first line must name the columns {', '.join(COLUMNS)}; lacks {', '.join(missing)}"
        )
    at = {name: head.index(name) for name in COLUMNS}
    texts: dict[tuple[str, str], dict[str, str]] = {}
    for number, row in rows:
        if len(row) != len(head):
            raise Refusal(f"{path} line {number}: has {len(row)} fields, the first line {len(head)}")
        language, sentence, text, target = (row[at[name]] for name in COLUMNS)
        of_pair = texts.setdefault((language, target), {})
        if of_pair.setdefault(sentence, text) != text:
            raise Refusal(f"{path} line {number}: a second text for {language} {sentence} in {target}")
    return texts


def pair(name: str, languages: Sequence[str]) -> Pair:
    """Languages of an old task by its name; Refusal unless both are in the store."""
    for at, sign in enumerate(name):
        if sign == "-" and name[:at] in languages and name[at + 1 :] in languages:
            return Pair(source=name[:at], target=name[at + 1 :])
    raise Refusal(
        f"old task {name!r}: must be SPEECH-TEXT, two of the store's languages, as in fr-en; it holds "
        f"{', '.join(languages)}"
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExampleReader:
    """Maker of examples.

    Attributes:
      store: place of the stores.
      texts: of a table; empty without one.
      vocabulary: of the model.
      room: tokens that the decoder holds.
      stand_in: language tokens by language, see `language_token.choose`.
    """

    store: Place
    texts: Texts
    vocabulary: Tokens
    room: int
    stand_in: Mapping[str, str]

    def new_task(self, languages: Pair, task: str, token_of: str) -> list[Example]:
        """Examples of the task that is learnt; Refusal if there is none."""
        code = languages.target if token_of == "target" else languages.source
        if self.texts and (languages.source, languages.target) not in self.texts:
            known = ", ".join(sorted(f"{speech}-{text}" for speech, text in self.texts))
            raise Refusal(f"--texts has no text for {languages}, only for {known}: see --source and --target")
        return self._examples(languages, task, code)

    def old_task(self, languages: Pair) -> list[Example]:
        """Examples of a task that Whisper knows, with the prompt that it knows; Refusal if there is none."""
        task = "transcribe" if languages.source == languages.target else "translate"
        if task == "translate" and whisper_code(languages.target) != "en":
            raise Refusal(f"old task {languages}: Whisper translates into English only")
        return self._examples(languages, task, languages.source)

    def _prompt(self, code: str, task: str) -> tuple[int, ...]:
        known = self.vocabulary.languages if self.vocabulary.multilingual else {}
        token = language_token.choose(code, language_token.PER_UTTERANCE, self.stand_in, known)
        return self.vocabulary.prompt(token.language, task)

    def _examples(self, languages: Pair, task: str, token: str) -> list[Example]:
        prompt = self._prompt(token, task)
        speech = activation_store.open_store(self.store, languages.source)
        texts, found = self._by_row(speech, languages), []
        present, frames = speech.present(), speech.frames
        columns = (speech.coordinate(name) for name in ("sentence", "transcription", "truncated"))
        sentences, spoken, truncated = columns
        unfit: list[str] = []
        for row, text in enumerate(texts):
            if not present[row] or not text:
                continue
            ids = self._ids(text, languages.target)
            # One position more: the end of text is predicted, not read.
            if ids is None or len(prompt) + len(ids) > self.room:
                unfit.append(speech.names[row])
                continue
            found.append(
                Example(
                    language=languages.source, row=row, frames=int(frames[row]),
                    truncated=bool(truncated[row]), sentence=str(sentences[row]), text=text,
                    transcription=str(spoken[row]), prompt=prompt, ids=ids,
                )
            )  # fmt: skip
        if unfit:
            reason = f"their texts can't be written in {self.room - len(prompt)} tokens"
            _LOG.warning(
                "%s: %d utterances are left out, %s: %s", languages, len(unfit), reason, first_names(unfit)
            )
        if not found:
            raise Refusal(f"{languages}: no stored utterance has a text. See --texts, --source and --target")
        return found

    def _by_row(self, speech: LanguageStore, languages: Pair) -> list[str]:
        """Text of each row of a store, "" where there is none."""
        sentences = speech.coordinate("sentence").tolist()
        if given := self.texts.get((languages.source, languages.target)):
            if unused := sorted(set(given) - set(sentences)):
                _LOG.warning("--texts: sentences that aren't in %s: %s", speech.path, first_names(unused))
            return [" ".join(given.get(sentence, "").split()) for sentence in sentences]
        if languages.source == languages.target:
            return [" ".join(str(text).split()) for text in speech.coordinate("transcription")]
        other = activation_store.open_store(self.store, languages.target)
        rows = zip(other.coordinate("sentence").tolist(), other.coordinate("transcription"), strict=True)
        written = {sentence: " ".join(str(text).split()) for sentence, text in rows}
        return [written.get(sentence, "") for sentence in sentences]

    def _ids(self, text: str, language: str) -> tuple[int, ...] | None:
        """Tokens of a text; None if the tokenizer can't write it, or reads special tokens in it."""
        # Whisper's texts begin with a space where words have spaces between them.
        spaced = text if whisper_code(language) in WITHOUT_SPACES else f" {text}"
        ids = self.vocabulary.encode(spaced)
        return ids if self.vocabulary.decode(ids) == spaced else None
