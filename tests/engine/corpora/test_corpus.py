"""Values of `--corpus`."""

import pathlib

import pytest

from isogloss.engine.corpora import corpus, fleurs_parquet
from isogloss.engine.corpora.fleurs_hub import REVISION


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_fleurs(split):
    read = corpus.open_corpus(f"fleurs:{split}")
    assert isinstance(read, corpus.Corpus)
    assert read.description == f"fleurs:{split}@{REVISION}"
    assert len(read.languages()) == 102
    with pytest.raises(ValueError, match=r"FLEURS has no language 'cmn_hans'\. Did you mean cmn_hans_cn"):
        read.listing("cmn_hans")


def test_other_spellings():
    assert corpus.open_corpus("fleurs").description == f"fleurs:test@{REVISION}"
    assert corpus.open_corpus("fleurs:validation").description == f"fleurs:dev@{REVISION}"


@pytest.mark.parametrize(
    "spec",
    ["", "fleur", "fleurs:", "fleurs:tests", "fleurs-dir", "fleurs-dir:", "manifest", "manifest:", "a.tsv"],
)
def test_refuses_other_words(spec):
    with pytest.raises(ValueError, match=r"must be one of: fleurs, .*manifest:FILE\.tsv\. SPLIT is one of"):
        corpus.open_corpus(spec)


@pytest.mark.parametrize(
    ("spec", "folder", "split"),
    [
        ("a", "a", "test"),
        ("a:train", "a", "train"),
        ("a:b", "a:b", "test"),
        ("a:b:dev", "a:b", "dev"),
        ("test", "test", "test"),
        ("a:test:test", "a:test", "test"),
        (":dev", ":dev", "test"),
        ("~/a:validation", str(pathlib.Path.home() / "a"), "dev"),
    ],
)
def test_a_path_may_hold_colons(monkeypatch, spec, folder, split):
    opened = []
    monkeypatch.setattr(corpus, "_open_folder", lambda *given: opened.append(given))
    corpus.open_corpus.__wrapped__(f"fleurs-dir:{spec}")  # without its run-time types
    assert opened == [(pathlib.Path(folder), split)]


@pytest.mark.parametrize(
    "files", [[], ["data/en_us/test.tsv"], ["en_us/train.tsv"], ["en_us/train-0.parquet"]]
)
def test_a_folder_of_neither_form(tmp_path, files):
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    with pytest.raises(
        ValueError, match=r"holds no test split of FLEURS: neither LANGUAGE/test\.tsv nor"
    ) as caught:
        corpus.open_corpus(f"fleurs-dir:{tmp_path}")
    assert all(name in str(caught.value) for name in fleurs_parquet.patterns("LANGUAGE", "test"))
