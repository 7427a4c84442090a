"""Ranks, R@k, corrections, contrasts, intervals and tests of score matrices.

For notebooks: `retrieval_figures`.
"""

from isogloss.engine.runtime.public_names import on_demand

__getattr__, __dir__ = on_demand(
    __name__,
    {"retrieval_figures": f"{__name__}.matrix_figures"},
)
