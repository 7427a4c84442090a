"""Scorings of a report: a measure with a correction, under the name that tables and pages use."""

from collections.abc import Sequence
from typing import NamedTuple

from isogloss.engine.retrieval import derived
from isogloss.engine.retrieval.derived import DerivedMeasure
from isogloss.engine.retrieval.report_terms import CORRECTIONS

_PLUS = "+"


class Scoring(NamedTuple):
    """Measure with a correction.

    Attributes:
      measure: name of a measure of the grid or of a derived one.
      correction: one of CORRECTIONS.
    """

    measure: str
    correction: str = "none"

    @property
    def name(self) -> str:
        """Short name, "seqsim" or "seqsim+csls"."""
        return self.measure if self.correction == "none" else f"{self.measure}{_PLUS}{self.correction}"

    @property
    def label(self) -> str:
        """Name in figures."""
        label = derived.record(self.measure).label
        return label if self.correction == "none" else f"{label}, {CORRECTIONS[self.correction][0]}"


def scoring(name: str) -> Scoring:
    """Scoring of a short name."""
    measure, plus, correction = name.partition(_PLUS)
    return Scoring(measure, correction) if plus else Scoring(measure)


def scorings(measures: Sequence[str], corrections: Sequence[str]) -> tuple[Scoring, ...]:
    """Every measure with every correction that applies to it, measure by measure."""
    return tuple(
        Scoring(measure, correction)
        for measure in measures
        for correction in (corrections if corrected(measure) else ("none",))
    )


def corrected(measure: str) -> bool:
    """True if corrections apply to a measure."""
    record = derived.record(measure)
    return not isinstance(record, DerivedMeasure) or record.corrected
