"""Options of the tune job."""

import dataclasses
import pathlib
import re
from typing import Literal

from isogloss.engine.activations.store_options import store_option
from isogloss.engine.checkpoints.checkpoint_options import model_option
from isogloss.engine.corpora.languages import whisper_code
from isogloss.engine.decoding.job_config import TokenizerConfig
from isogloss.engine.runtime.options import FigureOptions, compilation_cache_option, compute_option, option
from isogloss.engine.runtime.place import Place
from isogloss.engine.runtime.refusal import Refusal

_LORA = re.compile(r"lora:([1-9]\d*)")


def lora_rank(train: str) -> int:
    """Rank R of `lora:R`, 0 for the other values of --train; Refusal if it is none of them."""
    if train in ("decoder", "cross"):
        return 0
    if found := _LORA.fullmatch(train):
        return int(found[1])
    raise Refusal(f"--train must be decoder, cross or lora:R with a rank R of at least 1, got {train!r}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class TuneConfig(TokenizerConfig, FigureOptions):
    """Options of the tune job; each field's help is in its definition."""

    store: Place = store_option()
    model: str = model_option("Whisper checkpoint that the store was made with")
    source: str = option("Language of the speech, by its code in the store.")
    target: str = option("Language of the texts: its code in the store or in --texts.")
    out: pathlib.Path = option("Folder to write to: a model in Hugging Face's layout, and how it came about.")
    texts: pathlib.Path | None = option(
        "Table of texts (columns language, sentence, text, target_language; tabs between them); without it "
        "the transcriptions of a sentence in the target language.",
        None,
    )
    task: Literal["translate", "transcribe"] = option("Task token of the prompt.", "translate")
    language_token: Literal["target", "source"] = option(
        "Language token of the prompt: that of the text (Hugging Face's convention) or of the speech.",
        "target",
    )
    states: tuple[str, ...] = option("Encoder state that enters the decoder: one of 1,...,final.", ("final",))
    exit_norm: bool = option(
        "Whether another state than final passes the encoder's final LayerNorm: true or false, one a run.",
        True,
    )
    window: int = option(
        "Frames that the decoder sees, speech and silence; 0: the model's whole window.", 0, minimum=0
    )
    train: str = option(
        "What is trained: decoder, cross (its cross-attention) or lora:R (rank R).", "decoder"
    )
    steps: int = option("Steps; 0: as many as pass twice through the training sentences.", 0, minimum=0)
    batch: int = option("Rows of a step, on all devices together.", 8, minimum=1)
    learning_rate: float = option("Largest learning rate.", 1e-5, minimum=0)
    warmup: int | None = option(
        "Steps of linear warm-up before the cosine; a tenth of --steps by default.", None, minimum=0
    )
    weight_decay: float = option("Decoupled weight decay of matrices, as in AdamW.", 0.01, minimum=0)
    ewc: float = option("Lambda of elastic weight consolidation; 0: none.", 0.0, minimum=0)
    ewc_tasks: tuple[str, ...] = option("Old tasks that it protects, SPEECH-TEXT,...: fr-en,en-en.", ())
    fisher: Literal["model", "labels"] = option(
        "Labels of the Fisher information: drawn from the model, or the texts.", "model"
    )
    fisher_examples: int = option("Most examples of an old task for its Fisher information.", 200, minimum=1)
    fisher_from: pathlib.Path | None = option(
        "OUT of an earlier run, whose Fisher information of the same tasks is taken.",
        None,
    )
    anchor: float = option("Factor of half the squared distance from the start; 0: none.", 0.0, minimum=0)
    replay: tuple[str, ...] = option(
        "Old tasks whose examples are mixed in, SPEECH-TEXT,...: fr-en,en-en.", ()
    )
    replay_share: float = option("Share of a batch's rows that are of old tasks.", 0.25, minimum=0, below=1)
    average: tuple[str, ...] = option(
        "Share of the start in the weights that are written, 0 to 1; further shares give a folder each, "
        "OUT/average-SHARE.",
        ("0",),
    )
    dev_share: float = option("Share of the sentences that are held out.", 0.1, minimum=0, below=1)
    dev_steps: int = option("Steps between two measurements of the dev loss; 0: ten in a run.", 0, minimum=0)
    checkpoint_steps: int = option(
        "Steps between two checkpoints, from which a killed run goes on.", 50, minimum=1
    )
    compute: Literal["auto", "float32", "bfloat16"] = compute_option()
    seed: int = option("Seed of the split, of the order of batches and of all that is drawn.", 0, minimum=0)
    compilation_cache: pathlib.Path | None = compilation_cache_option()

    def __post_init__(self) -> None:
        """Refuse options that don't go together.

        Raises:
          Refusal: the options and the rule.
        """
        super().__post_init__()
        if len(self.states) != 1:
            raise Refusal(
                f"--states names the one state that is trained on, got {','.join(self.states) or 'none'}"
            )
        if self.task == "transcribe" and whisper_code(self.source) != whisper_code(self.target):
            raise Refusal(
                f"--task=transcribe is of texts in the language that is spoken, got --source={self.source} "
                f"--target={self.target}. Remedy: --task=translate, whose prompt has the target's token"
            )
        for name, given in (("ewc", self.ewc > 0), ("fisher_from", self.fisher_from)):
            if given and not self.ewc_tasks:
                raise Refusal(f"--{name} is of old tasks. Remedy: name them by --ewc_tasks, or leave it out")
        if self.replay and not 0 < self.replayed < self.batch:
            raise Refusal(
                f"--replay_share={self.replay_share} of --batch={self.batch} rows leaves the old or the new "
                "tasks without a row. Remedy: another share, or a larger batch"
            )
        lora_rank(self.train)
        self.shares  # noqa: B018 (making them checks them)

    @property
    def replayed(self) -> int:
        """Rows of a batch that are of old tasks."""
        return round(self.batch * self.replay_share) if self.replay else 0

    @property
    def shares(self) -> tuple[float, ...]:
        """Shares of the start in the weights that are written, the first in OUT itself.

        Raises:
          Refusal: one isn't a number from 0 to 1.
        """
        try:
            shares = tuple(map(float, self.average))
        except ValueError:
            shares = ()
        if not shares or not all(0 <= share <= 1 for share in shares):
            raise Refusal(f"--average takes numbers from 0 to 1, as in 0,0.5; got {','.join(self.average)!r}")
        return shares
