"""Data sets of a hub on this machine: what is asked of it, how many bytes it sends, and once only."""

import errno
import json
import re

import hub_client
import pyarrow as pa
import pytest
from hub_stand_in import finish, table, wav

from isogloss.engine.corpora import audio, corpus, presets
from isogloss.engine.corpora.stored_files import HubFiles, StoredSource
from isogloss.engine.runtime.refusal import UnreachableError, WriteError

FLEURS = "mteb/fleurs"
ROWS, SAMPLES = 24, 60_000
PROGRAM = """
import sys, time
from isogloss.engine.corpora import audio, corpus
spec, columns, language, *decode = sys.argv[1:]
start = time.monotonic()
opened = corpus.open_corpus(spec, tuple(filter(None, columns.split(","))))
listing = opened.listing(language, "all")
print(opened.description, listing.sha256())
print(*(utterance.name for utterance in listing.utterances))
if decode != ["text"]:
    print(*(audio.samples(utterance.source) for utterance in listing.utterances))
if decode == ["decode"]:
    print(sum(len(audio.decode(utterance.source)) for utterance in listing.utterances))
"""


@pytest.fixture
def fleurs(hub):
    """FLEURS as on the hub: a card that names configurations, 16 bytes of text a row, 120 kB of audio."""
    sounds = [(f"{row:02}.wav", wav(SAMPLES + row)) for row in range(ROWS)]
    content = table(
        {
            "id": pa.array(range(ROWS), pa.int32()),
            "num_samples": pa.array([SAMPLES + row for row in range(ROWS)], pa.int32()),
            "transcription": [f"texte {row}" for row in range(ROWS)],
            "raw_transcription": [f"Texte {row}." for row in range(ROWS)],
            "gender": pa.array([row % 2 for row in range(ROWS)], pa.int64()),
        },
        sounds,
        labels={"gender": ["male", "female", "other"]},
    )
    names = ("fr_fr", "en_us")
    lines = [f"- config_name: {c}\n  data_files:\n  - split: test\n    path: {c}/test-*" for c in names]
    card = "---\nconfigs:\n" + "\n".join(lines) + "\n---\n"
    files = {f"{c}/test-00000-of-00001.parquet": content for c in names}
    hub.files[FLEURS] = {"README.md": card.encode(), **files}
    hub.commit = presets.FLEURS_COMMIT
    return hub


def test_a_listing_reads_no_audio_and_processes_download_a_file_once(fleurs, tmp_path):
    hub, audio_bytes = fleurs, ROWS * 2 * SAMPLES
    names = " ".join(f"{row}.0" for row in range(ROWS))
    lengths = " ".join(str(SAMPLES + row) for row in range(ROWS))
    first, _ = finish(hub.python(tmp_path, PROGRAM, "fleurs:test", "", "fr_fr"))
    assert first.splitlines()[1:] == [names, lengths]
    assert 0 < hub.sent() < audio_bytes / 10
    assert len(hub.asked) < 25
    del hub.asked[:]
    shards = [hub.python(tmp_path, PROGRAM, "fleurs:test", "", "fr_fr", "decode") for _ in range(2)]
    total = sum(SAMPLES + row for row in range(ROWS))
    assert [finish(shard)[0] for shard in shards] == [f"{first}{total}\n"] * 2
    assert hub.downloads() == [f"{hub.commit}/fr_fr/test-00000-of-00001.parquet"]
    assert not [
        path for _, path, _ in hub.asked if "/api/datasets/" in path
    ]  # the first process kept the rows
    del hub.asked[:]
    offline = {"HF_HUB_OFFLINE": "1"}
    again, _ = finish(hub.python(tmp_path, PROGRAM, "fleurs:test", "", "fr_fr", "decode", **offline))
    assert again == f"{first}{total}\n"
    _, errors = finish(hub.python(tmp_path, PROGRAM, "fleurs:test", "", "en_us", **offline), 1)
    assert re.search(r"not in the cache .*jobs\.fetch. with the same --corpus", errors)
    assert not hub.asked


def test_a_branch_is_pinned_and_kept_for_offline_runs(fleurs, tmp_path):
    """A data set by columns; the commit is in the description and in the listing's hash."""
    hub, commit = fleurs, fleurs.commit
    run = (PROGRAM, f"hub:{FLEURS}@main:test", "sentence=id,transcription=raw_transcription", "fr_fr", "text")
    found, _ = finish(hub.python(tmp_path, *run))
    assert found.startswith(f"hub:{FLEURS}@{commit}:test ")
    hub.commit = "f" * 40
    moved, _ = finish(hub.python(tmp_path, *run))
    assert moved.startswith(f"hub:{FLEURS}@{'f' * 40}:test ")
    assert moved.split()[1] != found.split()[1]
    del hub.asked[:]
    assert finish(hub.python(tmp_path, *run, HF_HUB_OFFLINE="1"))[0] == moved
    _, errors = finish(hub.python(tmp_path, *run[:-1], HF_HUB_OFFLINE="1"), 1)
    assert "fr_fr/test-00000-of-00001.parquet: not in the cache" in errors  # its audio, before any is decoded
    assert not hub.asked


