"""The grid and report jobs: score matrices, ranks, tables, heatmaps and the page.

For notebooks: `compare` and `retrieval_figures`.
"""

from isogloss.engine.runtime.public_names import on_demand

__getattr__, __dir__ = on_demand(
    __name__,
    {"compare": f"{__name__}.comparison", "retrieval_figures": f"{__name__}.matrix_figures"},
)
