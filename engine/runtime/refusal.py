"""Exceptions that users cause: bad input or options, and a disk that can't be written to.

A job then prints only the message and exits with code 2. Every other exception is a fault of the program and
is shown with a traceback.
"""


class Refusal(ValueError):
    """Bad input: the message names the file or option, the rule and the remedy."""


class WriteError(OSError):
    """Results can't be written, as on a full disk; the message names the file, what was written is kept."""
