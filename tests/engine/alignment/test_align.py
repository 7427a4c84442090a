"""engine.align on a tiny random model with a tokenizer of bytes: words, bad texts, resuming, kills."""

import csv
import dataclasses
import itertools
import re
import shutil

import pytest
from pyarrow import parquet

from isogloss.engine.activations import extract
from isogloss.engine.alignment import align, unit, word_tables
from isogloss.engine.whisper.tokenizer import Tokens

FILES = ("words.parquet", "utterances.parquet", "utterances.csv", "align.json")
STAND_INS = ("aa=en", "bb=fr", "cc=en")
PARTS = "parts/[!.]*.parquet"  # no drafts


@pytest.fixture(scope="module")
def config(tmp_path_factory, reader, speech):
    return align.AlignConfig(
        corpus=f"manifest:{speech}",
        model=str(reader),
        out=tmp_path_factory.mktemp("whole") / "out",
        states=("final",),
        stand_in=STAND_INS,
    )


@pytest.fixture(scope="module")
def whole(config):
    """Summary of an undisturbed run into config.out."""
    return align.run(config)


def rows(out, table="words"):
    return parquet.read_table(out / f"{table}.parquet").to_pylist()


def contents(out):
    return {name: (out / name).read_bytes() for name in FILES}


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
        assert (row["start"], row["end"]) == (
            pytest.approx(0.02 * row["first_frame"]),
            pytest.approx(0.02 * after),
        )
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
    """No frame belongs to two words, whatever the path."""
    by_utterance = {}
    for row in rows(config.out):
        by_utterance.setdefault((row["language"], row["utterance"]), []).append(row)
    for said in by_utterance.values():
        kept = [row for row in said if not row["empty"]]
        assert all(a["last_frame"] < b["first_frame"] for a, b in itertools.pairwise(kept))
        assert said[0]["first_frame"] == 0


def test_what_is_there_is_not_made_again_and_bytes_are_equal(config, whole, tmp_path):
    again = align.run(config)
    assert (again.done, again.skipped, again.words) == (0, 20, whole.words)
    copied = dataclasses.replace(config, out=tmp_path / "out")
    shutil.copytree(config.out, copied.out)
    next(iter(sorted((copied.out / "parts").iterdir()))).unlink()
    (copied.out / "words.parquet").unlink()
    assert align.run(copied).done == 7
    assert contents(copied.out) == contents(config.out)


def test_shards_make_the_same(config, whole, tmp_path):
    out = tmp_path / "out"
    halves = [dataclasses.replace(config, out=out, shard_index=i, num_shards=2) for i in (0, 1)]
    first = align.run(halves[0])
    assert first.waiting
    assert first.table is None
    assert align.run(halves[1]).waiting == 0
    assert contents(out) == contents(config.out)


def test_other_settings_are_refused(config, whole):
    with pytest.raises(ValueError, match="other settings"):
        align.run(dataclasses.replace(config, text="decoded"))


BAD = {
    ("aa", "s0"): ("", "transcription is empty"),
    ("aa", "s1"): ("   ", "transcription is empty"),
    ("aa", "s2"): ("word " * 12, "60 tokens.*the decoder holds 43"),
    ("bb", "s3"): ("so <|endoftext|> it is", "the tokenizer can't write"),
}


def test_bad_texts_are_named_and_the_rest_goes_on(config, tmp_path, speech):
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
    """What the model says, whatever it is, has words whose tokens are what it said."""
    other = dataclasses.replace(config, text="decoded", out=tmp_path / "out", languages=("aa",))
    done = align.run(other)
    said = {u["utterance"]: u for u in rows(other.out, "utterances")}
    assert len(said) == 7
    words = rows(other.out)
    assert done.words == len(words) > 0
    assert done.truncated == 0  # what is heard is all in the window
    for name, utterance in said.items():
        own = "".join(row["text"] for row in words if row["utterance"] == name)
        if not utterance["problem"]:
            assert own.split() == (utterance["text"] or "").split()


def test_from_a_store_and_when_it_is_mended(config, tmp_path, speech, reader):
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
    mended = align.run(stored)
    assert mended.complete
    assert (mended.done, mended.words) == (7, 28)
    early = align.run(dataclasses.replace(stored, states=("1",), out=tmp_path / "early"))
    assert early.complete
    assert rows(tmp_path / "early") != rows(tmp_path / "out")
    with pytest.raises(ValueError, match="states that may enter"):
        align.run(dataclasses.replace(stored, states=("3",), out=tmp_path / "never"))


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"store": "x"}, "not both"),
        ({"states": ()}, "one state"),
        ({"exit_norm": "both"}, "one state"),
    ],
)
def test_bad_flags(config, change, match, tmp_path):
    if "store" in change:
        change = {"store": tmp_path}
    with pytest.raises(ValueError, match=match):
        dataclasses.replace(config, **change)


def test_dry_run_writes_nothing(config, tmp_path):
    done = align.run(dataclasses.replace(config, out=tmp_path / "never", dry_run=True))
    assert done.plan["utterances"] == 20
    assert done.done == 0
    assert not (tmp_path / "never").exists()


def test_words_of_recordings_beyond_the_window_are_marked(config, whole):
    """The window has 2 s."""
    long = {(u["language"], u["utterance"]): u["seconds"] > 2 for u in rows(config.out, "utterances")}
    assert 0 < sum(long.values()) < 20
    assert whole.truncated == sum(long.values())
    for row in rows(config.out):
        assert row["truncated"] == long[row["language"], row["utterance"]]


def test_a_word_without_frames_ends_where_it_starts(config, whole):
    """Rows of such words are kept, and the schema is what others rely on."""
    table = parquet.read_table(config.out / "words.parquet")
    assert table.schema.equals(word_tables.WORDS)
    for row in table.to_pylist():
        assert (row["end"] == row["start"]) == row["empty"]


def test_killed_and_run_again(config, whole, tmp_path, job, files, written):
    """SIGKILL after the first part; then the job as a user runs it ends with the same words."""
    out = tmp_path / "out"
    aligning = job(
        "align", f"--corpus={config.corpus}", f"--model={config.model}", f"--out={out}",
        f"--stand_in={','.join(config.stand_in)}",
    )  # fmt: skip
    assert aligning.killed(lambda: written(out, PARTS))
    before = written(out, PARTS)
    assert aligning.summary()["skipped"] >= 7
    assert before.items() <= written(out, PARTS).items()
    found, expected = rows(out), rows(config.out)
    keys = ("language", "utterance", "word", "first_frame", "last_frame")
    assert [[r[k] for k in keys] for r in found] == [[r[k] for k in keys] for r in expected]
    assert files(out).keys() == files(config.out).keys()  # no draft
