"""Numba's cache of a function's programs, which several processes may fill at the same time.

Numba chooses the name of a program's file by the index, writes the index and then the file. Two processes
that do so at once would choose the same name for different programs, and one would be run for the other.
The index tells models of CPU apart by itself: its keys have the CPU's name and features.
"""

import contextlib
import fcntl
import os
import pathlib

from numba.core import caching


class FunctionCache(caching.FunctionCache):
    """Cache of a function in which one process saves at a time; the others wait."""

    def save_overload(self, sig: tuple, data: object) -> None:
        """Save the program of a signature; where the file system has no locks, without one."""
        with contextlib.ExitStack() as held:
            with contextlib.suppress(OSError):
                path = pathlib.Path(self.cache_path) / "lock"
                descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
                held.callback(os.close, descriptor)
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            super().save_overload(sig, data)
