"""End of a job by Ctrl-C or SIGTERM, at once, whatever the main thread does.

A Python handler waits until the main thread returns from native code, and compiling a program takes up to a
minute. So the signal wakes a thread, which says what is stored and ends the process. Nothing is lost: results
appear by a rename, and even SIGKILL loses none that is written.
"""

import contextlib
import dataclasses
import json
import os
import signal
import socket
import sys
import threading
import time

from isogloss.engine.runtime import progress, temporary

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SETTLE = 0.1  # seconds after which a file that has just appeared is counted, too
_nothing_kept = threading.Event()


def watch() -> None:
    """Begin to wait for the signals."""
    woken, waking = socket.socketpair()
    waking.setblocking(False)
    # The thread waits before a handler is replaced, so that no signal comes while nobody listens.
    threading.Thread(target=_wait, args=(woken,), name="stop", daemon=True).start()
    signal.set_wakeup_fd(waking.detach())
    for number in _SIGNALS:
        signal.signal(number, lambda number, frame: None)  # without a handler the interpreter wakes nobody


def keeps_nothing() -> None:
    """Note that nothing which this run does spares the next one work: once stopped, it begins again."""
    _nothing_kept.set()


def ignore() -> None:
    """Let no signal interrupt the last words of a job that has ended."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _wait(woken: socket.socket) -> None:
    while (number := woken.recv(1)[0]) not in _SIGNALS:
        pass
    time.sleep(_SETTLE)
    counts = progress.counts()
    again = _nothing_kept.is_set() or (counts and counts.verb not in (progress.STORED, progress.DONE))
    state = "" if again else "what is written is kept; "
    if counts:
        state = f"{counts.done + counts.skipped:,} of {counts.total:,} {counts.unit} are {counts.verb}; "
    rest = "begins again" if again else "goes on"
    summary = {"interrupted": True} | (dataclasses.asdict(counts) if counts else {})
    start = "\n" if sys.stderr.isatty() else ""  # a bar may stand in the line
    try:
        # Whoever read may have ended by the same signal: `job | tee log`.
        with contextlib.suppress(OSError):
            os.write(1, f"{json.dumps(summary)}\n".encode())
        with contextlib.suppress(OSError):
            os.write(2, f"{start}stopped: {state}the same command {rest}\n".encode())
        temporary.end()
    finally:
        os._exit(128 + number)
