"""FLEURS in TSV and WAV: files of the published form, archive and unpacked."""

import io
import pathlib
import shutil
import subprocess
import sys
import tarfile

import processes
import pytest
from hub_stand_in import wav

from isogloss.engine.corpora import audio, corpus

ROWS = [  # id, file, samples, gender; files sort as text: 10 before 9
    (1525, "9.wav", 400, "FEMALE"),
    (7, "5.wav", 300, "MALE"),
    (1525, "10.wav", 500, "OTHER"),
    (1525, "11.wav", 600, "MALE"),
]
TEXT = 'Er sagte: "Nein.\u2028'


def put(root: pathlib.Path, language="de_de", split="test", rows=ROWS, end="\n"):
    """Write a language with its archive; the archive holds its own folder too."""
    folder = root / language / "audio"
    folder.mkdir(parents=True)
    lines = [
        f"{number}\t{file}\t{TEXT}\t{TEXT.lower()}\te r |\t{samples}\t{gender}"
        for number, file, samples, gender in rows
    ]
    (root / language / f"{split}.tsv").write_bytes("".join(line + end for line in lines).encode())
    with tarfile.open(folder / f"{split}.tar.gz", "w:gz") as archive:
        directory = tarfile.TarInfo(split)
        directory.type = tarfile.DIRTYPE
        archive.addfile(directory)
        for _, file, samples, _ in rows:
            member = tarfile.TarInfo(f"{split}/{file}")
            member.size = len(wav(samples))
            archive.addfile(member, io.BytesIO(wav(samples)))
    return root


def rows(listing):
    return [(u.name, u.source.name, u.gender, len(audio.decode(u.source))) for u in listing.utterances]


EXPECTED = [
    ("7.0", "de_de/test/5.wav", "male", 300),
    ("1525.0", "de_de/test/10.wav", "other", 500),
    ("1525.1", "de_de/test/11.wav", "male", 600),
    ("1525.2", "de_de/test/9.wav", "female", 400),
]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_reads_the_archive(tmp_path, end):
    read = corpus.open_corpus(f"fleurs-dir:{put(tmp_path, end=end)}")
    assert read.languages() == ("de_de",)
    assert read.description == "fleurs-dir:test"
    listing = read.listing("de_de", "all")
    assert rows(listing) == EXPECTED
    assert listing.utterances[0].transcription == TEXT.lower()
    assert rows(read.listing("de_de")) == EXPECTED[:2]
    assert sorted(path.name for path in (tmp_path / "de_de/audio").iterdir()) == [
        "test",
        "test.lock",
        "test.tar.gz",
    ]


def test_reads_what_is_unpacked_and_reports_what_is_missing(tmp_path):
    put(tmp_path)
    folder = tmp_path / "de_de/audio"
    with tarfile.open(folder / "test.tar.gz") as archive:
        archive.extractall(folder, filter="data")
    (folder / "test.tar.gz").unlink()
    (folder / "test/11.wav").unlink()
    utterances = corpus.open_corpus(f"fleurs-dir:{tmp_path}").listing("de_de", "all").utterances
    assert [u.source.size is None for u in utterances] == [False, False, True, False]
    with pytest.raises(audio.AudioError, match=r"de_de/test/11\.wav: the file is missing"):
        audio.samples(utterances[2].source)


@pytest.mark.parametrize("spelled", ["dev", "validation"])
@pytest.mark.parametrize("asked", ["dev", "validation"])
def test_both_spellings_of_dev(tmp_path, spelled, asked):
    put(tmp_path, split=spelled)
    read = corpus.open_corpus(f"fleurs-dir:{tmp_path}:{asked}")
    assert read.description == "fleurs-dir:dev"
    assert len(read.listing("de_de").utterances) == 2


