"""Manifests: lines that are read, and lines refused with file, line, rule and remedy."""

import pytest

from isogloss.engine.corpora import corpus, manifest

HEADER = "language\tsentence\taudio"


@pytest.fixture
def put(tmp_path):
    """Write a manifest of the given lines beside audio files a.wav to d.wav."""
    for name in "abcd":
        (tmp_path / f"{name}.wav").write_bytes(name.encode() * 3)

    def write(*lines: str, encoding="utf-8", end="\n"):
        path = tmp_path / "list.tsv"
        path.write_bytes((end.join(lines) + end).encode(encoding))
        return path

    return write


def rows(listing):
    return [(u.name, u.sentence, u.rank, u.source.name, u.source.size) for u in listing.utterances]


def test_reads_languages_sentences_and_ranks(put):
    path = put(HEADER, "en\t7\ta.wav", "fr\t7\tb.wav", "en\t5\tc.wav", "en\t7\td.wav")
    read = corpus.open_corpus(f"manifest:{path}")
    assert read.languages() == ("en", "fr")
    assert read.description == "manifest:list.tsv"
    all_rows = [("7.0", "7", 0, "a.wav", 3), ("7.1", "7", 1, "d.wav", 3), ("5.0", "5", 0, "c.wav", 3)]
    assert rows(read.listing("en", "all")) == all_rows
    assert rows(read.listing("en")) == [all_rows[0], all_rows[2]]


def test_the_raw_text_is_kept_and_does_not_change_the_listing(put):
    before = put(f"{HEADER}\ttranscription", "en\t7\ta.wav\tin halifax")
    plain = manifest.Manifest(before).listing("en")
    after = put(f"{HEADER}\ttranscription\traw_transcription", "en\t7\ta.wav\tin halifax\tIn Halifax.")
    raw = manifest.Manifest(after).listing("en")
    assert [each.utterances[0].raw_transcription for each in (plain, raw)] == ["", "In Halifax."]
    assert raw.sha256() == plain.sha256()


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_optional_columns_in_any_order_quotes_and_odd_line_breaks(put, encoding, end):
    text = 'He said "no\u2028yes\x0b\x85'
    path = put(
        "note\taudio\tid\ttranscription\tsentence\tgender\tlanguage",
        f"x\ta.wav\tone\t{text}\ts\tfemale\tyue_hant_hk",
        "\tb.wav\ttwo\t\ts\t\tyue_hant_hk",
        "",
        encoding=encoding,
        end=end,
    )
    first, second = manifest.Manifest(path).listing("yue_hant_hk", "all").utterances
    assert (first.name, first.transcription, first.gender, first.rank) == ("one", text, "female", 0)
    assert (second.name, second.transcription, second.gender, second.rank) == ("two", "", "", 1)


def test_an_absolute_path_does_not_show_in_names(put, tmp_path):
    outside = tmp_path / "sub"
    outside.mkdir()
    (outside / "e.wav").write_bytes(b"e")
    path = put(HEADER, f"en\t1\t{tmp_path}/a.wav", f"en\t2\t{outside}/e.wav", "en\t3\tsub/e.wav")
    names = [u.source.name for u in manifest.Manifest(path).listing("en").utterances]
    assert names == ["a.wav", "sub/e.wav", "sub/e.wav"]
    moved = outside / "list.tsv"
    moved.write_text(path.read_text().replace("\tsub/e", "\te"))
    names = [u.source.name for u in manifest.Manifest(moved).listing("en").utterances]
    assert names == ["a.wav", "e.wav", "e.wav"]


