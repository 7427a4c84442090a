"""Progress of a long run: a bar on a terminal, timed log lines elsewhere."""

import logging
import sys
import time

from tqdm import tqdm

_LINE_EVERY = 30.0  # seconds
_LOG = logging.getLogger(__name__)


class Progress:
    """Display of finished units, rate and time left."""

    def __init__(self, what: str, total: int, unit: str) -> None:
        """Start the clock for `total` units named `unit`."""
        self._what, self._total, self._unit = what, total, unit
        self._start = self._last = time.monotonic()
        self._done = 0
        terminal = sys.stderr.isatty()
        self._bar = tqdm(total=total, desc=what, unit=unit, dynamic_ncols=True, disable=not terminal)
        self._lines = not terminal

    def advance(self) -> None:
        """Count one unit."""
        self._done += 1
        self._bar.update()
        now = time.monotonic()
        if self._lines and (now - self._last >= _LINE_EVERY or self._done == self._total):
            self._last = now
            rate = self._done / max(now - self._start, 1e-9)
            left = (self._total - self._done) / rate
            counts = f"{self._done}/{self._total} {self._unit}"
            _LOG.info("%s: %s, %.2f/s, %.0f s left", self._what, counts, rate, left)

    def close(self) -> None:
        """End the display; the bar stays on the terminal."""
        self._bar.close()
