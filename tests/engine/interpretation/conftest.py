"""Known word pairs with their answer, and the configuration of a run of interpret."""

import dataclasses
import itertools
import types

import numpy as np
import pandas as pd
import pytest

from isogloss.engine.interpretation import interpret, match_tests
from isogloss.engine.texts import meaning, phones

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
    vectors = np.eye(10) + 0.1
    return meaning.SentenceEncoder("concepts", lambda words: vectors[[concept[word] for word in words]])


def table(states=("0", "1"), *, diagonal=True):
    """Every word pair with the gap's rows; in state "1" the true ones match."""
    rows = []
    for state, (name, (a, b)) in itertools.product(states, SENTENCES.items()):
        for i, j in itertools.product(range(-1, len(a)), range(-1, len(b))):
            real = i >= 0 and j >= 0
            match = real and (i == j) == diagonal
            row = {"state": state, "query": name, "candidate": name, "word_index_a": i, "word_index_b": j}
            for side, spoken, word, step in (("a", a, i, 0.5), ("b", b, j, 0.3)):
                row[f"utterance_{side}"] = f"{name}.0"
                row[f"word_{side}"] = spoken[word] if word >= 0 else ""
                row[f"start_{side}"], row[f"end_{side}"] = step * word, step * word + step - 0.1
            row |= {"similarity": 0.5 if real else np.nan, "mutual": match and state == "1"}
            rows.append(row | {"transported": match})
    constant = {"language_a": "en", "language_b": "de", "gold": True, "transport": 0.1, "share": 0.05}
    return pd.DataFrame(rows).assign(**constant)


def check(pairs, **changes):
    return match_tests.check(pairs, **({"encoder": encoder(), "voices": Letters(), "seed": 3} | changes))


@pytest.fixture(scope="session")
def known():
    """Functions that make the word pairs, and check them with a stand-in encoder and letters for phones."""
    return types.SimpleNamespace(sentences=SENTENCES, table=table, check=check)


@pytest.fixture(scope="session")
def checked():
    """The word pairs, checked."""
    return check(table())


@pytest.fixture(scope="session")
def interpreting(spoken):
    """Function from OUT to the configuration of two pairs, the second against the grid's direction."""

    def configure(out):
        return interpret.InterpretConfig(
            store=spoken / "store", grid=spoken / "grid.zarr", words=spoken / "words", out=out,
            pairs=("aa-bb", "cc-aa"), states=(), epsilon=0.2,
            sentence_encoder="none", phones="none", pictures=0, )  # fmt: skip

    return configure


@pytest.fixture
def config(tmp_path, interpreting):
    return interpreting(tmp_path / "out")


@pytest.fixture
def one(config):
    """Configuration of a single unit."""
    return dataclasses.replace(config, pairs=("aa-bb",), states=("final",))
