"""The align job on a tiny random model with a tokenizer of bytes: words, bad texts, stores."""

import csv
import dataclasses
import re

import pytest
from pyarrow import parquet

from isogloss.engine.activations import extract
from isogloss.engine.alignment import align, unit, word_tables
from isogloss.engine.whisper.tokenizer import Tokens


@pytest.fixture
def config(aligned):
    return aligned[0]


@pytest.fixture
def whole(aligned):
    """Summary of an undisturbed run into config.out."""
    return aligned[1]


def rows(out, table="words"):
    return parquet.read_table(out / f"{table}.parquet").to_pylist()


def with_texts(folder, speech, texts):
    """The same corpus with other transcriptions, by language and sentence."""
    lines = speech.read_text().splitlines()
    for place, line in enumerate(lines[1:], 1):
        language, sentence, sound, text = line.split("\t")
        text = texts.get((language, sentence), text)
        lines[place] = "\t".join((language, sentence, str(speech.parent / sound), text))
    file = folder / "other.tsv"
    file.write_text("\n".join(lines) + "\n", "utf-8")
    return f"manifest:{file}"


def test_every_word_of_every_utterance(config, whole, speech):
    assert whole.complete
    assert (whole.done, whole.skipped, whole.waiting, whole.words) == (20, 0, 0, 20 * 4)
    assert "no list" in whole.heads
    found = rows(config.out)
    listed = [line.split("\t") for line in speech.read_text().splitlines()[1:]]
    expected = [(a, s, i, word) for a, s, _, text in listed for i, word in enumerate(text.split())]
    assert [(r["language"], r["sentence"], r["word_index"], r["word"]) for r in found] == expected
    for row in found:
        assert row["text"] == f" {row['word']}"
        assert 0 <= row["first_frame"] <= row["last_frame"] < 100
        assert row["centre_frame"] == (row["first_frame"] + row["last_frame"]) // 2
        after = row["first_frame"] if row["empty"] else row["last_frame"] + 1
        assert [row["start"], row["end"]] == pytest.approx([0.02 * row["first_frame"], 0.02 * after])
        assert 0 < row["probability"] < 1
        assert bytes(Tokens.load(config.model).decode(row["tokens"]), "utf-8") == row["text"].encode()
    assert whole.empty_words == sum(row["empty"] for row in found)
    utterances = rows(config.out, "utterances")
    assert [u["words"] for u in utterances] == [4] * 20
    assert {u["language_token"] for u in utterances if u["language"] == "bb"} == {"fr"}
    assert sum(u["tied"] for u in utterances) == whole.tied
    with (config.out / "utterances.csv").open(newline="") as file:
        assert [row["utterance"] for row in csv.DictReader(file)] == [u["utterance"] for u in utterances]


def test_words_follow_each_other(config, whole):
    """No frame belongs to two words, whatever the path; a word without frames ends where it starts."""
    table = parquet.read_table(config.out / "words.parquet")
    assert table.schema.equals(word_tables.WORDS)  # what others rely on
    assert all((row["end"] == row["start"]) == row["empty"] for row in table.to_pylist())
    for _, words in table.to_pandas().groupby(["language", "utterance"]):
        kept = words[~words["empty"]]
        assert (kept.last_frame.to_numpy()[:-1] < kept.first_frame.to_numpy()[1:]).all()
        assert words.first_frame.iloc[0] == 0


BAD = {
    ("aa", "s0"): ("", "transcription is empty"),
    ("aa", "s1"): ("   ", "transcription is empty"),
    ("aa", "s2"): ("word " * 12, "60 tokens.*the decoder holds 43"),
    ("bb", "s3"): ("so <|endoftext|> it is", "the tokenizer can't write"),
}


