"""The transcribe job on a tiny random model of bytes: rows, tables, broken recordings, stores, BLEU."""

import csv
import dataclasses
import json
import shutil

import numpy as np
import pytest
from drawn_figures import looks
from pyarrow import parquet

from isogloss.engine.activations import activation_store, extract, open_states, store_languages
from isogloss.engine.checkpoints.checkpoint import load_checkpoint
from isogloss.engine.decoding import decoder_program
from isogloss.engine.decoding.decoder_program import EncodedRows
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.transcription import edit_counts, references, transcribe
from isogloss.engine.whisper import encoder_program
from isogloss.engine.whisper.tokenizer import Tokens

LANGUAGE_TOKENS = {"aa": "en", "bb": "kk", "cc": "fr"}
LABELS = [("1", True), ("1", False), ("2", False), ("final", True)]


@pytest.fixture
def config(transcribed):
    return transcribed[0]


@pytest.fixture
def whole(transcribed):
    """Summary of an undisturbed run into config.out."""
    return transcribed[1]


def rows(out):
    return parquet.read_table(out / "transcripts.parquet").to_pylist()


def test_one_row_per_utterance_state_and_form(config, whole, speech):
    assert whole.complete
    assert (whole.done, whole.skipped, whole.waiting, whole.rows) == (20, 0, 0, 3 * len(LABELS))
    found = rows(config.out)
    assert len(found) == 20 * len(LABELS)
    assert [(row["state"], row["exit_norm"]) for row in found[:4]] == LABELS
    listed = [line.split("\t") for line in speech.read_text().splitlines()[1:]]
    expected = [(language, sentence, text) for language, sentence, _, text in listed for _ in LABELS]
    assert [(r["language"], r["sentence"], r["reference"]) for r in found] == expected
    for row in found:
        assert (row["language_token"], row["language_token_by"]) == (
            LANGUAGE_TOKENS[row["language"]],
            "given",
        )
        assert row["visible"] == 100
        assert row["empty"] == (row["text"] == "")
        assert row["mean_log_probability"] < 0
        assert row["truncated"] == (row["seconds"] > 2)
        assert row["problem"] == ""
        limit = min(44, 16 + int(np.ceil(row["frames"] * 0.02 * 25)))  # tokens that the duration allows
        assert len(row["tokens"]) == limit if row["cut"] else len(row["tokens"]) < limit
    assert {row["cut"] for row in found} == {True, False}
    assert len({row["text"] for row in found}) > 20


def test_each_exit_is_what_it_says(config, whole, float64_whisper):
    """Decoded again one by one; the LayerNorm of exit_norm by NumPy, from the checkpoint's tensors."""
    checkpoint, tokens = load_checkpoint(config.model), Tokens.load(config.model)
    source = open_states.open_audio(config.corpus, checkpoint, ("1", "2", "final"), languages=("bb",))
    decoding = decoder_program.load(
        checkpoint, tokens, encoder_program.precision_for("cpu"), rows_per_device=1, devices=1
    )
    names = [f"encoder.layer_norm.{leaf}" for leaf in ("weight", "bias")]
    whisper = float64_whisper({name: checkpoint.read(name) for name in names}, heads=2)
    found = {
        (r["sentence"], r["state"], r["exit_norm"]): r for r in rows(config.out) if r["language"] == "bb"
    }
    for row in (0, 5):
        [made] = source.encoded("bb", [row])
        spoken = source.utterances("bb")[row]
        normed = whisper.norm(made.states[0].astype(np.float64), "encoder.layer_norm")
        states = [normed.astype(np.float32), made.states[0], made.states[1], made.states[2]]
        limit = min(44, 16 + int(np.ceil(spoken.frames * 0.02 * 25)))
        for (state, norm), frames in zip(LABELS, states, strict=True):
            one = EncodedRows(
                states=frames[None], visible=np.array([100], np.int32), apply_norm=np.array([False])
            )
            [decoded] = decoding.generate(one, [tokens.prompt("kk")], np.array([limit], np.int32))
            there = found[spoken.sentence, state, norm]
            assert there["tokens"] == list(decoded.tokens)
            assert there["text"] == tokens.decode(decoded.tokens).strip()
            count = len(decoded.tokens) + (not decoded.cut)
            assert there["mean_log_probability"] == pytest.approx(decoded.log_probability / count, rel=1e-5)


