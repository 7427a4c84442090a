"""engine.extract divided: what each of 16 processes looks at in a corpus of 102 languages."""

import io
import tarfile

import pytest
from hub_stand_in import wav

from isogloss.engine.activations import extract, store_languages
from isogloss.engine.grid import grid
from isogloss.engine.runtime import objects, place
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.tallies import store_status
from isogloss.engine.whisper import encoder_model

LANGUAGES, SENTENCES, SHARDS = 102, 3, 16
ORIGIN = {"model": "tiny", "weights_sha256": "ab", "settings": {"dtype": "float16"}}
SOUND = wav(3200)
CODES = [f"l{number:03}" for number in range(LANGUAGES)]


def manifest(folder):
    lines = ["language\tsentence\taudio"]
    for code in CODES:
        for sentence in range(SENTENCES):
            (folder / f"{code}-{sentence}.wav").write_bytes(SOUND)
            lines.append(f"{code}\t{sentence}\t{code}-{sentence}.wav")
    (folder / "list.tsv").write_text("\n".join(lines) + "\n")
    return f"manifest:{folder}/list.tsv"


def fleurs(folder):
    for code in CODES:
        (folder / code / "audio").mkdir(parents=True)
        rows = [f"{n}\t{n}.wav\tRaw\traw\tr a w\t3200\tMALE" for n in range(SENTENCES)]
        (folder / code / "test.tsv").write_text("\n".join(rows) + "\n")
        with tarfile.open(folder / code / "audio" / "test.tar.gz", "w:gz", compresslevel=1) as archive:
            for n in range(SENTENCES):
                member = tarfile.TarInfo(f"test/{n}.wav")
                member.size = len(SOUND)
                archive.addfile(member, io.BytesIO(SOUND))
    return f"fleurs-dir:{folder}"


@pytest.mark.parametrize("corpus", [manifest, fleurs])
def test_a_process_looks_at_recordings_of_its_own_languages_only(
    tmp_path, monkeypatch, model_folder, looked_at, corpus
):
    """Of 306 recordings a process sees those of 6 to 8 languages: its share, and what a cut divides."""
    monkeypatch.setattr(encoder_model.WhisperEncoder, "cost", lambda *given: {"estimated_seconds": 0.0})
    spec = corpus(tmp_path)
    times = dict.fromkeys(CODES, 0)
    for index in range(SHARDS):
        looked_at.clear()
        config = extract.ExtractConfig(
            corpus=spec,
            model=str(model_folder),
            store=tmp_path / "store",
            num_shards=SHARDS,
            shard_index=index,
            dry_run=True,
        )
        plan = extract.run(config).plan
        assert plan["utterances"] in (19, 20)  # of 306 / 16
        own = {code for code, _ in looked_at}
        assert len(own) <= LANGUAGES // SHARDS + 2
        # One look at the size; one opening for the fingerprint, one for the header. A dry run opens those of
        # its share twice more, to decode them and to ask for their format.
        assert sum(how == "stat" for _, how in looked_at) == len(own) * SENTENCES
        assert sum(how == "open" for _, how in looked_at) == 2 * (len(own) * SENTENCES + plan["utterances"])
        if corpus is fleurs and index == 0:  # no archive of another language is unpacked
            assert {path.parts[-3] for path in tmp_path.glob("*/audio/test")} == own
        for code in own:
            times[code] += 1
    assert set(times.values()) == {1, 2}


def test_a_language_that_nobody_has_begun_is_counted_and_not_left_out_of_a_grid(tmp_path, extract_config):
    """One of two shards makes "aa" and half of "bb"; "cc" is the other's."""
    store = tmp_path / "store"
    config = extract_config(store=store, num_shards=2, shard_index=0)
    assert extract.run(config).done == 10
    assert sorted(path.name for path in store.iterdir()) == ["aa.zarr", "bb.zarr", "languages"]
    assert store_languages.planned(store) == {"aa": 7, "bb": 7, "cc": 6}
    tally = store_status.tally(store)
    assert (tally.count.done, tally.count.total) == (10, 20)
    assert tally.parts["language"]["cc"].left == 6
    made = grid.GridConfig(store=store, grid=tmp_path / "grid.zarr")
    with pytest.raises(
        Refusal, match=f"no process of extract has begun with cc, or .*{store}/languages/cc.json"
    ):
        grid.run(made)
    with pytest.raises(
        Refusal, match=r"run the other shards of extract; if a language was removed on purpose"
    ):
        store_languages.every(store)  # of a job without --languages
    assert store_languages.codes(store) == ("aa", "bb", "cc")
    (store / "languages" / "cc.json").unlink()
    assert [*store_languages.every(store)] == ["aa", "bb"]


