"""Encoder states: made by the extract job, stored, read back. For notebooks: `encode`."""

from isogloss.engine.runtime.public_names import on_demand

__getattr__, __dir__ = on_demand(__name__, {"encode": f"{__name__}.labelled_states"})