def test_the_summary_adds_up(config, whole):
    found = rows(config.out)
    with (config.out / "summary.csv").open(newline="") as file:
        summary = list(csv.DictReader(file))
    assert [(r["language"], r["state"], r["exit_norm"]) for r in summary] == [
        (language, state, str(norm)) for language in LANGUAGE_TOKENS for state, norm in LABELS
    ]
    for row in summary:
        exit = [row["language"], row["state"], row["exit_norm"]]
        mine = [r for r in found if [r["language"], r["state"], str(r["exit_norm"])] == exit]
        assert int(row["utterances"]) == int(row["scored"]) == len(mine)
        for metric, edits, lengths in (
            ("wer", "word_edits", "words"),
            ("cer_normalised", "char_edits_normalised", "chars_normalised"),
        ):
            rate = sum(r[edits] for r in mine) / sum(r[lengths] for r in mine)
            assert float(row[metric]) == pytest.approx(rate, rel=1e-12)
            assert float(row[f"{metric}_low"]) <= rate <= float(row[f"{metric}_high"])
        assert int(row["cut"]) == sum(r["cut"] for r in mine)
        assert row["primary"] == "wer_normalised"
    for language in LANGUAGE_TOKENS:
        mine = [row for row in summary if row["language"] == language]
        rates = [float(row["wer_normalised"]) for row in mine]
        [best] = [row for row in mine if row["best"] == "True"]
        assert float(best["wer_normalised"]) == min(rates)
        for row, rate in zip(mine, rates, strict=True):
            assert float(row["gain"]) == pytest.approx(rates[-1] - rate, abs=1e-12)
        assert [mine[-1][f"gain{end}"] for end in ("", "_low", "_high")] == ["0.0"] * 3
        assert whole.best[language]["state"] == best["state"]
    row = found[0]
    again = edit_counts.counts([row["reference"]], [row["text"]], edit_counts.normaliser("aa", None))
    assert {name: int(values[0]) for name, values in again.items()} == {name: row[name] for name in again}


@pytest.mark.deep
def test_languages_may_be_added(config, whole, tmp_path, files):
    some = transcribe.run(dataclasses.replace(config, out=tmp_path, languages=("aa", "cc")))
    assert (some.done, some.rows) == (13, 8)
    every = transcribe.run(dataclasses.replace(config, out=tmp_path))
    assert (every.done, every.skipped, every.rows) == (7, 13, 12)
    assert files(tmp_path) == files(config.out)
    (tmp_path / "exits_notes.txt").write_text("a user's own")
    (tmp_path / "exits_bb.png").unlink()
    (tmp_path / "exits_bb.png").mkdir()
    fewer = transcribe.run(dataclasses.replace(config, out=tmp_path, languages=("aa",), figure_width=3.5))
    assert (fewer.done, fewer.skipped) == (0, 7)
    assert looks(tmp_path / "exits_aa.svg")[0] == 3.5
    left = sorted(path.name for path in tmp_path.glob("exits_*"))
    assert left == ["exits_aa.pdf", "exits_aa.png", "exits_aa.svg", "exits_bb.png", "exits_notes.txt"]


def test_some_sentences_have_the_texts_that_they_have_among_all(config, whole, tmp_path):
    every, file = rows(config.out), tmp_path / "sentences.txt"
    wanted = {row["sentence"] for row in every if row["language"] == "aa"} - {every[0]["sentence"]}
    file.write_text("\n".join(sorted(wanted)) + "\n")
    some = dataclasses.replace(config, out=tmp_path / "out", languages=("aa",), sentences=file)
    assert transcribe.run(some).done == len(wanted)
    expected = [row["text"] for row in every if row["language"] == "aa" and row["sentence"] in wanted]
    assert [row["text"] for row in rows(some.out)] == expected
    with pytest.raises(Refusal, match="sentences_sha256"):
        transcribe.run(dataclasses.replace(some, sentences=None))
    file.write_text("none of them")
    with pytest.raises(Refusal, match=r"--sentences=.*: aa has no utterance of these sentences. Remedy"):
        transcribe.run(dataclasses.replace(some, out=tmp_path / "other"))


