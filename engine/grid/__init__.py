"""The grid job: score matrices of all pairs of languages, states and measures, stored.

For notebooks: `compare`.
"""

from isogloss.engine.runtime.public_names import on_demand

__getattr__, __dir__ = on_demand(__name__, {"compare": f"{__name__}.comparison"})
