"""End of a job that Ctrl-C or SIGTERM stops while its modules are still imported: nothing has begun.

From the first module of ours on; what the interpreter does before that can't be caught. `stopping` takes over
once the flags are defined.
"""

import os
import signal
import types


def watch() -> None:
    """Begin to listen for the signals."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)


def _stop(number: int, frame: types.FrameType | None) -> None:
    os.write(1, b'{"interrupted": true}\n')
    os.write(2, b"stopped: nothing had begun; run the same command again\n")
    os._exit(128 + number)