@pytest.mark.parametrize(
    ("lines", "rule"),
    [
        ([""], "line 1: the header lacks the column 'language'"),
        (["language\taudio", "en\ta.wav"], "line 1: the header lacks the column 'sentence'"),
        (["language\tsentence\taudios", "en\t1\ta.wav"], "column 'audio'. Did you mean audios?"),
        ([HEADER + "\taudio", "en\t1\ta.wav\ta.wav"], "line 1: column audio appears twice"),
        ([HEADER], "has only a header"),
        ([HEADER, "", ""], "has only a header"),
        ([HEADER, "en\t1\ta.wav", "en\t2"], "line 3: 2 fields, but the header has 3"),
        ([HEADER, "en\t1\ta.wav\t"], "line 2: 4 fields, but the header has 3"),
        ([HEADER, "en\t\ta.wav"], "line 2: sentence is empty"),
        ([HEADER, "\t1\ta.wav"], "line 2: language is empty"),
        ([HEADER, "en\t1\t "], "line 2: audio is empty"),
        ([HEADER + "\tid", "en\t1\ta.wav\t"], "line 2: id is empty"),
        ([HEADER + "\tid", "en\t1\ta.wav\tx", "en\t2\tb.wav\tx"], "line 3: id 'x' of en is also in line 2"),
        ([HEADER, "zh-CN\t1\ta.wav"], "line 2: language 'zh-CN'"),
        ([HEADER, "../en\t1\ta.wav"], "line 2: language '../en'"),
        ([HEADER, "en\t1\t."], "1 audio files are missing: line 2: ."),
    ],
)
def test_refuses(put, lines, rule):
    with pytest.raises(ValueError, match=r"^list\.tsv") as caught:
        manifest.Manifest(put(*lines)).listing("en")
    assert rule in str(caught.value)


def test_one_id_in_two_languages(put):
    path = put(HEADER + "\tid", "en\t1\ta.wav\tx", "fr\t1\tb.wav\tx")
    assert [manifest.Manifest(path).listing(code).utterances[0].name for code in ("en", "fr")] == ["x", "x"]


def test_all_missing_files_are_reported_at_once(put):
    """Of whatever language; a language that lacks none is listed all the same."""
    lines = [f"{'fr' if i == 1 else 'en'}\t{i}\tgone{i}.wav" for i in range(22)]
    read = manifest.Manifest(put(HEADER, "en\tx\ta.wav", "de\tx\tb.wav", *lines))
    assert len(read.listing("de").utterances) == 1
    with pytest.raises(ValueError, match=r"22 audio files are missing: line 4: gone0\.wav; ") as caught:
        read.listing("en")
    assert "line 23: gone19.wav and 2 more." in str(caught.value)
    assert "gone20" not in str(caught.value)


def test_not_utf8_names_the_line(put):
    with pytest.raises(ValueError, match=r"list\.tsv line 3: not UTF-8"):
        manifest.Manifest(put(HEADER, "en\t1\ta.wav", "en\té\tb.wav", encoding="latin-1"))


def test_unknown_language_and_no_file(put, tmp_path):
    read = manifest.Manifest(put(HEADER, "en_us\t1\ta.wav", "fr_fr\t1\tb.wav"))
    with pytest.raises(ValueError, match=r"list\.tsv has no language 'en_uk'\. Did you mean en_us\?"):
        read.listing("en_uk")
    with pytest.raises(ValueError, match="is not a file"):
        manifest.Manifest(tmp_path)


@pytest.mark.parametrize("separator", [",", ";"])
def test_a_table_of_commas_is_told_so(put, separator):
    path = put(*(line.replace("\t", separator) for line in (HEADER, "en\t7\ta.wav")))
    with pytest.raises(ValueError, match=r"list\.tsv line 1: fields are separated by (commas|semicolons)"):
        manifest.Manifest(path)


def test_every_broken_line_is_found_where_it_is_asked_for(put):
    path = put(HEADER + "\tid", "en\t7\ta.wav\tx", "EN-\t7\ta.wav\ty", "en\t7\tb.wav", "en\t\ta.wav\tz",
               "en\t8\ta.wav\tx", "en\t9\tlost.wav\tw", "fr\t7\tc.wav\tx")  # fmt: skip
    read = manifest.Manifest(path, strict=False)
    assert [problem.line for problem in read.problems] == [3, 4, 5, 6]
    assert [u.line for u in read.listing("en", "all").utterances] == [2, 7]
    assert [u.line for u in read.listing("fr", "all").utterances] == [8]
