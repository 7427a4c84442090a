"""Texts and recordings beside the page, of a corpus on disk."""

import errno
import json
import pathlib
import re
import shutil
import urllib.parse

import numpy as np
import pages
import pytest
import soundfile

from isogloss.engine.corpora.manifest import Manifest
from isogloss.engine.report import report
from isogloss.engine.runtime.refusal import WriteError
from small_grids import made_grid

pytestmark = pytest.mark.usefixtures("undrawn")

WORDS = {"en": ("one two", "three"), "fr": ("un deux", "trois </script>")}


@pytest.fixture
def corpus(tmp_path):
    folder = tmp_path / "my speech"
    rows = ["language\tsentence\taudio\ttranscription"]
    for code, texts in WORDS.items():
        for i, text in enumerate(texts):
            path = folder / code / f"{i}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, np.full(400, 0.1 * i + 0.01 * ord(code[0]) / 100), 16_000)
            rows.append(f"{code}\ts{i}\t{code}/{i}.wav\t{text}")
    (folder / "speech.tsv").write_text("\n".join(rows) + "\n")
    return folder / "speech.tsv"


@pytest.fixture
def grid(tmp_path, corpus):
    listings = {code: Manifest(corpus).listing(code) for code in WORDS}
    recordings = {
        code: dict(zip((u.sentence for u in listing.utterances), listing.recordings, strict=True))
        for code, listing in listings.items()
    }
    made = made_grid(
        tmp_path / "grid.zarr", [("en", "fr")], ("s0", "s1"), states=("0",), measures=("seqsim",),
        recordings=recordings,
    )  # fmt: skip
    made.write(0, 0, {"seqsim": np.eye(2, dtype=np.float32)})
    return made


def run(grid, corpus, **changed):
    config = {"grid": grid.path, "out": grid.path.parent / "out", "corpus": f"manifest:{corpus}"} | changed
    report.run(report.ReportConfig(**config))
    return config["out"]


def texts(out, code):
    text = (out / "sentences" / f"text-{code}.js").read_text()
    return json.loads(re.fullmatch(r".*?\] = (.+);\n", text)[1])


def test_recordings_are_linked_from_where_they_lie(grid, corpus):
    out = run(grid, corpus)
    found = texts(out, "fr")
    assert [found[sentence][0] for sentence in ("s0", "s1")] == list(WORDS["fr"])
    place = out / urllib.parse.unquote(found["s1"][1])
    assert place.resolve() == corpus.parent / "fr" / "1.wav"
    assert not found["s1"][1].startswith("/")
    assert '"texts":true' in pages.opened((out / "report.html").read_text())


def test_recordings_are_copied_once_and_the_copy_needs_no_corpus(grid, corpus):
    out = run(grid, corpus, audio="copy")
    first = {code: texts(out, code) for code in WORDS}
    wanted = (corpus.parent / "en" / "0.wav").read_bytes()
    copy = out / urllib.parse.unquote(first["en"]["s0"][1])
    assert out in copy.parents
    assert copy.read_bytes() == wanted
    made = copy.stat().st_mtime_ns
    run(grid, corpus, audio="copy")
    assert copy.stat().st_mtime_ns == made
    copy.unlink()
    run(grid, corpus, audio="copy")
    shutil.rmtree(corpus.parent / "en")
    assert copy.read_bytes() == wanted


def test_self_pairs_and_second_recordings_need_no_texts_of_their_own(tmp_path, corpus):
    recordings = {
        code: dict(zip((u.sentence for u in listing.utterances), listing.recordings, strict=True))
        for code, listing in ((code, Manifest(corpus).listing(code)) for code in WORDS)
    }
    pairs = [("en", "en"), ("en", "en@2"), ("en", "fr")]
    made = made_grid(
        tmp_path / "grid.zarr", pairs, ("s0", "s1"), states=("0",), measures=("seqsim",),
        recordings=recordings | {"en@2": {"s0": "second", "s1": "second"}},
    )  # fmt: skip
    for pair in range(3):
        made.write(pair, 0, {"seqsim": np.eye(2, dtype=np.float32)})
    out = run(made, corpus)
    assert {path.name for path in (out / "sentences").glob("text-*.js")} == {"text-en.js", "text-fr.js"}


def test_a_full_disk_is_no_unreadable_recording(grid, corpus, monkeypatch):
    def full(path, content):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pathlib.Path, "write_bytes", full)
    with pytest.raises(WriteError, match="No space left"):
        run(grid, corpus, audio="copy")


def test_without_audio_and_without_a_corpus(grid, corpus):
    out = run(grid, corpus, audio="none")
    assert [row[1] for row in texts(out, "en").values()] == ["", ""]
    report.run(report.ReportConfig(grid=grid.path, out=out))
    assert {path.name.split(".")[0] for path in (out / "sentences").iterdir()} == {"en-fr"}
    assert '"texts":false' in pages.opened((out / "report.html").read_text())


def test_another_corpus_is_refused_before_anything_is_written(grid, corpus):
    soundfile.write(corpus.parent / "fr" / "1.wav", np.zeros(500), 16_000)
    with pytest.raises(ValueError, match=r"1 recordings of fr aren't those .*: s1"):
        run(grid, corpus)
    assert not (grid.path.parent / "out").exists()
