"""Log lines that carry job, shard and host, on stderr and with --log_dir in a file too."""

import logging
import pathlib
import socket

from absl import logging as absl_logging

from isogloss.engine.runtime import atomic_write, options
from isogloss.engine.runtime.options import JobConfig


class Lines(absl_logging.PythonFormatter):
    """Format of absl's lines, with the process named before the message."""

    def __init__(self, process: str) -> None:
        """`process` is as `process_name` gives it."""
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """One line: level, time, thread, place in the source, process, message."""
        place, _, message = super().format(record).partition("] ")
        return f"{place} {self._process}] {message}"


def process_name(job: str, config: JobConfig) -> str:
    """Name of this process in logs: "extract-3@node07" is shard 3 of an extraction."""
    shard = f"-{getattr(config, 'shard_index', 0)}" if getattr(config, "num_shards", 1) > 1 else ""
    return f"{job}{shard}@{socket.gethostname()}"


def folder(given: str) -> pathlib.Path | None:
    """Folder that --log_dir names; None if it is "".

    Raises:
      Refusal: it isn't on a file system.
    """
    return options.local_path("--log_dir", given) if given else None


def begin(job: str, config: JobConfig, folder: pathlib.Path | None) -> None:
    """Name the process in every line of the log, and write the log into a folder too, if there is one."""
    process = process_name(job, config)
    absl_logging.get_absl_handler().setFormatter(Lines(process))
    if folder:
        atomic_write.make_folder(folder)
        handler = logging.FileHandler(folder / f"{process}.log", encoding="utf-8")
        handler.setFormatter(Lines(process))
        logging.getLogger().addHandler(handler)
