"""Meanings of the terms of the control job, and what must be read with its results."""

CAUTIONS = (
    "Overlap in sound grows with the number of words, as SeqSim grows with the number of frames.",
    "No removal proves the absence of sound cues: prosody, voice and pauses stay.",
    "A regression is linear and fitted on cells off the diagonal; translations lie outside their range.",
    "Recordings of one speaker per language can't tell the language from the speaker.",
)

TERMS = {
    "Queries only": "Only queries are removed; all candidates stay, so chance stays 1/n.",
    "Both sides": "Queries and candidates are removed, as in Shim et al. (2025); with fewer candidates R@1 "
    "rises by itself.",
    "E_m": "Exact expectation of R@1 of the full set among m candidates: what `both sides` must be compared "
    "with.",
    "Random removal": "Band of R@1 in which 95% of random removals of as many sentences lie.",
    "Sound": "Overlap of the sentences' phones, a twin of SeqSim: the mean over phones of each word's best "
    "similarity, harmonic mean of both directions.",
    "Meaning": "Cosine of the two texts in a sentence encoder.",
    "Length": "-|log(frames of a / frames of b)|.",
    "Weight": "Standardised coefficient of a factor, off the diagonal, without row and column means (hubs).",
    "Advantage": "Overlap with the translation minus the largest with another sentence: where it isn't above "
    "0, sound alone can't have found the answer.",
}
