"""Result of a run of the report job, of one grid or of several."""

import dataclasses
from collections.abc import Mapping, Sequence

from isogloss.engine.report.report_config import ReportConfig
from isogloss.engine.runtime import sentences


@dataclasses.dataclass(frozen=True, kw_only=True)
class ReportSummary:
    """Result of a run; `done` and `skipped` are of this process's share, and a dry run writes nothing.

    Attributes:
      done: pairs scored by this run.
      skipped: pairs scored by earlier runs.
      waiting: pairs of other shards whose chunks all exist but whose figures don't; the report is written
        when there are none.
      missing: number of chunks that the grid doesn't hold yet, by measure and pair; of all shares if the
        report was written, otherwise of this one.
      failed: chunks that can't be used, each with the reason; of the same pairs.
      rows: rows of the retrieval table.
      report: path of the page; None while other shards are unfinished.
      written: True if this run wrote it; False if it was there, made of the same figures and options.
      seconds: duration of the run.
      pairs_per_second: throughput.
      plan: work to do: pairs, bytes, FLOPs; with --dry_run also the estimated time.
    """

    done: int = 0
    skipped: int
    waiting: int = 0
    missing: Mapping[str, int] = dataclasses.field(default_factory=dict)
    failed: Sequence[str] = ()
    rows: int = 0
    report: str | None = None
    written: bool = False
    seconds: float
    pairs_per_second: float = 0.0
    plan: Mapping[str, int | float]

    @property
    def complete(self) -> bool:
        """True if every chunk needed exists and can be used."""
        return not self.missing and not self.failed

    def sentence(self, config: ReportConfig) -> str:
        """Place of the report, or what it waits for."""
        lacking = sum(self.missing.values())
        remedy = f"; {lacking:,} chunks aren't computed: run the grid job to its end, then this again"
        broken = f"; {len(self.failed):,} chunks can't be used, named above"
        troubles = (remedy if lacking else "") + (broken if self.failed else "")
        start = sentences.stored(self.done, self.skipped, 0, "pairs", config.out, config.share)
        if self.report is None:
            return f"{start}; the report waits for {self.waiting:,} pairs of other shards{troubles}"
        if self.written:
            start = start.removeprefix("nothing was left to do: ")  # the tables and the page were
        before = "" if self.written or self.done else ", written before"
        return f"{start}; the report is {self.report}{before}{troubles}"


def merged(of_each: Mapping[str, ReportSummary]) -> ReportSummary:
    """Sums of the reports of several grids by their labels; no `report` if one waits for other shards."""
    found = list(of_each.values())
    seconds = sum(each.seconds for each in found)
    done = sum(each.done for each in found)
    plan: dict[str, int | float] = {}
    for each in found:
        plan |= {name: plan.get(name, 0) + value for name, value in each.plan.items()}
    return ReportSummary(
        done=done,
        skipped=sum(each.skipped for each in found),
        waiting=sum(each.waiting for each in found),
        missing={f"{label} {what}": n for label, each in of_each.items() for what, n in each.missing.items()},
        failed=[f"{label} {text}" for label, each in of_each.items() for text in each.failed],
        report=None if any(each.report is None for each in found) else found[0].report,
        seconds=round(seconds, 3),
        pairs_per_second=round(done / seconds, 3) if seconds else 0.0,
        plan=plan,
    )
