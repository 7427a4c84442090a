"""FLEURS in Parquet: on files of the hub's form, in both layouts, and on broken ones."""

import concurrent.futures
import io
import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile
from hub_stand_in import wav

from isogloss.engine.corpora import audio, corpus, fleurs_dir, parquet_rows

ROWS = [  # id, file, samples, gender; files sort as text: 10 before 9
    (1525, "9.wav", 400, 1),
    (7, "5.wav", 300, 0),
    (1525, "10.wav", 500, 2),
    (1525, "11.wav", 600, 0),
    (8, "6.wav", 700, -1),
]
EXPECTED = [
    ("7.0", "fr_fr/test/5.wav", "male", 300),
    ("8.0", "fr_fr/test/6.wav", "", 700),
    ("1525.0", "fr_fr/test/10.wav", "other", 500),
    ("1525.1", "fr_fr/test/11.wav", "male", 600),
    ("1525.2", "fr_fr/test/9.wav", "female", 400),
]
FEATURES = {
    "id": {"dtype": "int32", "_type": "Value"},
    "audio": {"sampling_rate": 16000, "_type": "Audio"},
    "gender": {"names": ["male", "female", "other"], "_type": "ClassLabel"},
}


def table(rows=ROWS, large=False, **columns) -> pa.Table:
    """Make a table as `datasets` writes it; a column given as None is left out."""
    text, binary = (pa.large_string(), pa.large_binary()) if large else (pa.string(), pa.binary())
    numbers, files, samples, genders = zip(*rows, strict=True)
    sounds = [{"bytes": wav(length), "path": file} for file, length in zip(files, samples, strict=True)]
    made = {
        "id": pa.array(numbers, pa.int32()),
        "num_samples": pa.array(samples, pa.int32()),
        "path": pa.nulls(len(rows), text),
        "audio": pa.array(sounds, pa.struct({"bytes": binary, "path": text})),
        "transcription": pa.array([f'le "{number}' for number in numbers], text),
        "raw_transcription": pa.array(["Le"] * len(rows), text),
        "gender": pa.array(genders, pa.int64()),
        "lang_id": pa.array([30] * len(rows), pa.int64()),
        "language": pa.array(["French"] * len(rows), text),
        "lang_group_id": pa.array([0] * len(rows), pa.int64()),
    } | columns
    made = {name: column for name, column in made.items() if column is not None}
    metadata = {"huggingface": json.dumps({"info": {"features": FEATURES}})}
    return pa.table(made).replace_schema_metadata(metadata)


def put(root, content=None, path="fr_fr/test/0000.parquet", group=2):
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(content or table(), root / path, row_group_size=group)
    return root


def rows(listing):
    return [(u.name, u.source.name, u.gender, len(audio.decode(u.source))) for u in listing.utterances]


@pytest.fixture
def reads(monkeypatch):
    """Count the row groups whose audio is read."""
    calls = []
    read = parquet_rows._read_bytes
    monkeypatch.setattr(parquet_rows, "_read_bytes", lambda *group: calls.append(group) or read(*group))
    return calls


@pytest.mark.parametrize("large", [False, True])
@pytest.mark.parametrize("path", ["fr_fr/test/0000.parquet", "fr_fr/test-00000-of-00001.parquet"])
def test_reads_both_layouts(tmp_path, reads, path, large):
    read = corpus.open_corpus(f"fleurs-dir:{put(tmp_path, table(large=large), path)}")
    assert (read.languages(), read.description) == (("fr_fr",), "fleurs-dir:test")
    listing = read.listing("fr_fr", "all")
    assert [audio.samples(u.source) for u in listing.utterances] == [300, 700, 500, 600, 400]
    assert not reads  # all that, without audio
    assert rows(listing) == EXPECTED
    assert len(reads) == 3
    assert (listing.utterances[0].transcription, listing.utterances[0].raw_transcription) == ('le "7', "Le")
    assert rows(read.listing("fr_fr")) == EXPECTED[:3]


def test_the_recording_is_the_rows_own(tmp_path):
    listing = corpus.open_corpus(f"fleurs-dir:{put(tmp_path)}").listing("fr_fr", "all")
    for utterance in listing.utterances:
        wave = audio.decode(utterance.source)
        own, _ = soundfile.read(io.BytesIO(wav(len(wave))))
        np.testing.assert_array_equal(wave, own)


def test_several_files_and_a_series_that_is_not_whole(tmp_path):
    for part, some in enumerate((ROWS[:2], ROWS[2:])):
        put(tmp_path, table(some), f"fr_fr/test-0000{part}-of-00002.parquet")
    read = corpus.open_corpus(f"fleurs-dir:{tmp_path}")
    assert rows(read.listing("fr_fr", "all")) == EXPECTED
    (tmp_path / "fr_fr/test-00000-of-00002.parquet").unlink()
    with pytest.raises(ValueError, match="has 1 of 2 files of a series: fr_fr/test-00001-of-00002"):
        read.listing("fr_fr")


@pytest.mark.parametrize("spelled", ["dev", "validation"])
def test_both_spellings_of_dev(tmp_path, spelled):
    put(tmp_path, path=f"fr_fr/{spelled}/0000.parquet")
    listing = corpus.open_corpus(f"fleurs-dir:{tmp_path}:validation").listing("fr_fr")
    assert listing.corpus == "fleurs-dir:dev"
    assert listing.utterances[0].source.name == "fr_fr/dev/5.wav"


