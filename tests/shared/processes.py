"""Processes that tests start, which end with their test, and those of others as tests look at them."""

import contextlib
import os
import pathlib
import resource
import signal
import subprocess
import time

PATIENCE = 300  # seconds in which anything happens, also on a machine with much other work
_started: list[subprocess.Popen] = []


def start(command, **options):
    """Process that ends with the test that starts it at the latest; that of a fixture with the first test."""
    process = subprocess.Popen(command, **options)
    _started.append(process)
    return process


def piped(command, **options):
    """Such a process, whose output the test reads as text."""
    return start(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def end():
    """Kill what a test has left, wait for it and close its pipes; `conftest` calls it after every test.

    What a failed test leaves would fail another, by a ResourceWarning, wherever garbage is collected next.
    """
    while _started:
        process = _started.pop()
        process.kill()  # which does nothing to one that was waited for
        process.wait()
        for pipe in filter(None, (process.stdin, process.stdout, process.stderr)):
            with contextlib.suppress(OSError):  # what it never read
                pipe.close()


def awaited(condition, seconds=PATIENCE):
    """Wait until a condition is met, and return what it gives."""
    latest = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < latest, "nothing happened in time"
        time.sleep(0.02)
    return found


def soon(limit, trial):
    """Result of a trial, which returns (seconds, result), as soon as it takes fewer seconds than the limit.

    A busy machine may hold up two of three, but what is slow by itself is so every time.
    """
    took = []
    while len(took) < 3:
        seconds, result = trial()
        if seconds < limit:
            return result
        took.append(seconds)
    raise AssertionError(f"{took} s, and never less than {limit}")


def processor_seconds():
    """Processor time of the processes that were started here and have ended; no other lengthens it."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def ended(process):
    """True also of one for which its new parent hasn't waited yet."""
    return _state(process) in "ZX"


def kill(process):
    """Whether SIGKILL hit a process; it is stopped before, so that it doesn't end by itself meanwhile."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(process, signal.SIGSTOP)
        awaited(lambda: _state(process) in "TZX")
        stopped = _state(process) == "T"
        os.kill(process, signal.SIGKILL)
        return stopped
    return False


def _state(process):
    """Letter that the kernel has for what a process does; "X" of one that is gone."""
    try:
        return pathlib.Path(f"/proc/{process}/status").read_text().partition("\nState:\t")[2][0]
    except (FileNotFoundError, ProcessLookupError):
        return "X"
