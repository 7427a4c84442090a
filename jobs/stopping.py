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


def watch() -> None:
    """Begin to wait for the signals."""
    woken, waking = socket.socketpair()
    waking.setblocking(False)
    for number in _SIGNALS:
        signal.signal(number, lambda number, frame: None)  # without a handler the interpreter wakes nobody
    signal.set_wakeup_fd(waking.detach())
    threading.Thread(target=_wait, args=(woken,), name="stop", daemon=True).start()


def ignore() -> None:
    """Let no signal interrupt the last words of a job that has ended."""
    for number in _SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _wait(woken: socket.socket) -> None:
    while (number := woken.recv(1)[0]) not in _SIGNALS:
        pass
    time.sleep(_SETTLE)
    counts = progress.counts()
    state, rest = "what is written is kept", "goes on"
    if counts:
        state = f"{counts.done + counts.skipped:,} of {counts.total:,} {counts.unit} are {counts.verb}"
        rest = "goes on" if counts.verb in (progress.STORED, progress.DONE) else "begins again"
    summary = {"interrupted": True} | (dataclasses.asdict(counts) if counts else {})
    start = "\n" if sys.stderr.isatty() else ""  # a bar may stand in the line
    try:
        # Whoever read may have ended by the same signal: `job | tee log`.
        with contextlib.suppress(OSError):
            os.write(1, f"{json.dumps(summary)}\n".encode())
        with contextlib.suppress(OSError):
            os.write(2, f"{start}stopped: {state}; the same command {rest}\n".encode())
        temporary.end()
    finally:
        os._exit(128 + number)
