"""Progress of a long run: a bar on a terminal, timed log lines elsewhere, counts for a stopped run."""

import dataclasses
import logging
import sys
import threading
import time

_LINE_EVERY = 30.0  # seconds
_LOG = logging.getLogger(__name__)
STORED, DONE = "stored", "done"  # verbs of units that outlive the process
_newest: "Progress | None" = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Counts:
    """Counts of this process's share.

    Attributes:
      done: units stored by this run.
      skipped: units stored by earlier runs.
      total: units of the share.
      unit: name of the units.
      verb: what is done to them.
    """

    done: int
    skipped: int
    total: int
    unit: str
    verb: str


class Progress:
    """Display of finished units, rate and time left."""

    def __init__(
        self, what: str, total: int, unit: str, *, before: int = 0, without: int = 0, verb: str = STORED
    ) -> None:
        """Start the clock.

        Args:
          what: name of the job.
          total: units of the share.
          unit: name of the units.
          before: units that earlier runs stored.
          without: units that are known to fail.
          verb: what is done to the units; only what is STORED or DONE outlives the process.
        """
        from tqdm import tqdm  # noqa: PLC0415 (--help loads this module)

        global _newest  # noqa: PLW0603 (one job runs in a process; a signal asks for its counts)
        _newest = self
        self._what, self._unit, self._verb = what, unit, verb
        self._before, self._total = before, total
        self._start = self._last = time.monotonic()
        self._todo, self._done, self._stored = total - before - without, 0, 0
        self._lock = threading.Lock()
        terminal = sys.stderr.isatty()
        self._bar = tqdm(
            total=total, initial=total - self._todo, desc=what, unit=f" {unit}", dynamic_ncols=True,
            disable=not terminal,
        )  # fmt: skip
        self._lines, self._note = not terminal, ""

    def advance(self, *, stored: bool = True) -> None:
        """Count one unit as finished; `stored` unless it failed, or `store` counts it; for any thread."""
        if stored:
            self.store()
        with self._lock:
            self._done += 1
            self._bar.update()
            now = time.monotonic()
            if self._lines and (now - self._last >= _LINE_EVERY or self._done == self._todo):
                self._last = now
                rate = self._done / max(now - self._start, 1e-9)
                left = (self._todo - self._done) / rate
                counts = f"{self._total - self._todo + self._done}/{self._total} {self._unit}"
                note = f", {self._note}" if self._note else ""
                _LOG.info("%s: %s, %.2f/s, %.0f s left%s", self._what, counts, rate, left, note)

    def note(self, text: str) -> None:
        """Show a text beside the counts, until another replaces it."""
        self._note = text
        self._bar.set_postfix_str(text, refresh=False)

    def store(self, units: int = 1) -> None:
        """Count units as stored; any thread may call it."""
        with self._lock:
            self._stored += units

    def counts(self) -> Counts:
        """Counts of stored units, at this moment."""
        return Counts(
            done=self._stored, skipped=self._before, total=self._total, unit=self._unit, verb=self._verb
        )

    def close(self) -> None:
        """End the display; the bar stays on the terminal."""
        self._bar.close()


def seconds_since(start: float) -> float:
    """Seconds since `time.monotonic()` was `start`, to a thousandth."""
    return round(time.monotonic() - start, 3)


def counts() -> Counts | None:
    """Counts of the newest display of this process; None before there is one."""
    return _newest.counts() if _newest else None
