"""Exceptions that aren't faults of the program: bad input or options, and disks, buckets and hubs that fail.

A job then prints only the message and exits with code 2, or with 1 if another try may succeed. Every other
exception is shown with a traceback.
"""


class Refusal(ValueError):
    """Bad input: the message names the file or option, the rule and the remedy."""


def install(extra: str) -> str:
    """Remedy where packages of an extra are missing, for the message of a Refusal."""
    return f"run `pip install -e '.[{extra}]'` in isogloss's folder"


class UnreadableError(ValueError):
    """Something stored is damaged, or the disk fails while it is read; its unit fails, and a job goes on."""


class WriteError(OSError):
    """Results can't be written until a person helps, as on a full disk; what was written is kept."""


class UnfinishedError(RuntimeError):
    """A process that a job started died, and starting it again may help; the message names it and its log.

    The job prints only the message and exits with code 1.
    """


class UnreachableError(Exception):
    """A disk, a bucket or a hub fails for now; what was written is kept, and a later run may succeed.

    No OSError, because one of those may be a single recording that can't be read. The job prints only the
    message and exits with code 1.
    """
