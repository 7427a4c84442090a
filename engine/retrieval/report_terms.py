"""Terms of a report, each with its meaning in a sentence or two, shown where the term stands."""

from isogloss.kernels import bootstrap

RETRIEVAL = (
    "A spoken sentence in one language is the query; the same sentences, spoken in another, are the "
    "candidates. <b>R@1</b> is how often the right one comes first."
)
"""Markup with which pages of retrieval say what they show."""

CORRECTIONS = {
    "none": ("as scored", "Scores as the measure gives them."),
    "csls": (
        "CSLS",
        "Twice the score, minus the mean of the 10 largest scores of its query and of its candidate. "
        "It takes off what makes a candidate near to everything (Lample et al. 2018). It is transductive: it "
        "looks at the other queries of the same test.",
    ),
    "centred": (
        "centred",
        "The score minus the mean of its query's scores and of its candidate's. It is transductive: it looks "
        "at the other queries of the same test.",
    ),
}
"""Label and meaning of each correction."""

FDR = {"bh": "Benjamini and Hochberg", "by": "Benjamini and Yekutieli, for any dependence"}
"""Names of the methods of --fdr."""

TERMS = {
    "asks": "The language of the query: one spoken sentence, for which its translation is sought.",
    "answers": "The language of the candidates: all spoken sentences that both languages have.",
    "R@1": "Share of queries whose translation comes first. A tie counts against it.",
    "R@5": "Share of queries whose translation is among the first five.",
    "MRR": "Mean reciprocal rank: the mean of 1 / rank of the translation. 1 if it always comes first.",
    "Mutual nearest": "Share of sentences that are each other's nearest neighbour, in both directions.",
    "Chance": "What guessing scores: R@1 of 1 / n.",
    "Duration alone": "Retrieval by the numbers of frames and nothing else. A state that doesn't "
    "exceed it may retrieve by length alone.",
    "Onset": "First state whose R@1 exceeds that of duration alone with q < 0.05, in a paired test; the "
    "family of this q is all comparisons with duration alone. Its "
    f"{bootstrap.CONFIDENCE:.0%} interval is over resampled sentences.",
    "q": "False discovery rate: if all cells with this q or less are called better than guessing, about this "
    "share of them is wrong. Its family: all pairs, directions, states, measures and corrections.",
    "95% interval": f"Percentile bootstrap over sentences, {bootstrap.RESAMPLES:,} resamples, the same for "
    "all states and measures of one n; Wilson's where none or all hit.",
    "Over sentences": "95% interval of the mean R@1 over pairs and directions, if other sentences had been "
    "read: sentences resampled by id.",
    "Over languages": "The same if other languages had been chosen: languages resampled, a pair counts as "
    "often as its two are drawn together.",
    "Hub": "The candidates that come first most often, right or wrong, by the ids of their sentences: the "
    "first, and of up to 66 pairs the next two if they answer more than one query.",
    "State": "An encoder state: 0 enters the first block, k leaves block k.",
    "final": "The output of the last block after the final LayerNorm, which the decoder reads.",
    "Best state": "The state of the highest R@1, mean of both directions.",
    "Held out": "R@1 at the state chosen by half of the sentences, judged on the other half: mean of 20 "
    "splits. It lacks the flattery of choosing and judging on the same sentences.",
    "Hours in Whisper": "Hours of transcribed speech in Whisper's training (Radford et al. 2022, figure 11). "
    "Speech with an English translation alone isn't counted, and large-v3 was trained on more.",
    "n": "Number of sentences that both languages have.",
}
"""Meaning by term; measures have theirs in their records."""