def test_a_share_is_refused_that_another_share_of_the_run_would_be(tmp_path, speech, model_folder):
    """The first of two shards has no recording of "cc", which is there with another number format."""
    store = tmp_path / "store"
    given = {"corpus": f"manifest:{speech}", "model": str(model_folder), "store": store}
    assert extract.run(extract.ExtractConfig(**given, languages=("cc",))).done == 6
    before = sorted(store.rglob("*"))
    with pytest.raises(Refusal, match=r"cc\.zarr: made from another model or other settings"):
        extract.run(extract.ExtractConfig(**given, dtype="float32", num_shards=2, shard_index=0))
    assert sorted(store.rglob("*")) == before


@pytest.mark.parametrize("where", ["folder", "bucket"])
def test_processes_that_plan_at_the_same_time_lose_no_language(tmp_path, monkeypatch, request, where):
    """Each writes after the other has read."""
    root = tmp_path
    if where == "bucket":
        root = place.parse(f"{request.getfixturevalue('s3').bucket()}/store")
    real, others = objects.write_new, [{"bb": 2}, {"cc": 3}, {"aa": 1, "dd": 4}]

    def write(target, content):
        if others:
            store_languages.plan(root, others.pop(), ORIGIN)
        return real(target, content)

    monkeypatch.setattr(objects, "write_new", write)
    store_languages.plan(root, {"aa": 1}, ORIGIN)
    assert store_languages.planned(root) == {"aa": 1, "bb": 2, "cc": 3, "dd": 4}


@pytest.mark.parametrize("where", ["folder", "bucket"])
def test_of_two_models_that_begin_at_the_same_moment_one_is_refused(tmp_path, monkeypatch, request, where):
    """The second looks at an empty store, and the first is faster with the second of three languages."""
    root = tmp_path
    if where == "bucket":
        root = place.parse(f"{request.getfixturevalue('s3').bucket()}/store")
    real, first = objects.write_new, [{"bb": 2, "dd": 4}]

    def write(target, content):
        if first:
            store_languages.plan(root, first.pop(), ORIGIN)
        return real(target, content)

    monkeypatch.setattr(objects, "write_new", write)
    other = {**ORIGIN, "model": "base", "weights_sha256": "cd"}
    sizes = {"aa": 1, "bb": 2, "cc": 3}
    words = r"languages/bb\.json: that language is to be stored .*\n  model: stored tiny, asked for base"
    with pytest.raises(Refusal, match=words):
        store_languages.plan(root, sizes, other)
    assert store_languages.planned(root) == {"bb": 2, "dd": 4}  # nothing of the one refused
    with pytest.raises(Refusal, match=words):
        store_languages.check(root, sizes, other)
    store_languages.plan(root, sizes, other, stored=["bb"])  # whose store is of that model
    assert store_languages.planned(root) == {"aa": 1, "bb": 2, "cc": 3, "dd": 4}


def test_extract_refuses_languages_that_another_run_is_to_store(tmp_path, speech, model_folder):
    given = {"corpus": f"manifest:{speech}", "model": str(model_folder), "store": tmp_path / "store"}
    extract.run(extract.ExtractConfig(**given, num_shards=2, shard_index=0))
    before = sorted((tmp_path / "store").rglob("*"))
    for dry_run in (True, False):
        other = extract.ExtractConfig(**given, languages=("cc",), dtype="float32", dry_run=dry_run)
        with pytest.raises(
            Refusal, match=r"languages/cc\.json: .*\n  settings\.dtype: stored float16, asked for float32"
        ):
            extract.run(other)
    assert sorted((tmp_path / "store").rglob("*")) == before


def test_a_file_is_written_once_on_a_disk_without_hard_links_too(tmp_path, monkeypatch):
    def link(*given):
        raise PermissionError(1, "no links here")

    for name in ("a", "b"):
        assert objects.write_new(tmp_path / name, b"first")
        assert not objects.write_new(tmp_path / name, b"second")
        assert (tmp_path / name).read_bytes() == b"first"
        monkeypatch.setattr("os.link", link)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
