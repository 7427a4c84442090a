"""The rules for words.parquet."""

import numpy as np
import pandas as pd
import pytest

from isogloss.engine.activations import activation_store
from isogloss.engine.interpretation import aligned_words


@pytest.fixture
def stores(spoken):
    return {code: activation_store.open_store(spoken / "store", code) for code in ("aa", "bb", "cc")}


@pytest.fixture
def table(spoken):
    return pd.read_parquet(spoken / "words" / "words.parquet")


def read(tmp_path, table, stores):
    table.to_parquet(tmp_path / "words.parquet")
    return aligned_words.read(tmp_path, stores)


def test_words_with_frames_in_order(tmp_path, table, stores):
    shuffled = table.sample(frac=1, random_state=0)
    found = read(tmp_path, shuffled, stores)
    assert set(found) == {"aa", "bb", "cc"}
    mine = table[(table.language == "bb") & (table.utterance == "s3.0")]
    words = found["bb"].utterances["s3.0"]
    kept = mine[~mine["empty"]]
    assert words.text == tuple(kept.word)
    assert words.index == tuple(kept.word_index)
    assert words.empty == int(mine["empty"].sum())
    np.testing.assert_array_equal(words.frames, kept[["first_frame", "last_frame"]])
    np.testing.assert_array_equal(words.centre, kept.centre_frame)
    assert len(words) == len(kept)
    assert sum(words.empty for words in found["aa"].utterances.values()) > 0


def test_frames_of_words_and_of_none():
    frames, centre = np.int32([[1, 2], [5, 5]]), np.int32([1, 5])
    own = {"index": (0, 2), "text": ("a", "b"), "frames": frames, "centre": centre}
    words = aligned_words.Words(**own, seconds=np.zeros((2, 2)), empty=1, truncated=False)
    np.testing.assert_array_equal(words.of_frames(7, 9), [9, 0, 0, 9, 9, 1, 9])


def test_digest_is_of_the_words(tmp_path, table, stores):
    once = read(tmp_path, table, stores)
    table.loc[table.index[0], "word"] = "other"
    again = read(tmp_path, table, stores)
    assert once["aa"].digest != again["aa"].digest
    assert once["bb"].digest == again["bb"].digest


def test_a_language_none_of_which_could_be_aligned(tmp_path, table, stores):
    problem = {"language": ["bb"], "utterance": ["s2.0"], "problem": ["transcription is empty"]}
    pd.DataFrame(problem).to_parquet(tmp_path / "utterances.parquet")
    found = read(tmp_path, table[table.language != "bb"], stores)
    assert (found["bb"].utterances, found["bb"].problems) == ({}, {"s2.0": "transcription is empty"})
    assert len(found["aa"].utterances) == 7
    with pytest.raises(ValueError, match="has no words of cc; it has aa"):
        read(tmp_path, table[table.language == "aa"], stores)


def test_words_of_an_utterance_without_frames_are_ignored(tmp_path, table, stores):
    names = list(stores["aa"].names)
    stores["aa"].frames[names.index("s3.0")] = 0
    found = read(tmp_path, table, stores)
    assert set(found["aa"].utterances) == {*names} - {"s3.0"}


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"utterance": "s9.0"}, "words of other utterances than .*'s9.0'"),
        ({"sentence": "s4"}, "words of other utterances than"),
        ({"first_frame": -1}, r"aa s3\.0: a word's frames must lie in \[0, "),
        ({"last_frame": 100}, "those of the store"),
        ({"first_frame": 90, "last_frame": 89}, "must lie in"),
        ({"centre_frame": 99}, "one of its frames"),
        ({"last_frame": "first_frame"}, "without sharing a frame"),  # of the next word
    ],
)
def test_words_that_cannot_be_are_refused(tmp_path, table, stores, values, words):
    rows = table.index[(table.language == "aa") & (table.utterance == "s3.0") & ~table["empty"]]
    table.loc[rows[0], list(values)] = [table.loc[rows[1], v] if v in table else v for v in values.values()]
    with pytest.raises(ValueError, match=words):
        read(tmp_path, table, stores)


def test_other_files_are_refused(tmp_path, table, stores):
    with pytest.raises(ValueError, match="there are no words; run isogloss"):
        aligned_words.read(tmp_path, stores)
    with pytest.raises(ValueError, match="lacks centre_frame, empty"):
        read(tmp_path, table.drop(columns=["centre_frame", "empty"]), stores)
    with pytest.raises(ValueError, match="has no words of bb; it has aa, cc"):
        read(tmp_path, table[table.language != "bb"], stores)