ESTIMATE = """
import sys
from isogloss.engine.corpora import corpus, estimated_lengths
from isogloss.engine.time_axis import TimeAxis
listing = corpus.open_corpus(sys.argv[1], ("sentence=id", "samples=none")).listing("fr_fr", "all")
axis = TimeAxis(samples_per_frame=320, window_frames=1500)
found, guessed = estimated_lengths.lengths(listing, axis, estimate=True)
print(sum(found), len(found), guessed)
"""


def test_lengths_are_estimated_from_the_sizes_of_files_where_no_column_has_them(fleurs, tmp_path):
    """16 bits a sample and a few bytes of text, so the estimate is close; once fetched, they are exact."""
    total = sum(SAMPLES + row for row in range(ROWS))
    run = (ESTIMATE, f"hub:{FLEURS}:test")
    found, count, guessed = map(int, finish(fleurs.python(tmp_path, *run))[0].split())
    assert (count, guessed) == (ROWS, ROWS)
    assert found == pytest.approx(total, rel=0.02)
    assert not fleurs.downloads()
    assert 0 < fleurs.sent() < ROWS * 2 * SAMPLES / 10
    fetching = (PROGRAM, f"hub:{FLEURS}:test", "sentence=id,samples=none", "fr_fr", "decode")
    finish(fleurs.python(tmp_path, *fetching))
    assert finish(fleurs.python(tmp_path, *run))[0].split() == [str(total), str(ROWS), "0"]


@pytest.mark.deep
@pytest.mark.parametrize(("name", "option"), [("extract", "store"), ("transcribe", "out"), ("align", "out")])
def test_a_dry_run_fetches_no_audio(fleurs, tmp_path, reader, name, option):
    columns = "--columns=sentence=id,samples=none,transcription=transcription"
    flags = (columns, f"--model={reader}", f"--{option}={tmp_path}/made")
    run = (f"-m isogloss.jobs.{name}", f"--corpus=hub:{FLEURS}:test", *flags)
    output, errors = finish(fleurs.python(tmp_path, *run, "--dry_run"))
    plan = json.loads(output)["plan"]
    assert (plan["utterances"], plan["estimated_lengths"]) == (2 * ROWS, 2 * ROWS)
    assert "the lengths of 48 recordings are estimated" in errors
    assert not fleurs.downloads()


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError("Consistency check failed: file should be of size 9 but has size 4"), UnreachableError),
        (OSError(errno.ESTALE, "Stale file handle"), UnreachableError),
        (OSError(errno.ENOSPC, "No space left on device"), WriteError),
    ],
)
def test_a_download_that_fails_is_no_fault_of_its_recording(tmp_path, monkeypatch, error, kind):
    """A full disk neither: each recording would be reported as broken."""

    def fail(*_, **__):
        raise error

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.hf_hub_download", fail)
    files = HubFiles("o/speech", "a" * 40)
    source = StoredSource(name="a.wav", size=None, promised=None, files=files, file="a.wav")
    with pytest.raises(kind, match=r"o/speech: a\.wav: the .*the same command"):
        audio.samples(source)


def test_hub_out_of_reach(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", str(tmp_path / "assets"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    with hub_client.offline():
        with pytest.raises(ValueError, match=r"mteb/fleurs.*not in the cache.*jobs\.fetch.*HF_HOME"):
            corpus.open_corpus("fleurs").listing("fr_fr")
        with pytest.raises(ValueError, match=r"a/b@main: not in the cache"):
            corpus.open_corpus("hub:a/b", ["sentence=id"])


@pytest.mark.parametrize(
    ("spec", "columns", "rule"),
    [
        ("hub:a/b", (), r"name the column of the sentence's id.*--columns=sentence=COLUMN"),
        ("hub:a/b", ("id",), r"must be ROLE=COLUMN pairs.*roles are sentence, audio.*got 'id'"),
        ("hub:a/b", ("sentence=a", "sentence=b"), "each role once"),
        ("hub:a/b", ("speaker=a",), "roles are sentence"),
        ("manifest:a.tsv", ("sentence=a",), r"--columns is for data sets of the hub \(fleurs, covost2"),
        ("hub:no such thing", ("sentence=a",), "must be one of: fleurs, "),
        ("hub", ("sentence=a",), "must be one of: fleurs, "),
        ("covost2:a:b:c", (), "must be one of: fleurs, "),
        ("manifest:s3://bucket/a.tsv", (), "--corpus=manifest:s3://bucket/a.tsv: recordings must be on"),
    ],
)
def test_refuses_before_anything_is_asked(spec, columns, rule):
    with pytest.raises(ValueError, match=rule):
        corpus.open_corpus(spec, columns)
