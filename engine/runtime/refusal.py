"""Exceptions that users cause: bad input or options, a disk that can't be written to, a bucket out of reach.

A job then prints only the message and exits with code 2, or with 1 if another try may succeed. Every other
exception is a fault of the program and is shown with a traceback.
"""


class Refusal(ValueError):
    """Bad input: the message names the file or option, the rule and the remedy."""


def install(extra: str) -> str:
    """Remedy where packages of an extra are missing, for the message of a Refusal."""
    return f"run `pip install -e '.[{extra}]'` in isogloss's folder"


class WriteError(OSError):
    """Results can't be written, as on a full disk; the message names the file, what was written is kept."""


class UnfinishedError(RuntimeError):
    """A process that a job started died, and starting it again may help; the message names it and its log.

    The job prints only the message and exits with code 1.
    """


class UnreachableError(OSError):
    """A bucket doesn't answer any more; what was written is kept, and a later run may succeed."""
