"""Processes of others as tests look at them: what has ended, and waiting for it."""

import pathlib
import time


def awaited(condition):
    """Wait until a condition is met, a minute at most."""
    latest = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < latest
        time.sleep(0.05)


def ended(process):
    """True also of one for which its new parent hasn't waited yet."""
    try:
        return "\nState:\tZ" in pathlib.Path(f"/proc/{process}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
