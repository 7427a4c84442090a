"""The status job: how much of how much is there, what failed and why, and when the rest will be done.

It lists folders or buckets and reads metadata, no audio, no states, no scores: a second for all of FLEURS.
Any process may ask while others work.
"""

import dataclasses
import sys
import time
from collections.abc import Mapping

from isogloss.engine.operations import run_status
from isogloss.engine.operations.status_config import StatusConfig
from isogloss.engine.runtime import amounts
from isogloss.engine.runtime.progress import seconds_since
from isogloss.engine.runtime.text_table import text_table
from isogloss.engine.tallies import grid_status, store_status
from isogloss.engine.tallies.tally import Count, Tally

_SHOWN = 20  # reasons on the terminal; the JSON has all


@dataclasses.dataclass(frozen=True, kw_only=True)
class StatusSummary:
    """State of a store, a grid or a run.

    Attributes:
      unit: what is counted: utterances, units (a pair at a state) or tasks.
      done: number that is there.
      total: number that was asked for.
      failed: number that can't be made.
      left_out: number left out on request.
      parts: the same counts by language, state or step.
      reasons: why units failed, by unit.
      pace_of: what the next three are of: of a run, what its first unfinished step makes; else "".
      per_hour: units in an hour, of all shards together; None if unknown.
      seconds_left: until all is there; None if unknown, or if nothing runs.
      idle_seconds: since the newest file; None if unknown.
      seconds: duration of this run.
      plan: units that are left.
    """

    unit: str
    done: int
    total: int
    failed: int
    left_out: int
    parts: Mapping[str, Mapping[str, Count]]
    reasons: Mapping[str, str]
    pace_of: str
    per_hour: float | None
    seconds_left: float | None
    idle_seconds: float | None
    seconds: float
    plan: Mapping[str, int | float]

    complete = True  # the question is answered, whatever the answer

    def sentence(self, config: StatusConfig) -> str:
        """Amount that is there, and the speed at which it grows."""
        where = config.store or config.grid or config.run
        verb, failed = ("are done", "were refused") if self.unit == "tasks" else ("are stored", "failed")
        start = f"{self.done:,} of {self.total:,} {self.unit} {verb} in {where}"
        start += f", {self.failed:,} {failed}" if self.failed else ""
        start += f", {self.left_out:,} are left out" if self.left_out else ""
        if self.unit == "tasks" and self.failed:
            start += ": correct what the table of reasons names, and launch again"
        elif not self.plan["left"] and self.failed:
            return f"{start}: correct what the table of reasons names, and run the same command again"
        elif not self.plan["left"]:
            return f"{start}; nothing is left to do"
        what = f"{self.pace_of}: " if self.pace_of else ""
        if self.seconds_left is not None and self.per_hour is not None:
            left = amounts.duration(self.seconds_left)
            return f"{start}; {what}{self.per_hour:,.0f} an hour, about {left} left"
        if self.idle_seconds is None:
            return start
        return f"{start}; {what}nothing was written for {amounts.duration(self.idle_seconds)}"


def run(config: StatusConfig) -> StatusSummary:
    """State of what the options name; prints tables on stderr.

    Raises:
      Refusal: there is no store, grid or run.
    """
    start = time.monotonic()
    found = _tally(config)
    for what, counts in found.parts.items():
        rows = [(name, *dataclasses.astuple(count), count.left) for name, count in counts.items()]
        head = (what, "done", "of", "failed", "left out", "left")
        print(text_table(head, rows), end="\n\n", file=sys.stderr)
    if found.reasons:
        print(text_table(("failed", "reason"), list(found.reasons.items()), _SHOWN), file=sys.stderr)
    return StatusSummary(
        unit=found.unit,
        **dataclasses.asdict(found.count),
        parts=found.parts,
        reasons=found.reasons,
        pace_of=found.pace_of,
        **dataclasses.asdict(found.pace),
        seconds=seconds_since(start),
        plan={"left": found.count.left},
    )


def _tally(config: StatusConfig) -> Tally:
    if config.store:
        return store_status.tally(config.store)
    if config.grid:
        return grid_status.tally(config.grid)
    assert config.run, "checked by the configuration"
    return run_status.tally(config.run)
