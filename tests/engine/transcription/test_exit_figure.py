"""Figures of early exit and the rows they are drawn from: what is best, what is gained, what is shown."""

import io
import math

import numpy as np
import pyarrow as pa
import pytest
from matplotlib import image
from sacrebleu.metrics.bleu import BLEU

from isogloss.engine.decoding import early_exit
from isogloss.engine.transcription import edit_counts, exit_figure, outputs, summary as transcript_summary

BASIC = edit_counts.normaliser("fr", None)
EDITS = {("1", True): [9, 9], ("1", False): [3, 1], ("2", False): [2, 2], ("final", True): [2, 2]}


def table(edits=EDITS, texts=("a b", "c d"), references=("a b", "c e"), scored=(True, True)):
    """Two utterances of four words each, at four exits."""
    columns = {
        "language": "fr", "task": "transcribe", "language_token": "fr", "language_token_by": "own",
        "cut": False, "empty": False, "truncated": False, "left_out": False, "seconds": 1.5,
        "mean_log_probability": -0.5,
    }  # fmt: skip
    fields = "state", "exit_norm", "utterance", "text", "reference", "scored"
    made = []
    for exit, numbers in edits.items():
        for number, *of_utterance in zip(numbers, "xy", texts, references, scored, strict=True):
            counts = {name: number if "edits" in name else 4 for name in edit_counts.COUNTS}
            made.append(columns | counts | dict(zip(fields, (*exit, *of_utterance), strict=True)))
    return pa.Table.from_pylist(made)


def summarise(rows, edits, task="transcribe", normal=BASIC):
    exits = [early_exit.Exit(state=state, exit_norm=norm) for state, norm in edits]
    return transcript_summary.rows(rows, exits, task, normal)


def summary(**changed):
    return summarise(table(**changed), EDITS)


def test_of_equal_exits_the_latest_is_best():
    found = summary()
    assert [row["wer_normalised"] for row in found] == [18 / 8, 4 / 8, 4 / 8, 4 / 8]
    assert [row["best"] for row in found] == [False, False, False, True]
    assert [row["gain"] for row in found] == [-14 / 8, 0, 0, 0]
    # Exits 1 without the norm and final cost the same in all, but not on every resample.
    assert found[1]["gain_low"] < 0 < found[1]["gain_high"]
    assert found[2]["gain_low"] == found[2]["gain_high"] == 0


@pytest.mark.parametrize("lost", [0, 1])
def test_a_gain_is_of_utterances_that_both_have_scored(lost):
    """An exit may lose an utterance, its states not being finite; the final one lost none, or another."""
    edits = {("1", False): [1, 2], ("final", True): [2, 4]}
    rows = table(edits).to_pylist()
    rows[lost]["scored"] = False
    found = summarise(pa.Table.from_pylist(rows), edits)
    assert found[0]["wer_normalised"] == [2 / 4, 1 / 4][lost]
    assert found[0]["gain"] == [2 / 4, 1 / 4][lost]
    assert found[1]["gain"] == 0
    rows[3 - lost]["scored"] = False  # the final exit's other utterance: none is left that both have
    assert math.isnan(summarise(pa.Table.from_pylist(rows), edits)[0]["gain"])


def test_without_references_nothing_is_best():
    found = summary(scored=(False, False))
    assert all(math.isnan(row["wer"]) and math.isnan(row["gain"]) and not row["best"] for row in found)
    assert [row["without_reference"] for row in found] == [2] * 4
    assert outputs.best_exits(found).count("\n") == 0


def test_a_translation_is_judged_by_bleu():
    edits = {("1", True): [0, 0], ("final", True): [0, 0]}
    given = table(edits, texts=("the cat sat on it", "a dog ran off"), references=("the cat sat on it", "no"))
    found = summarise(given, edits, "translate")
    assert found[1]["best"]
    assert found[0]["primary"] == "bleu"
    assert 0 < found[0]["bleu"] < 100
    assert math.isnan(found[0]["wer"])
    drawn = exit_figure.draw(found)
    assert drawn.axes[0].get_title(loc="left") == "BLEU, the one to look at"


def test_a_figure_says_what_bleu_counts():
    edits = {("1", True): [0, 0], ("final", True): [0, 0]}
    given = table(edits, texts=("这扇门是红色的", "猫睡了"), references=("这扇门是红的", "猫睡了"))
    for language, tokenizer, said in (
        ("zh", "zh", "Chinese"),
        ("ja", "char", "characters"),
        ("fr", "13a", ""),
    ):
        found = summarise(given, edits, "translate", edit_counts.normaliser(language, None))
        expected = BLEU(tokenize=tokenizer).corpus_score(
            ["这扇门是红色的", "猫睡了"], [["这扇门是红的", "猫睡了"]]
        )
        assert found[0]["bleu"] == pytest.approx(expected.score)
        assert f"tok:{tokenizer}|" in found[0]["bleu_signature"]
        note = exit_figure.draw(found).texts[1].get_text()
        assert said in note
        assert ("BLEU of" in note) == bool(said)


def test_lines_bands_ring_and_what_is_beyond_the_edge():
    found = summary()
    figure = exit_figure.draw(found)
    words, characters = figure.axes
    assert words.get_title(loc="left") == "Word error rate, the one to look at"
    assert characters.get_title(loc="left") == "Character error rate"
    assert [tick.get_text() for tick in words.get_xticklabels()] == ["1", "2", "final"]
    lines = {line.get_label(): line.get_xydata().tolist() for line in words.get_lines()}
    assert lines["with the final LayerNorm"] == [[0, 18 / 8], [2, 0.5]]
    assert lines["without"] == [[0, 0.5], [1, 0.5]]
    assert words.get_ylim()[1] == 1.5
    [beyond] = [line for line in words.get_lines() if line.get_marker() == "^" and len(line.get_xdata())]
    assert beyond.get_xdata().tolist() == [0]
    assert [text.get_text() for text in words.texts] == ["best: final, 50.0%"]
    assert not characters.texts
    files = [io.BytesIO(), io.BytesIO()]
    for file, again in zip(files, (figure, exit_figure.draw(found)), strict=True):
        again.savefig(file)
        file.seek(0)
    assert files[0].getvalue() == files[1].getvalue()
    assert np.ptp(image.imread(files[0])[..., :3]) > 0.9


def test_the_terminal_table_names_the_best_exit():
    lines = outputs.best_exits(summary()).splitlines()
    assert len(lines) == 2
    assert "50.0 [50.0, 50.0]" in lines[1]
    assert lines[1].endswith(" 0.0 [0.0, 0.0]")


def test_the_metric_to_look_at():
    chinese, swahili = (edit_counts.normaliser(code, None) for code in ("zh", "sw"))
    assert transcript_summary.primary("transcribe", chinese) == "cer_normalised"
    assert transcript_summary.primary("transcribe", swahili) == "wer_normalised"
    assert transcript_summary.primary("translate", chinese) == "bleu"
