"""Lines of comet.jsonl for tools that score translations and can't share an environment with isogloss.

A line has source, text and reference of an utterance. Every utterance stands there once with the text of its
own speech, and once with that of mismatched speech (`TaskTexts.other_speech`). Scores come back by line.
"""

import json
import math
import pathlib
from collections.abc import Mapping, Sequence

from isogloss.engine.activations import activation_store
from isogloss.engine.runtime.name_lists import first_names
from isogloss.engine.runtime.place import Place
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.transcription.model_scores import ScoredLine, TaskTexts

_KEYS = ScoredLine._fields
_REMEDY = "Remedy: run scores without --scores, and score all lines of its comet.jsonl"


def lines(store: Place, found: Sequence[TaskTexts]) -> str:
    """Content of comet.jsonl; sources are the transcriptions in the store."""
    spoken: dict[str, dict[str, str]] = {}
    written = []
    for one in found:
        if one.speech not in spoken:
            of_language = activation_store.open_store(store, one.speech)
            transcribed = map(str, of_language.coordinate("transcription"))
            spoken[one.speech] = dict(zip(of_language.names, transcribed, strict=True))
        for line in one.lines():
            content = {
                "src": spoken[one.speech].get(line.utterance, ""),
                "mt": one.by_utterance[line.spoken].text,
                "ref": one.by_utterance[line.utterance].reference,
            }
            written.append(json.dumps(content | line._asdict(), ensure_ascii=False) + "\n")
    return "".join(written)


def read(file: pathlib.Path, found: Sequence[TaskTexts]) -> Mapping[ScoredLine, float]:
    """Scores of a file, by line.

    Raises:
      Refusal: there is no such file, a line of it has no score, or a line of comet.jsonl isn't there.
    """
    if not file.is_file():
        raise Refusal(f"--scores={file}: there is no such file")
    scores = {}
    for number, line in enumerate(file.read_text("utf-8").split("\n"), 1):
        if not line.strip():
            continue
        try:
            content = json.loads(line)
            score = float(content["score"])
            if not math.isfinite(score):
                raise ValueError(f"score is {score}")
            scores[ScoredLine(*(str(content[key]) for key in _KEYS))] = score
        except (ValueError, KeyError, TypeError) as error:
            keys = ", ".join((*_KEYS, "score"))
            raise Refusal(
                f"{file} line {number}: must be a JSON object with {keys}, a finite number ({error!r}). "
                f"{_REMEDY}"
            ) from error
    every = [line for one in found for line in one.lines()]
    if missing := [" ".join(line) for line in every if line not in scores]:
        raise Refusal(f"{file}: {len(missing)} texts have no score: {first_names(missing)}. {_REMEDY}")
    return scores