def test_columns_that_may_be_missing(tmp_path):
    """The mirror has no column path; the length then comes from the audio's header."""
    absent = table(path=None, num_samples=None, gender=None, language=None, raw_transcription=None)
    listing = corpus.open_corpus(f"fleurs-dir:{put(tmp_path, absent)}").listing("fr_fr", "all")
    assert [audio.samples(u.source) for u in listing.utterances] == [300, 700, 500, 600, 400]
    assert rows(listing) == [(name, file, "", length) for name, file, _, length in EXPECTED]


@pytest.mark.parametrize(
    ("columns", "rule"),
    [
        ({"id": None}, "column id is missing"),
        ({"transcription": None}, "column transcription is missing"),
        ({"audio": None}, "column audio.bytes is missing"),
        ({"audio": pa.array([b"RIFF"] * 5)}, "column audio.bytes is missing"),
        ({"audio": pa.array([{"bytes": b""}] * 5)}, "column audio.path is missing"),
        ({"id": pa.array([1, 2, None, 4, 5])}, "row group 1 row 0: id is missing"),
    ],
)
def test_refuses_tables(tmp_path, columns, rule):
    put(tmp_path, table(**columns))
    with pytest.raises(ValueError, match=r"fr_fr/test/0000\.parquet.*--columns=") as caught:
        corpus.open_corpus(f"fleurs-dir:{tmp_path}").listing("fr_fr")
    assert rule in str(caught.value)


@pytest.mark.parametrize("keep", [0, 3, 1000, -1])
def test_refuses_a_truncated_file(tmp_path, keep):
    path = put(tmp_path) / "fr_fr/test/0000.parquet"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ValueError, match=r"0000\.parquet: not a Parquet file that can be read"):
        corpus.open_corpus(f"fleurs-dir:{tmp_path}").listing("fr_fr")


def test_a_broken_recording_does_not_spoil_its_neighbours(tmp_path):
    sounds = table().column("audio").to_pylist()
    sounds[1]["bytes"] = None
    sounds[0]["bytes"] = sounds[0]["bytes"][:-2]
    changed = table(audio=pa.array(sounds), num_samples=pa.array([400, 300, 499, 600, None], pa.int32()))
    listing = corpus.open_corpus(f"fleurs-dir:{put(tmp_path, changed)}").listing("fr_fr", "all")
    by_file = {u.source.name[len("fr_fr/test/") :]: u.source for u in listing.utterances}
    for file, rule in (
        ("5.wav", r"fr_fr/test/5\.wav: the file is empty"),
        ("9.wav", r"fr_fr/test/9\.wav: truncated, 2 of 844 bytes is missing"),
        ("10.wav", "holds 500 samples at 16 kHz, but the corpus states 499"),
    ):
        with pytest.raises(audio.AudioError, match=rule):
            audio.decode(by_file[file])
    assert [len(audio.decode(by_file[file])) for file in ("11.wav", "6.wav")] == [600, 700]


def test_a_file_that_breaks_or_goes_after_listing(tmp_path):
    path = put(tmp_path) / "fr_fr/test/0000.parquet"
    source = corpus.open_corpus(f"fleurs-dir:{tmp_path}").listing("fr_fr").utterances[0].source
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(audio.AudioError, match=r"fr_fr/test/5\.wav: 0000\.parquet can't be read"):
        audio.decode(source)
    path.unlink()
    with pytest.raises(audio.AudioError, match="the file is missing"):
        audio.decode(source)


def test_row_groups_in_memory_are_bounded(tmp_path, reads):
    path = put(tmp_path, table(), group=1) / "fr_fr/test/0000.parquet"
    size = len(wav(700))
    groups = parquet_rows.RowGroups(limit=3 * size)
    expected = [wav(row[2]) for row in ROWS]
    for group in (0, 1, 0, 2, 0, 3, 4, 0, 3, 1):
        assert groups.recording(path, group, 0) == expected[group]
        assert groups._size() <= 3 * size
    assert [group for _, group, _ in reads] == [0, 1, 2, 3, 4, 1]  # 0 was used after 1 and 2
    one = parquet_rows.RowGroups(limit=1)
    assert [one.recording(path, group, 0) for group in (0, 0, 1)] == [expected[i] for i in (0, 0, 1)]
    assert len(reads) == 6 + 2


def test_threads_read_a_row_group_once(tmp_path, reads):
    path = put(tmp_path, table(ROWS * 20), group=10) / "fr_fr/test/0000.parquet"
    groups = parquet_rows.RowGroups()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: groups.recording(path, i % 10, i // 10), range(100)))
    assert found == [wav(ROWS[(i % 10 * 10 + i // 10) % 5][2]) for i in range(100)]
    assert len(reads) == 10


def test_patterns_of_both_spellings():
    assert fleurs_dir.patterns(fleurs_dir._PARQUET, "es_419", "dev") == [
        "es_419/dev/*.parquet",
        "es_419/validation/*.parquet",
        "es_419/dev-*.parquet",
        "es_419/validation-*.parquet",
    ]
