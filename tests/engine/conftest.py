"""Word pairs of four small sentences whose matches are known, for the checks, figures and page of matches."""

import itertools
import types

import numpy as np
import pandas as pd
import pytest

from isogloss.engine import meaning, phones, word_checks

SENTENCES = {
    "s0": (["red", "dog", "runs"], ["rot", "hund", "rennt"]),
    "s1": (["the", "cat"], ["die", "katze"]),
    "s2": (["a", "big", "house", "here"], ["ein", "grosses", "haus", "hier"]),
    "s3": (["we"], ["wir"]),
}


class Letters(phones.Phones):
    """Phones that are letters; "katze" has none."""

    def __init__(self):
        pass

    def of(self, language, words):
        return {word: None if word == "katze" else tuple(word) for word in words}


def encoder():
    """One direction a concept, shared by the two languages, plus a bit of everything."""
    concept = {}
    for a, b in SENTENCES.values():
        for pair in zip(a, b, strict=True):
            concept |= dict.fromkeys(pair, len(set(concept.values())))
    return meaning.Encoder("concepts", lambda words: np.eye(10)[[concept[word] for word in words]] + 0.1)


def table(states=("0", "1"), *, diagonal=True):
    """Every word pair with the gap's rows; in state "1" the true ones match."""
    rows = []
    for state, (name, (a, b)) in itertools.product(states, SENTENCES.items()):
        for i, j in itertools.product(range(-1, len(a)), range(-1, len(b))):
            real = i >= 0 and j >= 0
            match = real and (i == j) == diagonal
            rows.append(
                {
                    **{
                        "language_a": "en",
                        "language_b": "de",
                        "state": state,
                        "query": name,
                        "candidate": name,
                    },
                    **{"utterance_a": f"{name}.0", "utterance_b": f"{name}.0", "gold": True},
                    **{"word_index_a": i, "word_index_b": j},
                    **{"word_a": a[i] if i >= 0 else "", "word_b": b[j] if j >= 0 else ""},
                    **{
                        "start_a": 0.5 * i,
                        "end_a": 0.5 * i + 0.4,
                        "start_b": 0.3 * j,
                        "end_b": 0.3 * j + 0.2,
                    },
                    **{"similarity": 0.5 if real else np.nan, "mutual": match and state == "1"},
                    **{"transport": 0.1, "transported": match, "share": 0.05},
                }
            )
    return pd.DataFrame(rows)


def check(pairs, **changes):
    return word_checks.check(pairs, **({"encoder": encoder(), "voices": Letters(), "seed": 3} | changes))


@pytest.fixture(scope="session")
def known():
    """Functions that make the word pairs, and check them with a stand-in encoder and letters for phones."""
    return types.SimpleNamespace(sentences=SENTENCES, table=table, check=check)


@pytest.fixture(scope="session")
def checked():
    """The word pairs, checked."""
    return check(table())
