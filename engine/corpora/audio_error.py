"""Error of a recording that can't be used."""

from isogloss.engine.runtime.refusal import Refusal


class AudioError(Refusal):
    """A recording that can't be used; the message holds its name, the rule, the remedy."""