def test_a_folder_where_a_figure_goes_is_refused_before_anything_is_computed(config, tmp_path):
    (tmp_path / "exits_bb.svg").mkdir()
    with pytest.raises(Refusal, match=r"exits_bb\.svg: is a folder"):
        transcribe.run(dataclasses.replace(config, out=tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["exits_bb.svg"]


def test_a_broken_recording_is_named_and_tried_again(config, whole, speech, tmp_path):
    shutil.copytree(speech.parent, tmp_path / "speech")
    sound = tmp_path / "speech" / "aa-1.wav"
    good = sound.read_bytes()
    sound.write_bytes(b"not a sound".ljust(len(good)))  # of the same size, so the listing is the same
    text = (tmp_path / "speech" / "speech.tsv").read_text().replace("sentence 3 in aa", "...")
    (tmp_path / "speech" / "speech.tsv").write_text(text)
    changed = dataclasses.replace(
        config, corpus=f"manifest:{tmp_path}/speech/speech.tsv", out=tmp_path / "out", languages=("aa",)
    )
    expected = transcribe.run(dataclasses.replace(changed, dry_run=True))
    done = transcribe.run(changed)
    assert not done.complete
    assert list(done.failed) == ["aa s1.0"]
    assert expected.failed == done.failed == transcribe.run(dataclasses.replace(changed, dry_run=True)).failed
    assert "aa-1.wav" in done.failed["aa s1.0"]
    found, usual = rows(changed.out), [r for r in rows(config.out) if r["language"] == "aa"]
    assert [r["text"] for r in found if r["sentence"] == "s1"] == [None] * 4
    others = [(r["text"], r["tokens"]) for r in usual if r["sentence"] != "s1"]
    assert [(r["text"], r["tokens"]) for r in found if r["sentence"] != "s1"] == others
    assert [r["scored"] for r in found if r["sentence"] == "s3"] == [False] * 4
    summary = parquet.read_table(changed.out / "summary.parquet").to_pylist()
    counts = [summary[0][name] for name in ("utterances", "scored", "broken", "without_reference")]
    assert counts == [7, 5, 1, 1]
    again = transcribe.run(changed)
    assert (again.done, again.skipped, list(again.failed)) == (0, 7, ["aa s1.0"])
    sound.write_bytes(good)
    recovered = transcribe.run(changed)
    assert (recovered.done, recovered.complete) == (7, True)
    assert [r["text"] for r in rows(changed.out)] == [r["text"] for r in usual]


def test_from_a_store_the_decoder_sees_the_utterance_alone(config, whole, tmp_path):
    extract.run(
        extract.ExtractConfig(
            corpus=config.corpus, model=config.model, store=tmp_path / "store",
            languages=("aa",), states=("1", "2"), dtype="float32", )
    )  # fmt: skip
    (tmp_path / "store" / "aa.zarr" / "states" / "c.2.0.0.0").unlink()
    activation_store.open_store(tmp_path / "store", "aa").note_failure(2, "aa-2.wav: broken")
    changed = dataclasses.replace(
        config, corpus=None, store=tmp_path / "store", out=tmp_path / "out", silence=False
    )
    done = transcribe.run(changed)
    assert list(done.failed) == ["aa s2.0"]
    found = [r for r in rows(changed.out) if not r["problem"]]
    assert len(found) == 6 * len(LABELS)
    assert all(r["visible"] == r["frames"] for r in found)
    # An utterance as long as the window has no silence that a store could lose.
    names = ("utterance", "state", "exit_norm", "text")
    full = {tuple(r[name] for name in names) for r in found if r["frames"] == 100}
    assert len(full) == 2 * len(LABELS)
    assert full <= {tuple(r[name] for name in names) for r in rows(config.out)[:28]}
    filled = dataclasses.replace(changed, silence=True, out=tmp_path / "filled")
    transcribe.run(filled)
    whole_window = [r for r in rows(filled.out) if not r["problem"]]
    assert {r["visible"] for r in whole_window} == {100}
    assert full <= {tuple(r[name] for name in names) for r in whole_window}
    assert [r["text"] for r in whole_window] != [r["text"] for r in found]


@pytest.mark.parametrize("silence", [True, False])
def test_a_window_cuts_speech_and_silence(config, tmp_path, caplog, silence):
    """Texts of the first 60 of 100 frames, decoded again one by one from what the store holds."""
    extract.run(
        extract.ExtractConfig(
            corpus=config.corpus, model=config.model, store=tmp_path / "store",
            languages=("bb",), states=("final",), dtype="float32", )
    )  # fmt: skip
    changed = dataclasses.replace(
        config, corpus=None, store=tmp_path / "store", out=tmp_path / "out", languages=("bb",),
        states=("final",), exit_norm="true", stand_in=("bb=kk",), silence=silence, window=60,
    )  # fmt: skip
    expected = transcribe.run(dataclasses.replace(changed, dry_run=True))
    done, found = transcribe.run(changed), rows(changed.out)
    checkpoint, tokens = load_checkpoint(config.model), Tokens.load(config.model)
    source = open_states.open_store(tmp_path / "store", checkpoint, ("final",), silence=silence)
    decoding = decoder_program.load(
        checkpoint, tokens, encoder_program.precision_for("cpu"), rows_per_device=1, devices=1
    )
    utterances = source.utterances("bb")
    for row, listed, made in zip(found, utterances, source.encoded("bb", range(7)), strict=True):
        frames = min(60, listed.frames)
        visible = 60 if silence else frames
        one = EncodedRows(
            states=made.states[:, :60], visible=np.array([visible], np.int32), apply_norm=np.array([False])
        )
        limit = min(44, 16 + int(np.ceil(frames * 0.02 * 25)))
        [decoded] = decoding.generate(one, [tokens.prompt("kk")], np.array([limit], np.int32))
        assert row["tokens"] == list(decoded.tokens)
        assert (row["frames"], row["visible"]) == (frames, visible)
        assert row["truncated"] == (listed.frames > 60)
        assert row["scored"]
    longer = sum(listed.frames > 60 for listed in utterances)
    assert 0 < longer < 7
    assert done.truncated == expected.truncated == longer
    assert (
        f"{longer} utterances are longer than --window=60 and were transcribed up to its end" in caplog.text
    )
    summary = parquet.read_table(changed.out / "summary.parquet").to_pylist()
    assert [row["truncated"] for row in summary] == [longer]
    with pytest.raises(Refusal, match="window"):
        transcribe.run(dataclasses.replace(changed, window=0))


def test_the_whole_window_leaves_folders_as_they_are(config, whole, tmp_path):
    assert "window" not in json.loads((config.out / "transcribe.json").read_text())
    whole_again = dataclasses.replace(config, window=100)
    again = transcribe.run(whole_again)
    assert (again.done, again.skipped) == (0, 20)
    with pytest.raises(Refusal, match="--window must be at most the model's 100 frames, got 101"):
        transcribe.run(dataclasses.replace(config, out=tmp_path, window=101))


def test_english_that_is_still_to_be_stored_is_refused_as_the_references_of_a_translation(config, tmp_path):
    """Without it the first shards would have no references, and later ones would."""
    store_languages.plan(tmp_path, {"en_us": 7}, {"model": "tiny", "weights_sha256": "ab", "settings": {}})
    given = dataclasses.replace(config, corpus=None, store=tmp_path, task="translate")
    with pytest.raises(Refusal, match="'en_us' isn't extracted"):
        references._translations(given)


def test_translation_into_another_language_with_detection(config, tmp_path, caplog):
    changed = dataclasses.replace(
        config, out=tmp_path, task="translate", language="detect", references="bb", languages=("aa", "cc"),
        states=("final",), stand_in=(),
    )  # fmt: skip
    done = transcribe.run(changed)
    assert done.complete
    found = parquet.read_table(tmp_path / "transcripts.parquet").to_pylist()
    assert [r["reference"] for r in found[:2]] == ["sentence 0 in bb", "sentence 1 in bb"]
    assert {r["language_token_by"] for r in found} == {"detected"}
    assert {r["language_token"] for r in found} <= {"en", "kk", "fr"}
    assert all(1 / 3 <= r["language_probability"] <= 1 for r in found)
    [aa, _] = parquet.read_table(tmp_path / "summary.parquet").to_pylist()
    assert aa["primary"] == "bleu"
    assert aa["bleu_signature"].startswith("nrefs:1|")
    assert aa["chrf_signature"].startswith("nrefs:1|")
    assert 0 <= aa["chrf_low"] <= aa["chrf"] <= aa["chrf_high"] <= 100
    assert np.isnan(aa["wer"])
    assert not list(tmp_path.glob("*.png"))
    without = dataclasses.replace(changed, references=None, dry_run=True)
    transcribe.run(dataclasses.replace(without, out=tmp_path / "none"))
    assert "has no English" in caplog.text


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"stand_in": ()}, "--stand_in=aa=LANGUAGE"),
        ({"stand_in": ("aa=xx",)}, "got 'xx'"),
        ({"states": ("0",)}, "1, 2, final"),
        ({"corpus": None}, "--corpus, or --store"),
        ({"num_beams": 0}, "--num_beams"),
        ({"references": "zz", "task": "translate"}, "'zz'"),
    ],
)
def test_nonsense_is_refused_before_anything_is_made(config, tmp_path, changed, words):
    with pytest.raises(ValueError, match=words):
        transcribe.run(dataclasses.replace(config, out=tmp_path / "out", **changed))
    assert not (tmp_path / "out").exists()
