"""Refusal: bad input or bad options, found before any compute is spent.

Jobs end with its message alone and exit code 2. Every other exception is a fault of the program, shown with a
traceback.
"""


class Refusal(ValueError):
    """Bad input: the message names the file or option, the rule and the remedy."""
