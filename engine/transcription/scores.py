"""The scores job: transcripts of several models side by side, what was gained and what was forgotten.

Reads folders of transcribe. A task is named by the languages of its speech and of its references, by their
codes in the store, as in tune. Scores of other tools go out and come back by `comet_lines`.
"""

import dataclasses
import logging
import pathlib
import time
from collections.abc import Mapping, Sequence

from isogloss.engine.activations import store_languages
from isogloss.engine.corpora.languages import whisper_code
from isogloss.engine.decoding import language_token
from isogloss.engine.decoding.language_token import Token
from isogloss.engine.drawing import picture_files
from isogloss.engine.runtime import atomic_write, json_values, name_lists, table_files, text_table
from isogloss.engine.runtime.name_lists import first_names
from isogloss.engine.runtime.progress import seconds_since
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.transcription import bleu_chrf, comet_lines, model_scores, scores_figure, side_by_side
from isogloss.engine.transcription.model_scores import ScoredText, TaskTexts
from isogloss.engine.transcription.scores_config import ScoresConfig

_LOG = logging.getLogger(__name__)
_COLUMNS = [  # of transcripts that are read
    *("language", "utterance", "sentence", "task", "text", "reference", "scored"),
    *("language_token", "language_token_by"),
]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoresSummary:
    """Summary of a run.

    Attributes:
      rows: of the table, one per model and task.
      table: its path.
      seconds: of the run.
      plan: numbers of models' tasks and of texts.
    """

    rows: int
    table: str | None
    seconds: float
    plan: Mapping[str, int]

    @property
    def complete(self) -> bool:
        """True: a run that lacks a text is refused."""
        return True

    def sentence(self, config: ScoresConfig) -> str:
        """Place of the table."""
        return f"scored {self.rows:,} tasks of models; the table is {self.table}"


@picture_files.draws
def run(config: ScoresConfig) -> ScoresSummary:
    """Summary of a run.

    Raises:
      Refusal: a folder has no transcripts, two models' texts are of different utterances, a task that the
        options name has no text, or a text has no score in --scores.
      OSError: the results can't be written.
    """
    start = time.monotonic()
    found = _texts(config, name_lists.read("--sentences", config.sentences) if config.sentences else None)
    _check(config, found)
    plan = {"tasks": len(found), "texts": sum(len(one.by_utterance) for one in found)}
    comet = comet_lines.read(config.scores, found) if config.scores else {}
    if config.dry_run:
        return ScoresSummary(rows=0, table=None, seconds=seconds_since(start), plan=plan)
    kinds = {one.pair: _kind(one.pair, config) for one in found}
    rows = model_scores.rows(found, kinds, comet)
    for model, missing in side_by_side.lacking(rows).items():
        _LOG.warning("%s has no text of %s: its cells are blank", model, ", ".join(missing))
    atomic_write.make_folder(config.out)
    table = model_scores.tabulate(rows)
    for name, made, write in (
        ("scores.parquet", table, table_files.write_parquet),
        ("scores.csv", table, table_files.write_csv),
        ("side_by_side.csv", side_by_side.tabulate(rows), table_files.write_csv),
    ):
        atomic_write.write_whole(config.out / name, lambda file, write=write, made=made: write(made, file))
    lines = comet_lines.lines(config.store, found)
    atomic_write.write_whole(config.out / "comet.jsonl", lambda file: file.write_text(lines, "utf-8"))
    picture_files.save(scores_figure.draw(rows, config.new), config.out / "scores")
    _LOG.info("scores:\n%s", text_table.text_table(*side_by_side.shown(rows)))
    return ScoresSummary(
        rows=len(rows),
        table=str(config.out / "scores.parquet"),
        seconds=seconds_since(start),
        plan=plan,
    )


def _kind(pair: str, config: ScoresConfig) -> str:
    return "new" if pair == config.new else "old" if pair in config.old else "zero-shot"


def _texts(config: ScoresConfig, sentences: frozenset[str] | None) -> list[TaskTexts]:
    """Texts of all runs, by model and task; utterances without text or reference are left out."""
    found: dict[tuple[str, str, str, str], dict[str, ScoredText]] = {}
    for model, folder in config.folders:
        file = pathlib.Path(str(folder)) / "transcripts.parquet"
        if not file.is_file():
            raise Refusal(f"{file}: isn't there. Run transcribe to its end with --out={folder}")
        written = _written(config, file.with_name("transcribe.json"))
        for row in table_files.read_parquet(file, _COLUMNS).to_pylist():
            if not row["scored"] or (sentences is not None and row["sentence"] not in sentences):
                continue
            target = row["language"] if row["task"] == "transcribe" else written
            token = Token(language=row["language_token"], how=row["language_token_by"])
            tokenizer = bleu_chrf.bleu_tokenizer(language_token.written_as(target, token))
            own = found.setdefault((model, row["language"], target, tokenizer), {})
            if row["utterance"] in own:
                raise Refusal(
                    f"{file}: a second text of {model} for {row['language']}-{target} "
                    f"{row['utterance']}: one state a run, one run a task"
                )
            own[row["utterance"]] = ScoredText(
                sentence=row["sentence"], text=row["text"], reference=row["reference"]
            )
    if not found:
        raise Refusal("no run has a scored text of these sentences. See --runs and --sentences")
    return [
        TaskTexts(model=model, speech=speech, written=target, tokenizer=tokenizer, by_utterance=own)
        for (model, speech, target, tokenizer), own in found.items()
    ]


def _written(config: ScoresConfig, settings: pathlib.Path) -> str:
    """Language of a run's references of translations, by its code in the store.

    The token of the prompt doesn't tell it: with a stand-in's token `translate` writes English all the same.
    """
    if not settings.is_file():
        raise Refusal(f"{settings}: isn't there. --runs takes whole folders of transcribe")
    if given := json_values.json_object(settings, "run transcribe again").get("references"):
        return str(given)
    stored = store_languages.codes(config.store)
    return next((code for code in stored if whisper_code(code) == "en"), "en")


def _check(config: ScoresConfig, found: Sequence[TaskTexts]) -> None:
    """Refuse tasks that are named and have no text, and texts of one task that can't be compared."""
    pairs = {one.pair: one for one in reversed(found)}
    if unknown := [pair for pair in (config.new, *config.old) if pair not in pairs]:
        raise Refusal(
            f"--new and --old: no run has a scored text of {', '.join(unknown)}. Remedy: name tasks among "
            f"{', '.join(sorted(pairs))}"
        )
    for one in found:
        first = pairs[one.pair]
        if one.tokenizer != first.tokenizer:
            raise Refusal(
                f"{one.pair}: BLEU would count by tokenizer {first.tokenizer} in texts of {first.model}, by "
                f"{one.tokenizer} in those of {one.model}, whose prompts had another language token. Remedy: "
                "transcribe all with the same --language and --stand_in"
            )
        if differing := sorted(first.by_utterance.keys() ^ one.by_utterance.keys()):
            raise Refusal(
                f"{one.pair}: the texts of {first.model} and {one.model} are of different utterances, "
                f"{len(first.by_utterance)} and {len(one.by_utterance)}; one of the two lacks "
                f"{first_names(differing)}. Remedy: transcribe the same corpus with both, or name sentences "
                "that both have by --sentences"
            )
