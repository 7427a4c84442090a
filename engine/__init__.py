"""Everything between a recording on disk and a kernel, and between a kernel and a table.

For notebooks: `encode` gives the encoder states of recordings, `compare` the scores of states, and
`retrieval_figures` tells how well scores retrieve.
"""

from isogloss.engine.runtime.public_names import on_demand

__getattr__ = on_demand(
    __name__,
    {
        "encode": "isogloss.engine.activations.labelled_states",
        "compare": "isogloss.engine.retrieval.comparison",
        "retrieval_figures": "isogloss.engine.retrieval.matrix_figures",
    },
)
