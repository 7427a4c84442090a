"""A corpus that changes after its extraction: only what is new is made, and the store is as a new one."""

import dataclasses
import shutil

import numpy as np
import pytest
import soundfile
import xarray as xr

from isogloss.engine.activations import activation_store, extract


class Corpus:
    """Manifest of a copy of the recordings whose lines a test may change."""

    def __init__(self, speech, folder):
        shutil.copytree(speech.parent, folder)
        self.path = folder / "speech.tsv"
        self.header, *self.lines = speech.read_text().splitlines()

    def write(self, keep=lambda language, sentence: True, order=lambda lines: lines):
        lines = [line for line in order(self.lines) if keep(*line.split("\t")[:2])]
        self.path.write_text("\n".join([self.header, *lines]) + "\n")


@pytest.fixture
def spoken_corpus(speech, tmp_path):
    return Corpus(speech, tmp_path / "speech")


@pytest.fixture
def config(tmp_path, spoken_corpus, model_folder):
    return extract.ExtractConfig(
        corpus=f"manifest:{spoken_corpus.path}",
        model=str(model_folder),
        store=tmp_path / "store",
        states=("0", "final"),
    )


@pytest.fixture(scope="module")
def fresh(tmp_path_factory, extract_config):
    """Stores of the whole corpus, made in one go."""
    config = extract_config(store=tmp_path_factory.mktemp("fresh"), states=("0", "final"))
    extract.run(config)
    return config.store


def assert_alike(store, fresh, language):
    """Utterances, their labels and the bytes of their shards, in the order of the corpus."""
    grown, made = (activation_store.open_store(root, language) for root in (store, fresh))
    for name in made.columns:
        np.testing.assert_array_equal(grown.coordinate(name), made.coordinate(name), err_msg=name)
    assert grown.attributes["corpus_sha256"] == made.attributes["corpus_sha256"]
    for utterance in range(len(made.names)):
        assert grown.shard(utterance).read_bytes() == made.shard(utterance).read_bytes()


def test_a_language_and_sentences_more(config, spoken_corpus, fresh, caplog, written):
    spoken_corpus.write(lambda language, sentence: language != "cc" and sentence not in ("s0", "s3"))
    assert extract.run(config).done == 10
    before = written(config.store, "*/states/c.*")
    spoken_corpus.write()
    text = "2 sentences more: s0, s3"
    dry = extract.run(dataclasses.replace(config, dry_run=True))
    assert (dry.plan["utterances"], dry.changes) == (10, {"aa": text, "bb": text})
    assert written(config.store, "*/states/c.*") == before
    summary = extract.run(config)
    assert (summary.done, summary.skipped, summary.changes) == (10, 10, {"aa": text, "bb": text})
    assert f"aa: since its store was made, {config.corpus} has {text}" in caplog.text
    assert before.items() <= written(config.store, "*/states/c.*").items()
    for language in ("aa", "bb", "cc"):
        assert_alike(config.store, fresh, language)
    dataset = xr.open_zarr(config.store / "aa.zarr")
    assert dataset.sentence.values.tolist() == ["s1", "s2", "s4", "s5", "s6", "s0", "s3"]
    assert dataset.place.values.tolist() == [1, 2, 4, 5, 6, 0, 3]
    assert dataset.sortby("place").equals(xr.open_zarr(fresh / "aa.zarr"))
    assert extract.run(config).changes == {}


def test_a_sentence_fewer_keeps_its_states_until_it_comes_back(config, spoken_corpus, fresh):
    spoken_corpus.write()
    extract.run(config)
    spoken_corpus.write(lambda language, sentence: (language, sentence) != ("bb", "s2"))
    summary = extract.run(config)
    assert (summary.done, summary.changes) == (0, {"bb": "1 sentence fewer: s2"})
    store = activation_store.open_store(config.store, "bb")
    assert store.names == ("s0.0", "s1.0", "s3.0", "s4.0", "s5.0", "s6.0")
    assert store.present().tolist() == [True] * 6
    np.testing.assert_array_equal(
        store.read("final", [2])[0], activation_store.open_store(fresh, "bb").read("final", [3])[0]
    )
    assert xr.open_zarr(store.path).place.values.tolist() == [0, 1, -1, 2, 3, 4, 5]
    spoken_corpus.write()
    summary = extract.run(config)
    assert (summary.done, summary.changes) == (0, {"bb": "1 sentence more: s2"})
    assert_alike(config.store, fresh, "bb")


def test_lines_in_another_order_and_other_texts_cost_nothing(config, spoken_corpus):
    spoken_corpus.write()
    extract.run(config)
    spoken_corpus.lines = [line.replace("sentence 3 in aa", "corrected") for line in spoken_corpus.lines]
    spoken_corpus.write(order=lambda lines: lines[::-1])
    summary = extract.run(config)
    assert (summary.done, summary.changes) == (0, {})
    store = activation_store.open_store(config.store, "aa")
    assert store.coordinate("sentence").tolist() == [f"s{i}" for i in range(6, -1, -1)]
    assert store.coordinate("transcription")[3] == "corrected"


