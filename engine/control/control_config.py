"""Options of the control job."""

import dataclasses
import pathlib
from typing import Literal

from isogloss.engine.activations.store_options import states_option
from isogloss.engine.corpora.corpus import columns_option, corpus_option
from isogloss.engine.grid.grid_options import grid_option, pairs_option
from isogloss.engine.runtime.options import FigureOptions, ShardedJobConfig, option
from isogloss.engine.runtime.place import Place
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.texts.text_options import phones_option, sentence_encoder_option


@dataclasses.dataclass(frozen=True, kw_only=True)
class ControlConfig(ShardedJobConfig, FigureOptions):
    """Options of the control job; each field's help is in its definition."""

    grid: Place = grid_option()
    corpus: str = corpus_option("Corpus with the texts of the grid's sentences")
    out: pathlib.Path = option("Folder to write tables, figures and the page to.")
    against: Place | None = option(
        "Grid of another encoder on the same recordings, whose figures are put beside: what an encoder finds "
        "that cannot know the languages, such as Whisper tiny.en.",
        None,
    )
    columns: tuple[str, ...] = columns_option()
    measure: str = option("Measure of the grid to explain, one that is its own transpose.", "seqsim")
    pairs: tuple[str, ...] = pairs_option()
    states: tuple[str, ...] = states_option("of the grid")
    names: tuple[str, ...] = option(
        "Who finds proper names: LANG:spacy:MODEL for each language that has one, table:FILE.tsv with "
        "columns language, sentence, name, or none.",
        ("none",),
    )
    phones: Literal["espeak", "none"] = phones_option()
    sentence_encoder: str = sentence_encoder_option("sentences")
    alike: float = option("Similarity of phones from which two words sound alike.", 0.6, above=0, maximum=1)
    curve: tuple[str, ...] = option(
        "Further values of --alike, for the curve of R@1.", ("0.5", "0.6", "0.7", "0.8", "0.9", "1.0")
    )
    content_phones: int = option("Least number of phones of words that may sound alike.", 3, minimum=1)
    permutations: int = option(
        "Permutations of the QAP test of each factor (double semi-partialing); 0 leaves it out.",
        0,
        minimum=0,
    )

    def __post_init__(self) -> None:
        """Refuse similarities that none has.

        Raises:
          Refusal: the option, the rule and the value.
        """
        super().__post_init__()
        for text in self.curve:
            try:
                right = 0 < float(text) <= 1
            except ValueError:
                right = False
            if not right:
                raise Refusal(f"--curve must be numbers above 0 and up to 1, got {text!r}")

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Similarities of the curve, `alike` among them, in ascending order."""
        return tuple(sorted({self.alike, *map(float, self.curve)}))
