"""Check of a corpus: every kind of problem, each with its line."""

import dataclasses
import errno
import shutil
import subprocess

import numpy as np
import pytest
import soundfile
from pyarrow import parquet

from isogloss.engine.corpora import audio, corpus
from isogloss.engine.operations import check
from isogloss.engine.operations.check_config import CheckConfig
from isogloss.engine.runtime import disk_faults

RATE = 16_000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Recordings: sound ones of 0.5 s, and one of each broken kind."""
    folder = tmp_path_factory.mktemp("checked")
    rng = np.random.default_rng(3)
    for name in ("a", "b", "c", "d"):
        soundfile.write(folder / f"{name}.wav", 0.1 * rng.standard_normal(RATE // 2), RATE)
    soundfile.write(folder / "loud.wav", np.clip(3 * rng.standard_normal(RATE // 2), -1, 1), RATE)
    soundfile.write(folder / "still.wav", np.zeros(RATE // 2), RATE)
    soundfile.write(folder / "long.wav", 0.1 * rng.standard_normal(int(2.5 * RATE)), RATE)
    (folder / "text.wav").write_text("not a sound")
    wave, _ = soundfile.read(folder / "a.wav", dtype="float32")
    soundfile.write(folder / "again.flac", wave, RATE)
    return folder


@pytest.fixture
def checked(folder):
    """Function from lines of a manifest to the configuration that checks it."""

    def config(*lines, **options):
        head = "language\tsentence\taudio\ttranscription"
        (folder / "list.tsv").write_text("\n".join((head, *lines)) + "\n")
        return CheckConfig(corpus=f"manifest:{folder}/list.tsv", **options)

    return config


LINES = (
    "en_us\t1\ta.wav\tone",
    "en_us\t2\tagain.flac\ttwo",  # line 3
    "en_us\t3\tstill.wav\tthree",
    "en_us\t4\tloud.wav\tfour",
    "en_us\t5\ttext.wav\tfive",  # 6
    "en_us\t6\tlost.wav\tsix",
    "en_us\t7\tb.wav\tone",
    "english\t1\tc.wav\teins",  # 9
    "ky_kg\t1\td.wav\tbir",
    "en us\t1\td.wav\tspace",  # 11
    "en_us\t8\td.wav",
)
EXPECTED = [
    (3, "repeated audio", "en_us 1.0 (a.wav, line 2)"),
    (4, "silent", ""),
    (5, "clipped", ""),
    (6, "broken", "not audio"),
    (7, "broken", "missing"),
    (8, "repeated text", "sentence 7 has the text of sentence 1"),
    (9, "unknown language", "write en"),
    (10, "no language token", "stand_in"),
    (11, "manifest", "letters, digits"),
    (12, "manifest", "3 fields"),
]


@pytest.mark.parametrize("suffix", ["tsv", "parquet"])
def test_every_kind_is_found_with_its_line(checked, tmp_path, suffix, capsys):
    out = tmp_path / f"problems.{suffix}"
    done = check.run(checked(*LINES, out=out))
    assert (done.recordings, done.languages, done.complete) == (9, 3, False)
    assert done.problems["broken"] == 2
    if suffix == "parquet":
        rows = parquet.ParquetFile(out).read().to_pylist()
    else:
        head, *lines = (line.split("\t") for line in out.read_text().splitlines())
        rows = [dict(zip(head, line, strict=True)) for line in lines]
    assert [(int(row["line"]), row["problem"]) for row in rows] == [row[:2] for row in EXPECTED]
    assert all(part in row["detail"] for row, (_, _, part) in zip(rows, EXPECTED, strict=True))
    assert "again.flac" in capsys.readouterr().err
    assert "10 problems (2 broken" in done.sentence(checked(*LINES))


def test_the_window_is_that_of_the_model(checked, reader):
    lines = ("en\t1\tlong.wav\t", "fr\t1\ta.wav\t")
    assert check.run(checked(*lines)).complete
    found = check.run(checked(*lines, model=str(reader)))
    assert found.problems == {"long": 1}
    english = check.run(checked("de\t1\ta.wav\t", model=str(reader)))
    assert english.problems == {"no language token": 1}


def test_a_dry_run_reads_no_audio_and_writes_nothing(checked, tmp_path):
    config = checked(*LINES, out=tmp_path / "problems.tsv", dry_run=True)
    done = check.run(config)
    assert done.plan == {"recordings": 9}
    assert done.problems == {"manifest": 2, "unknown language": 1, "no language token": 1}
    assert not config.out.exists()


def test_what_cannot_be_opened_is_refused(checked, folder, tmp_path):
    with pytest.raises(ValueError, match="is not a file"):
        check.run(CheckConfig(corpus=f"manifest:{folder}/lost.tsv"))
    with pytest.raises(ValueError, match="has no language 'zz'"):
        check.run(checked(*LINES, languages=("zz",)))
    with pytest.raises(ValueError, match=r"must end in \.tsv or \.parquet"):
        dataclasses.replace(checked(*LINES), out=tmp_path / "problems.csv")


@pytest.mark.parametrize(
    ("text", "line", "detail"),
    [
        (
            "language,sentence,audio\nen,1,a.wav\nen,2,b.wav\n",
            1,
            "separated by commas, a manifest needs tabs",
        ),
        ("\n\nlanguage;sentence;audio\nen;1;a.wav\n", 3, "separated by semicolons"),
        ("language\tsentense\taudio\nen\t1\ta.wav\n", 1, "'sentence'. Did you mean sentense?"),
        ("language\tsentence\taudio\taudio\nen\t1\ta.wav\ta.wav\n", 1, "column audio appears twice"),
        ("language\tsentence\taudio\n", 1, "only a header"),
        ("", 1, "lacks the column 'language'"),
    ],
)
def test_a_broken_header_is_a_row_too(folder, tmp_path, text, line, detail):
    (folder / "headless.tsv").write_text(text)
    out = tmp_path / "problems.tsv"
    corpus = f"manifest:{folder}/headless.tsv"
    done = check.run(CheckConfig(corpus=corpus, out=out, languages=("en",)))
    assert (done.complete, done.problems, done.recordings) == (False, {"manifest": 1}, 0)
    head, row = (each.split("\t") for each in out.read_text().splitlines())
    fields = dict(zip(head, row, strict=True))
    assert (fields["problem"], fields["line"], fields["language"]) == ("manifest", str(line), "")
    assert detail in fields["detail"]


@pytest.mark.parametrize("latin", [(2, 4), (1, 3)])
def test_each_line_that_is_not_utf_8_is_a_row(folder, latin):
    """What else is in the list is examined, unless its header can't be read."""
    rows = ["language\tsentence\taudio\ttranscription", *(f"en\t{n}\ta.wav\tcafé {n}" for n in (1, 2, 3))]
    if 1 in latin:
        rows[0] += "\tété"
    content = [row.encode("latin-1" if n in latin else "utf-8") for n, row in enumerate(rows, 1)]
    (folder / "latin.tsv").write_bytes(b"\xef\xbb\xbf" * (1 not in latin) + b"\r\n".join(content))
    config = CheckConfig(corpus=f"manifest:{folder}/latin.tsv", out=folder / "latin_problems.tsv")
    done = check.run(config)
    assert (done.problems, done.recordings) == ({"manifest": 2}, 1 if 1 not in latin else 0)
    found = [row.split("\t") for row in config.out.read_text().splitlines()[1:]]
    assert [int(row[2]) for row in found] == list(latin)
    with pytest.raises(ValueError, match=rf"latin\.tsv line {latin[0]}: not UTF-8"):
        corpus.open_corpus(config.corpus)


