"""Counts of what is there and what is not, by part: the result of status, whatever it looks at."""

import dataclasses
from collections.abc import Mapping

from isogloss.engine.tallies.pace import Pace


@dataclasses.dataclass(frozen=True, kw_only=True)
class Count:
    """Counts of a part, such as a language.

    Attributes:
      done: units that are there.
      total: units that were asked for.
      failed: units that can't be made.
      left_out: units left out on request.
    """

    done: int = 0
    total: int = 0
    failed: int = 0
    left_out: int = 0

    @property
    def left(self) -> int:
        """Units that are still to be done."""
        return self.total - self.done - self.failed - self.left_out

    def __add__(self, other: "Count") -> "Count":
        """Counts of both parts."""
        both = zip(dataclasses.astuple(self), dataclasses.astuple(other), strict=True)
        return Count(
            **{field.name: a + b for field, (a, b) in zip(dataclasses.fields(self), both, strict=True)}
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tally:
    """Counts of what is there.

    Attributes:
      unit: name of the units.
      count: of all parts together.
      parts: counts by what divides the units ("language", "state", "step") and by its name.
      reasons: why units failed, by unit.
      pace: speed of all shards.
      pace_of: what the pace is of, such as "utterances of extract"; "" if of the units.
    """

    unit: str
    count: Count
    parts: Mapping[str, Mapping[str, Count]]
    reasons: Mapping[str, str]
    pace: Pace
    pace_of: str = ""
