"""Everything between a recording on disk and a kernel, and between a kernel and a table.

For notebooks there are three functions: encoder states of recordings, scores of states, and how well scores
retrieve. They need no store and no grid:

    from isogloss.engine import compare, encode, retrieval_figures

    english = encode(["en/pass.wav", "en/bye.wav"], model="openai/whisper-base")
    french = encode(["fr/pass.wav", "fr/bye.wav"], model="openai/whisper-base")
    states = english[0].sel(state="6")  # (frame, feature), 20 ms a frame

    scores = compare(english, french, measures=["seqsim", "dtw"])  # (state, a, b) of each measure
    similarity = float(compare(english[0], french[0]).seqsim.sel(state="6"))

    table = retrieval_figures(scores.seqsim)  # of any square matrix; cost=True if smaller is closer
    print(table.loc["6", ["recall_at_1", "ci_low", "ci_high"]])
"""

from isogloss.engine.runtime.public_names import on_demand

__getattr__, __dir__ = on_demand(
    __name__,
    {
        "encode": "isogloss.engine.activations.labelled_states",
        "compare": "isogloss.engine.grid.comparison",
        "retrieval_figures": "isogloss.engine.retrieval.matrix_figures",
    },
)