@pytest.mark.parametrize(("number", "problem"), [(errno.EIO, "unread"), (errno.EACCES, "broken")])
def test_what_a_disk_does_not_give_is_not_called_broken(checked, tmp_path, monkeypatch, number, problem):
    """The rest is examined and the table written; the job's exit code is made from `failed`."""
    opened = audio.FileSource.open

    def fail(source):
        if source.name == "b.wav":
            raise OSError(number, "no")
        return opened(source)

    monkeypatch.setattr(audio.FileSource, "open", fail)
    config = checked(
        "en\t1\ta.wav\tone", "en\t2\tb.wav\ttwo", "en\t3\tstill.wav\tthree", out=tmp_path / "a.tsv"
    )
    found = check.run(config)
    assert (found.complete, found.problems) == (False, {problem: 1, "silent": 1})
    assert [*found.failed] == ["b.wav"] * (problem == "unread")
    assert all(map(disk_faults.may_pass, found.failed.values()))
    rows = [row.split("\t") for row in config.out.read_text().splitlines()[1:]]
    assert [(row[0], row[4]) for row in rows] == [(problem, "b.wav"), ("silent", "still.wav")]


def test_what_goes_through_ffmpeg_is_named_and_is_no_problem(checked, folder, tmp_path):
    if (program := shutil.which("ffmpeg")) is None:
        pytest.skip("ffmpeg isn't installed")
    subprocess.run([program, "-v", "error", "-y", "-i", folder / "a.wav", folder / "a.m4a"], check=True)
    config = checked("en_us\t1\tb.wav\tone", "en_us\t2\ta.m4a\ttwo", out=tmp_path / "table.tsv")
    found = check.run(config)
    assert (found.complete, found.problems, found.through_ffmpeg) == (True, {}, 1)
    assert "no problem; ffmpeg decodes 1 of them" in found.sentence(config)
    [row] = (tmp_path / "table.tsv").read_text().splitlines()[1:]
    assert row.split("\t")[:5] == ["through ffmpeg", "en_us", "3", "2.0", "a.m4a"]