def test_a_changed_recording_is_refused_or_made_again(config, spoken_corpus, fresh, tmp_path):
    """The other recording has the same name, format and length."""
    spoken_corpus.write()
    extract.run(config)
    file = spoken_corpus.path.with_name("aa-2.wav")
    wave, rate = soundfile.read(file)
    soundfile.write(file, wave[::-1], rate)
    with pytest.raises(
        ValueError, match=r"aa\.zarr: 1 recording changed: s2\.0, since .* \(aa-2\.wav\).*--redo_changed"
    ):
        extract.run(config)
    assert_alike(config.store, fresh, "aa")
    again = dataclasses.replace(config, redo_changed=True)
    summary = extract.run(again)
    assert (summary.done, summary.skipped, summary.changes) == (1, 19, {"aa": "1 recording changed: s2"})
    assert extract.run(config).done == 0
    anew = dataclasses.replace(config, store=tmp_path / "anew")
    extract.run(anew)
    assert_alike(config.store, anew.store, "aa")


def test_a_repaired_recording_is_made_without_asking(config, spoken_corpus, fresh):
    spoken_corpus.write()
    file = spoken_corpus.path.with_name("aa-2.wav")
    whole = file.read_bytes()
    file.write_bytes(whole[:3000])
    assert list(extract.run(config).failed) == ["aa s2.0"]
    file.write_bytes(whole)
    summary = extract.run(config)
    assert (summary.done, summary.failed, summary.changes) == (1, {}, {"aa": "1 recording changed: s2"})
    assert_alike(config.store, fresh, "aa")


def test_a_moved_recording_is_the_same(config, spoken_corpus):
    spoken_corpus.write()
    extract.run(config)
    shutil.move(spoken_corpus.path.with_name("aa-2.wav"), spoken_corpus.path.with_name("moved.wav"))
    spoken_corpus.lines = [line.replace("aa-2.wav", "moved.wav") for line in spoken_corpus.lines]
    spoken_corpus.write()
    assert extract.run(config).done == 0
    assert activation_store.open_store(config.store, "aa").coordinate("source")[2] == "moved.wav"


def test_another_corpus_is_refused(config, spoken_corpus, tmp_path):
    spoken_corpus.write()
    extract.run(config)
    other = tmp_path / "speech" / "other.tsv"
    other.write_text(
        spoken_corpus.path.read_text().replace("\ts", "\tt").replace("\ttentence\t", "\tsentence\t")
    )
    with pytest.raises(
        ValueError, match=r"manifest:other\.tsv has none of its 7 utterances \(s0\.0, \.\.\.\)"
    ):
        extract.run(dataclasses.replace(config, corpus=f"manifest:{other}"))


def test_shares_of_a_grown_corpus(config, spoken_corpus, fresh):
    """The first process grows all stores, and later ones find them grown."""
    spoken_corpus.write(lambda language, sentence: sentence != "s1")
    extract.run(config)
    spoken_corpus.write()
    shares = [dataclasses.replace(config, num_shards=2, shard_index=index) for index in (1, 0)]
    assert sum(extract.run(share).done for share in shares) == 3
    for language in ("aa", "bb", "cc"):
        assert_alike(config.store, fresh, language)


@pytest.mark.deep
def test_killed_while_it_grows(config, spoken_corpus, fresh, job, written):
    """A process that is killed with some of the new shards written, then the same command."""
    spoken_corpus.write(lambda language, sentence: language != "cc" and sentence not in ("s0", "s3"))
    extract.run(config)
    spoken_corpus.write()
    flags = ("corpus", "model", "store")
    command = job("extract", *(f"--{name}={getattr(config, name)}" for name in flags), "--states=0,final")

    def shards():
        return len(written(config.store, "*/states/c.*"))

    assert command.killed_in(config.store, lambda: shards() >= 13, late=lambda: shards() == 20)
    assert 13 <= shards() < 20
    assert extract.run(config).failed == {}
    for language in ("aa", "bb", "cc"):
        assert_alike(config.store, fresh, language)


def test_a_store_of_format_2_grows(config, spoken_corpus, fresh, monkeypatch):
    """It knows no fingerprints: a recording of the same name and length is the same."""

    def older(*args):
        return {k: v for k, v in columns(*args).items() if k not in ("recording", "place")}

    columns = activation_store.columns
    spoken_corpus.write(lambda language, sentence: sentence != "s1")
    with monkeypatch.context() as old:
        old.setattr(activation_store, "columns", older)
        old.setattr(activation_store, "FORMAT", 2)
        old.setattr(extract.json_values, "sha256", lambda described: described[0])
        old.setattr(
            extract.store_growth,
            "grow",
            lambda root, listing, *args, **kwargs: activation_store.open_store(root, listing.language),
        )
        assert extract.run(config).done == 17
    before = sorted(config.store.rglob("*"))
    assert extract.run(config).done == 0
    assert sorted(config.store.rglob("*")) == before
    spoken_corpus.write()
    assert extract.run(config).changes["aa"] == "1 sentence more: s1"
    for language in ("aa", "bb", "cc"):
        assert_alike(config.store, fresh, language)
    assert activation_store.open_store(config.store, "aa").attributes["format"] == 3
