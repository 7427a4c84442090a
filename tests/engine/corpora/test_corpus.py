"""Values of `--corpus`."""

import pathlib

import pytest

from isogloss.engine.corpora import corpus, fleurs_dir
from isogloss.engine.corpora.presets import FLEURS_COMMIT as REVISION


@pytest.mark.parametrize("split", ["train", "dev", "test"])
def test_fleurs(split):
    read = corpus.open_corpus(f"fleurs:{split}")
    assert isinstance(read, corpus.Corpus)
    assert read.description == f"fleurs:{split}@{REVISION}"
    assert len(read.languages()) == 102
    with pytest.raises(ValueError, match=r"fleurs has no language 'cmn_hans'\. Did you mean cmn_hans_cn"):
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
    monkeypatch.setattr(
        fleurs_dir, "FleursFolder", lambda *given: opened.append(given) or corpus.open_corpus("fleurs")
    )
    corpus.open_corpus(f"fleurs-dir:{spec}")
    assert opened == [(pathlib.Path(folder), split)]


def test_a_new_corpus_is_a_reader_and_a_line(monkeypatch):
    """Help and messages name it, too."""
    line = corpus.Kind(
        name="toy",
        forms=("toy:N",),
        meaning="toys",
        open=lambda rest: corpus.open_corpus("fleurs:dev") if rest else None,
    )
    monkeypatch.setattr(corpus, "KINDS", (*corpus.KINDS, line))
    assert corpus.open_corpus("toy:3").description.startswith("fleurs:dev")
    assert "toy:N" in corpus.forms()
    with pytest.raises(ValueError, match=r"--corpus=toy must be one of: fleurs, .*, toy:N"):
        corpus.open_corpus("toy")


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
    layouts = fleurs_dir._PARQUET
    assert all(name in str(caught.value) for name in fleurs_dir.patterns(layouts, "LANGUAGE", "test"))