def test_bad_texts_are_named_and_the_run_continues(config, tmp_path, speech):
    texts = {key: text for key, (text, _) in BAD.items()} | {("cc", "s0"): "北京 ... ok"}
    corpus = with_texts(tmp_path, speech, texts)
    other = dataclasses.replace(config, corpus=corpus, out=tmp_path / "out")
    done = align.run(other)
    assert not done.complete
    assert set(done.failed) == {f"{language} {sentence}.0" for language, sentence in BAD}
    table = {(u["language"], u["sentence"]): u for u in rows(other.out, "utterances")}
    for key, (_, reason) in BAD.items():
        assert table[key]["words"] == 0
        assert table[key]["text"] is None
        assert re.search(reason, table[key]["problem"])
    assert len({(r["language"], r["sentence"]) for r in rows(other.out)}) == 16
    assert [r["word"] for r in rows(other.out) if r["language"] == "cc"][:2] == ["北京", "..."]


def test_reference_texts(reader):
    tokens = Tokens.load(str(reader))
    assert tokens.decode(unit.reference("  a \n b ", "en", tokens)) == " a b"
    assert tokens.decode(unit.reference(" 北京", "zh", tokens)) == "北京"
    assert "isn't text" in unit.reference("half \ud83d", "en", tokens)


def test_decoded_text(config, tmp_path):
    """Whatever the model decodes, the words' texts joined are the decoded text."""
    other = dataclasses.replace(config, text="decoded", out=tmp_path / "out", languages=("aa",))
    done = align.run(other)
    utterances = {u["utterance"]: u for u in rows(other.out, "utterances")}
    assert len(utterances) == 7
    words = rows(other.out)
    assert done.words == len(words) > 0
    assert done.truncated == 0  # what is decoded is all in the window
    for name, utterance in utterances.items():
        own = "".join(row["text"] for row in words if row["utterance"] == name)
        if not utterance["problem"]:
            assert own.split() == (utterance["text"] or "").split()


def test_from_a_store_and_when_it_is_complete(config, tmp_path, speech, reader):
    """Utterances that aren't extracted are reported, and aligned once they are."""
    extracting = extract.ExtractConfig(
        corpus=f"manifest:{speech}", model=str(reader), store=tmp_path / "store",
        languages=("aa",), states=("1", "2"), dtype="float32", )  # fmt: skip
    assert extract.run(extracting).complete
    shard = tmp_path / "store" / "aa.zarr" / "states" / "c.3.0.0.0"
    kept = shard.read_bytes()
    shard.unlink()
    stored = dataclasses.replace(config, corpus=None, store=tmp_path / "store", out=tmp_path / "out")
    first = align.run(stored)
    assert list(first.failed) == ["aa s3.0"]
    assert "isn't extracted yet" in first.failed["aa s3.0"]
    assert align.run(stored).done == 0
    shard.write_bytes(kept)
    whole = align.run(stored)
    assert whole.complete
    assert (whole.done, whole.words) == (7, 28)
    early = align.run(dataclasses.replace(stored, states=("1",), out=tmp_path / "early"))
    assert early.complete
    assert rows(tmp_path / "early") != rows(tmp_path / "out")
    with pytest.raises(ValueError, match="states that may enter"):
        align.run(dataclasses.replace(stored, states=("3",), out=tmp_path / "never"))


def test_bad_flags(config, tmp_path):
    with pytest.raises(ValueError, match="not both"):
        dataclasses.replace(config, store=tmp_path)
    for change in ({"states": ()}, {"exit_norm": "both"}):
        with pytest.raises(ValueError, match="one state"):
            dataclasses.replace(config, **change)


def test_words_of_recordings_beyond_the_window_are_marked(config, whole):
    """The window has 2 s."""
    long = {(u["language"], u["utterance"]): u["seconds"] > 2 for u in rows(config.out, "utterances")}
    assert 0 < sum(long.values()) < 20
    assert whole.truncated == sum(long.values())
    for row in rows(config.out):
        assert row["truncated"] == long[row["language"], row["utterance"]]
