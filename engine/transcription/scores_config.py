"""Options of the scores job."""

import dataclasses
import pathlib

from isogloss.engine.activations.store_options import store_option
from isogloss.engine.decoding.job_config import sentences_option
from isogloss.engine.runtime.options import FigureOptions, JobConfig, local_path, option
from isogloss.engine.runtime.place import Place
from isogloss.engine.runtime.refusal import Refusal


@dataclasses.dataclass(frozen=True, kw_only=True)
class ScoresConfig(JobConfig, FigureOptions):
    """Options of the scores job; each field's help is in its definition."""

    resumes = False
    store: Place = store_option("the activation stores that the texts are of")
    new: str = option("Task that was learnt, SPEECH-TEXT, as in en-es.")
    out: pathlib.Path = option("Folder to write to.")
    runs: tuple[str, ...] = option(
        "Folders of transcribe, MODEL=FOLDER,...; a model may have several, the first model is the baseline.",
        (),
    )
    old: tuple[str, ...] = option("Tasks that the baseline knows: fr-en,en-en; other ones are zero-shot.", ())
    sentences: pathlib.Path | None = sentences_option()
    scores: pathlib.Path | None = option(
        "Lines of comet.jsonl with a number `score` added to each, by a tool that scores translations.", None
    )

    def __post_init__(self) -> None:
        """Refuse runs without a name, and none at all.

        Raises:
          Refusal: the options and the rule.
        """
        super().__post_init__()
        if not self.runs or not all(name and path for name, path in self.folders):
            raise Refusal(f"--runs must be MODEL=FOLDER,..., got {','.join(self.runs)!r}")

    @property
    def folders(self) -> tuple[tuple[str, pathlib.Path | None], ...]:
        """Model and folder of each run; the folder is None if it isn't given."""
        parts = (run.partition("=") for run in self.runs)
        return tuple((name, local_path(f"--runs={name}", path) if path else None) for name, _, path in parts)