def test_several_processes_at_once_after_a_killed_one(tmp_path):
    put(tmp_path)
    partial = tmp_path / "de_de/audio/test.partial"
    partial.mkdir()
    (partial / "12.wav").touch()
    script = (
        "import sys; from isogloss.engine.corpora import corpus; "
        "print(len(corpus.open_corpus(sys.argv[1]).listing('de_de', 'all').utterances))"
    )
    command = [sys.executable, "-c", script, f"fleurs-dir:{tmp_path}"]
    readers = [processes.start(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    assert [reader.communicate(timeout=processes.PATIENCE)[0] for reader in readers] == ["4\n"] * 3
    assert len(list((tmp_path / "de_de/audio/test").iterdir())) == 4
    assert not partial.exists()


def test_a_truncated_archive_never_passes(tmp_path):
    put(tmp_path)
    archive = tmp_path / "de_de/audio/test.tar.gz"
    content = archive.read_bytes()
    for kept in (0, 1, 15, len(content) // 2, len(content) - 9, len(content) - 1):
        archive.write_bytes(content[:kept])
        with pytest.raises(ValueError, match=r"test\.tar\.gz: truncated.*Download it again"):
            corpus.open_corpus(f"fleurs-dir:{tmp_path}").listing("de_de")
    archive.write_bytes(b"no archive" * 100)
    with pytest.raises(ValueError, match=r"test\.tar\.gz: truncated, or not a tar\.gz"):
        corpus.open_corpus(f"fleurs-dir:{tmp_path}").listing("de_de")
    archive.write_bytes(content)
    assert len(corpus.open_corpus(f"fleurs-dir:{tmp_path}").listing("de_de").utterances) == 2


def test_where_nothing_can_be_written_the_remedy_is_named(tmp_path):
    put(tmp_path)
    (tmp_path / "de_de/audio/test.lock").mkdir()  # stands for a read-only disk, root included
    with pytest.raises(ValueError, match=r"can't be unpacked beside itself.*unpack it to .*yourself"):
        corpus.open_corpus(f"fleurs-dir:{tmp_path}").listing("de_de")


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("7\t5.wav\ta\ta\tb\t300", "line 2: 6 columns, FLEURS has 7"),
        ("7\t5.wav\ta\ta\tb\t300\tMALE\t", "line 2: 8 columns"),
        ("x\t5.wav\ta\ta\tb\t300\tMALE", "line 2: needs a number and a file name"),
        ("7\t\ta\ta\tb\t300\tMALE", "line 2: needs a number and a file name"),
        ("7\t../5.wav\ta\ta\tb\t300\tMALE", "line 2: needs a number and a file name"),
        ("8\t5.wav\ta\ta\tb\t300\tMALE", r"line 2: 5\.wav has id 8, but 7 in an earlier line"),
    ],
)
def test_refuses_lines(tmp_path, line, rule):
    put(tmp_path, rows=ROWS[1:2])
    with (tmp_path / "de_de/test.tsv").open("a", encoding="utf-8") as file:
        file.write(line + "\n")
    with pytest.raises(ValueError, match=r"^de_de/test\.tsv " + rule):
        corpus.open_corpus(f"fleurs-dir:{tmp_path}").listing("de_de")


def test_a_repeated_line_is_one_recording(tmp_path):
    put(tmp_path, rows=[*ROWS, ROWS[0]])
    assert rows(corpus.open_corpus(f"fleurs-dir:{tmp_path}").listing("de_de", "all")) == EXPECTED


def test_refuses_what_is_not_there(tmp_path):
    put(tmp_path)
    read = corpus.open_corpus(f"fleurs-dir:{tmp_path}")
    with pytest.raises(
        ValueError, match=r"no files of the test split of language 'de_at'\. Did you mean de_de"
    ):
        read.listing("de_at")
    shutil.rmtree(tmp_path / "de_de/audio")
    with pytest.raises(ValueError, match=r"has neither audio/test\.tar\.gz nor an unpacked archive"):
        read.listing("de_de")
    (tmp_path / "de_de/audio/test").mkdir(parents=True)
    (tmp_path / "de_de/test.tsv").write_text("")
    with pytest.raises(ValueError, match="no recording of de_de"):
        read.listing("de_de")
