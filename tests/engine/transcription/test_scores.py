"""The scores job on made-up transcripts: scores by sacrebleu, shifted texts, differences, COMET's lines."""

import json
import pathlib
import shutil
import subprocess
import sys
from unittest import mock

import numpy as np
import pandas as pd
import pytest
import sacrebleu
from drawn_figures import looks

from isogloss.engine.activations import activation_store
from isogloss.engine.activations.stored_states import Stored
from isogloss.engine.decoding.job_input import DecoderInput
from isogloss.engine.decoding.language_token import Token
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.transcription import model_scores, references, scores, scores_figure
from isogloss.engine.transcription.scores_config import ScoresConfig
from isogloss.engine.transcription.transcribe_config import TranscribeConfig

REFERENCES = [
    "la puerta es roja",
    "el gato duerme mucho",
    "mañana lloverá otra vez",
    "tengo tres hermanas mayores",
]
ENDS = ("", "_low", "_high", "_difference", "_difference_low", "_difference_high", "_mismatched")
WRONG = ["la puerta roja", "un perro duerme", "hoy no llueve", "tengo hermanas"]


@pytest.fixture
def runs(tmp_path, spoken):
    """Folders of two models' texts of English speech: in Spanish, and its transcription by both alike."""
    names = spoken_names(spoken)
    for folder, task, token, texts in (
        ("a-es", "translate", "es", WRONG),
        ("b-es", "translate", "es", REFERENCES),
        ("a-aa", "transcribe", "en", REFERENCES),
        ("b-aa", "transcribe", "en", REFERENCES),
    ):
        rows = [
            {"language": "aa", "utterance": name, "sentence": f"s{i}", "task": task, "language_token": token,
             "language_token_by": "given", "text": text, "reference": reference,
             "scored": i != 3 or task == "transcribe"}
            for i, (name, text, reference) in enumerate(zip(names, texts, REFERENCES, strict=True))
        ]  # fmt: skip
        (tmp_path / folder).mkdir()
        pd.DataFrame(rows).to_parquet(tmp_path / folder / "transcripts.parquet")
        settings(tmp_path / folder, token if task == "translate" else None)
    return tuple(f"{name[0]}={tmp_path / name}" for name in ("a-es", "b-es", "a-aa", "b-aa"))


def settings(folder, references):
    """What a run of transcribe with these --references stores."""
    stored = {"job": "transcribe", "references": references}
    (folder / "transcribe.json").write_text(json.dumps(stored))


def spoken_names(spoken):
    return list(activation_store.open_store(spoken / "store", "aa").names)[:4]


def table(out):
    return pd.read_parquet(out / "scores.parquet").set_index(["model", "pair"])


def test_scores_stand_beside_those_of_mismatched_speech(runs, spoken, tmp_path):
    config = ScoresConfig(
        store=spoken / "store",
        new="aa-es",
        old=("aa-aa",),
        runs=runs,
        out=tmp_path / "out",
        figure_width=3.5,
        figure_font="DejaVu Serif",
    )
    summary = scores.run(config)
    assert looks(config.out / "scores.svg") == (3.5, {"DejaVu Serif"})
    assert (summary.rows, summary.plan) == (4, {"tasks": 4, "texts": 14})
    found = table(config.out)
    assert found.loc[("a", "aa-es"), "chrf"] == pytest.approx(
        sacrebleu.corpus_chrf(WRONG[:3], [REFERENCES[:3]]).score
    )
    shifted = [WRONG[1:3] + WRONG[:1], [WRONG[2], *WRONG[:2]]]
    expected = sum(sacrebleu.corpus_chrf(texts, [REFERENCES[:3]]).score for texts in shifted) / 2
    assert found.loc[("a", "aa-es"), "chrf_mismatched"] == pytest.approx(expected)
    gain = found.loc[("b", "aa-es")]
    assert gain["chrf_difference"] == pytest.approx(100 - found.loc[("a", "aa-es"), "chrf"])
    assert 0 < gain["chrf_difference_low"] <= gain["chrf_difference"] <= gain["chrf_difference_high"]
    assert found.loc[("b", "aa-aa"), "chrf_difference"] == 0
    assert list(found["kind"]) == ["new", "new", "old", "old"]
    assert found["comet"].isna().all()
    assert (config.out / "scores.png").stat().st_size > 0
    beside = pd.read_csv(config.out / "side_by_side.csv").set_index(["model", "metric"])
    assert list(beside) == [pair + end for pair in ("aa-es", "aa-aa") for end in ENDS]
    for name, metric in (("chrF", "chrf"), ("BLEU", "bleu")):
        for pair in ("aa-es", "aa-aa"):
            for end in ENDS:
                ours = beside.loc[[("a", name), ("b", name)], pair + end]
                expected = found.loc[[("a", pair), ("b", pair)], metric + end]
                assert ours.tolist() == pytest.approx(expected.tolist(), nan_ok=True)
                assert ours.isna().tolist() == ["difference" in end, False]


def test_bleu_of_a_language_without_spaces(runs, spoken, tmp_path):
    texts = {"a": ["门是红色的。", "那只猫睡了很久", "明天会再下雨吗"], "b": ["这扇门是红色的。"] * 3}
    references = ["这扇门是红色的。", "那只猫睡得很久", "明天又要下雨了"]
    for model, written in texts.items():
        settings(tmp_path / f"{model}-es", "zh-CN")
        file = tmp_path / f"{model}-es" / "transcripts.parquet"
        found = pd.read_parquet(file).iloc[:3]
        found.assign(text=written, reference=references).to_parquet(file)
    config = ScoresConfig(store=spoken / "store", new="aa-zh-CN", runs=runs[:2], out=tmp_path / "out")
    scores.run(config)
    found = table(config.out).loc[("a", "aa-zh-CN")]
    bleu = sacrebleu.metrics.BLEU(tokenize="zh")
    assert found["bleu"] == pytest.approx(bleu.corpus_score(texts["a"], [references]).score)
    assert found["bleu_signature"] == str(bleu.get_signature())
    shifted = [texts["a"][shift:] + texts["a"][:shift] for shift in (1, 2)]
    expected = [bleu.corpus_score(given, [references]).score for given in shifted]
    assert found["bleu_mismatched"] == pytest.approx(sum(expected) / 2)
    assert "sentence 0 in aa" in (config.out / "comet.jsonl").read_text()


@pytest.mark.parametrize(
    ("target", "token", "by", "tokenizer"),
    [
        *(("hak", "zh", "given", "zh"), ("hak", "zh", "stand-in", "13a"), ("hak", "ja", "given", "char")),
        *(("en_us", "zh", "given", "13a"), ("cmn_hans_cn", "en", "given", "zh"), ("ky", "zh", "given", "zh")),
    ],
)
def test_bleu_counts_by_the_rules_of_a_given_token(
    runs, spoken, tmp_path, monkeypatch, target, token, by, tokenizer
):
    """Of a language that Whisper lacks by the rules of the token that a flag gave it; so does transcribe."""
    store = activation_store.open_store(spoken / "store", "aa")
    source = Stored(stores={"aa": store}, states=(), taken=(), positions=100)
    given = mock.Mock(spec=DecoderInput, source=source, tokens={"aa": Token(language=token, how=by)})
    config = TranscribeConfig(
        store=spoken / "store", model="m", out=tmp_path, task="translate", references=target
    )
    monkeypatch.setattr(references, "_translations", lambda config: (target, {}))
    assert references.read(config, given, None).normal["aa"].tokenizer == tokenizer
    for model in ("a", "b"):
        settings(tmp_path / f"{model}-es", target)
        file = tmp_path / f"{model}-es" / "transcripts.parquet"
        pd.read_parquet(file).assign(language_token=token, language_token_by=by).to_parquet(file)
    options = {"store": spoken / "store", "new": f"aa-{target}", "runs": runs[:2], "out": tmp_path / "out"}
    scores.run(ScoresConfig(**options))
    assert all(f"|tok:{tokenizer}|" in signature for signature in table(tmp_path / "out")["bleu_signature"])


def test_texts_that_bleu_counts_otherwise_are_not_compared(runs, spoken, tmp_path):
    for model, token in (("a", "zh"), ("b", "ja")):
        settings(tmp_path / f"{model}-es", "hak")
        file = tmp_path / f"{model}-es" / "transcripts.parquet"
        found = pd.read_parquet(file).assign(language_token=token, language_token_by="given")
        found.to_parquet(file)
    options = {"store": spoken / "store", "new": "aa-hak", "runs": runs[:2], "out": tmp_path / "out"}
    with pytest.raises(Refusal, match="aa-hak: BLEU would count by tokenizer zh in texts of a, by char"):
        scores.run(ScoresConfig(**options))


def texts_of(*scored):
    by_utterance = {
        f"u{i}": model_scores.ScoredText(sentence=sentence, text=text, reference=reference)
        for i, (sentence, text, reference) in enumerate(scored)
    }
    return model_scores.TaskTexts(
        model="a", speech="aa", written="es", tokenizer="13a", by_utterance=by_utterance
    )


def test_mismatched_speech_is_of_another_sentence_and_another_reference():
    red, cat, rain = (
        ("s0", WRONG[0], REFERENCES[0]),
        ("s1", WRONG[1], REFERENCES[1]),
        ("s2", WRONG[2], REFERENCES[2]),
    )
    again = ("s9", "la puerta rosa", REFERENCES[0])  # the same words under another id
    found = model_scores.mismatched(texts_of(red, red, cat, again, rain))
    every = [red, red, cat, again, rain]
    shifts = []
    for shift in (1, 2, 3, 4):
        pairs = [(every[(i + shift) % 5], every[i]) for i in range(5)]
        apart = [(a[1], b[2]) for a, b in pairs if a[0] != b[0] and a[2] != b[2]]
        assert len(apart) < 5
        shifts.append(tuple(zip(*apart, strict=True)))
    chrf = [sacrebleu.corpus_chrf(list(texts), [list(refs)]).score for texts, refs in shifts]
    bleu = [sacrebleu.corpus_bleu(list(texts), [list(refs)]).score for texts, refs in shifts]
    assert found["chrf_mismatched"] == pytest.approx(sum(chrf) / 4)
    assert found["bleu_mismatched"] == pytest.approx(sum(bleu) / 4)
    for alike in (texts_of(red, red, again), texts_of(red)):
        assert np.isnan(list(model_scores.mismatched(alike).values())).all()


def test_a_task_that_a_model_lacks_is_blank_beside_the_others(runs, spoken, tmp_path, caplog):
    """What was learnt comes first."""
    config = ScoresConfig(store=spoken / "store", new="aa-aa", runs=runs[1:], out=tmp_path / "out")
    with caplog.at_level("INFO"):
        scores.run(config)
    beside = pd.read_csv(config.out / "side_by_side.csv").set_index(["model", "metric"])
    assert list(beside) == [pair + end for pair in ("aa-aa", "aa-es") for end in ENDS]
    assert beside.loc[("a", "chrF")].isna().tolist() == 7 * [False] + 7 * [True]
    differs = [name for name in beside if "difference" in name]
    assert beside.loc["b"].drop(columns=differs).notna().all(axis=None)
    assert "a has no text of aa-es: its cells are blank" in caplog.messages
    (text,) = (message for message in caplog.messages if message.startswith("scores:"))
    head, *lines = text.splitlines()[1:]
    assert head.split("  ")[0] == "chrF (mismatched)"
    assert "aa-aa, new" in head
    assert "aa-es, zero-shot" in head
    assert [line.split()[0] for line in lines] == ["b", "a"]
    assert lines[1].count("(") == 1


def test_every_unseen_language_has_a_column_between_what_is_new_and_what_is_old(
    runs, spoken, tmp_path, caplog
):
    """A task learnt, two zero-shot, two old, each beside its score of mismatched speech."""
    for speech in ("bb", "cc"):
        copied = tmp_path / f"a-{speech}"
        shutil.copytree(tmp_path / "a-es", copied)
        file = copied / "transcripts.parquet"
        pd.read_parquet(file).assign(language=speech).to_parquet(file)
    shutil.copytree(tmp_path / "a-bb", tmp_path / "a-bb-en")
    settings(tmp_path / "a-bb-en", "en")
    old = (f"a={tmp_path}/a-bb-en", runs[2])
    new = (f"a={tmp_path}/a-bb", f"a={tmp_path}/a-cc", runs[0])
    config = ScoresConfig(
        store=spoken / "store", new="aa-es", old=("bb-en", "aa-aa"), runs=(*old, *new), out=tmp_path / "out"
    )
    with caplog.at_level("INFO"):
        scores.run(config)
    tasks = {"aa-es": "new", "bb-es": "zero-shot", "cc-es": "zero-shot", "bb-en": "old", "aa-aa": "old"}
    beside = pd.read_csv(config.out / "side_by_side.csv")
    assert list(beside) == ["model", "metric", *(pair + end for pair in tasks for end in ENDS)]
    assert beside[[f"{pair}{end}" for pair in tasks for end in ("", "_mismatched")]].notna().all(axis=None)
    (text,) = (message for message in caplog.messages if message.startswith("scores:"))
    head, line = text.splitlines()[1:]
    shown = [head.index(f"{pair}, {kind}") for pair, kind in tasks.items()]
    assert shown == sorted(shown)
    assert line.count("(") == len(tasks)


def test_a_point_of_the_figure_has_the_intervals_of_both_changes(runs, spoken, tmp_path):
    config = ScoresConfig(
        store=spoken / "store", new="aa-es", old=("aa-aa",), runs=runs, out=tmp_path / "out"
    )
    scores.run(config)
    found = table(config.out).reset_index().to_dict("records")
    [axes] = scores_figure.draw(found, "aa-es").axes
    lines = [line.get_xydata().tolist() for line in axes.get_lines()]
    new, old = (
        next(r for r in found if (r["model"], r["pair"]) == ("b", pair)) for pair in ("aa-es", "aa-aa")
    )
    x, y = new["chrf_difference"], old["chrf_difference"]
    assert [[new["chrf_difference_low"], y], [new["chrf_difference_high"], y]] in lines
    assert [[x, old["chrf_difference_low"]], [x, old["chrf_difference_high"]]] in lines


def test_averages_lie_on_a_line_from_the_start_to_the_end():
    places = {"plain": (9.0, -3.0), "plain/average-0.25": (7.0, -1.0), "plain/average-0.5": (4.0, 0.5)}
    places |= {"replay": (5.0, 1.0), "replay/average-x": (1.0, 1.0), "plainer/average-0.5": (2.0, 2.0)}
    assert scores_figure._curves(places) == [[(0, 0), (4.0, 0.5), (7.0, -1.0), (9.0, -3.0)]]


def test_a_model_is_named_once_where_its_points_lie_close():
    assert scores_figure._apart([0.1, 5.0, float("nan"), 0.0, 4.95, -3.0], 0.3) == [5.0, 0.1, -3.0]


def test_scores_of_another_tool_come_back(runs, spoken, tmp_path):
    config = ScoresConfig(store=spoken / "store", new="aa-es", runs=runs[:2], out=tmp_path / "out")
    scores.run(config)
    lines = [json.loads(line) for line in (config.out / "comet.jsonl").read_text().splitlines()]
    names, other = spoken_names(spoken)[:3], [1, 2, 0]
    for i, texts in enumerate((WRONG, REFERENCES)):
        own, mismatched = lines[6 * i : 6 * i + 3], lines[6 * i + 3 : 6 * i + 6]
        assert [line["mt"] for line in own] == texts[:3]
        assert [line["mt"] for line in mismatched] == [texts[k] for k in other]
        assert [line["spoken"] for line in own + mismatched] == names + [names[k] for k in other]
        for key, values in (("utterance", names), ("ref", REFERENCES[:3])):
            assert [line[key] for line in own] == [line[key] for line in mismatched] == values
        assert [line["src"] for line in own] == [f"sentence {k} in aa" for k in range(3)]
    given = tmp_path / "given.jsonl"
    given.write_text("".join(json.dumps({**line, "score": i / 10}) + "\n" for i, line in enumerate(lines)))
    again = ScoresConfig(
        store=spoken / "store", new="aa-es", runs=runs[:2], out=tmp_path / "again", scores=given
    )
    scores.run(again)
    assert list(table(again.out)["comet"]) == pytest.approx([0.1, 0.7])
    assert list(table(again.out)["comet_mismatched"]) == pytest.approx([0.4, 1.0])
    change = table(again.out).loc[("b", "aa-es")]
    ends = [change[f"comet_difference{end}"] for end in ("", "_low", "_high")]
    assert ends == pytest.approx([0.6] * 3)  # the same of every utterance
    beside = pd.read_csv(again.out / "side_by_side.csv").set_index(["model", "metric"])
    columns = ["aa-es", "aa-es_difference", "aa-es_mismatched"]
    assert beside.loc[("b", "COMET"), columns].tolist() == pytest.approx([0.7, 0.6, 1.0])
    for bad in ("NaN", "Infinity", '"good"', "null"):
        cut = json.dumps(lines[1])[:-1]
        given.write_text(json.dumps({**lines[0], "score": 1}) + f'\n{cut}, "score": {bad}}}\n')
        with pytest.raises(Refusal, match=r"given\.jsonl line 2: .* score, a finite number"):
            scores.run(again)
    given.write_text('{"model": "a"}\n')
    with pytest.raises(Refusal, match=r"given\.jsonl line 1: .* score, a finite number \(KeyError"):
        scores.run(again)


def test_the_lines_of_python_that_the_guide_gives(runs, spoken, tmp_path):
    """Run with a stand-in for the package: a score is the number of letters of the text."""
    guide = (pathlib.Path(__file__).parents[3] / "docs" / "scores.md").read_text()
    (tmp_path / "comet.py").write_text(
        "import types\n"
        "download_model = str\n"
        "def load_from_checkpoint(path):\n"
        "    def predict(texts, batch_size, gpus):\n"
        "        assert all(set(text) == {'src', 'mt', 'ref'} for text in texts)\n"
        "        return types.SimpleNamespace(scores=[float(len(text['mt'])) for text in texts])\n"
        "    return types.SimpleNamespace(predict=predict)\n"
    )
    (tmp_path / "lines.py").write_text(guide.partition("<<'END'\n")[2].partition("END\n")[0])
    options = {"store": spoken / "store", "new": "aa-es", "runs": runs[:2], "out": tmp_path / "out"}
    scores.run(ScoresConfig(**options))
    files = [tmp_path / "out" / "comet.jsonl", tmp_path / "scored.jsonl"]
    subprocess.run(
        [sys.executable, tmp_path / "lines.py", *files], check=True, env={"PYTHONPATH": str(tmp_path)}
    )
    scores.run(ScoresConfig(**options, scores=files[1]))
    lengths = [sum(map(len, texts[:3])) / 3 for texts in (WRONG, REFERENCES)]
    assert list(table(tmp_path / "out")["comet"]) == pytest.approx(lengths)


@pytest.mark.parametrize(
    ("references", "stored", "pair"),
    [("en_us", ("aa", "en_us"), "aa-en_us"), (None, ("aa", "en_us"), "aa-en_us"), (None, ("aa",), "aa-en")],
)
def test_a_task_is_named_by_the_language_of_its_references(
    runs, spoken, tmp_path, monkeypatch, references, stored, pair
):
    """Not by the token of the prompt, which may be a stand-in of the speech."""
    monkeypatch.setattr(scores.store_languages, "codes", lambda _: stored)
    for model in ("a", "b"):
        settings(tmp_path / f"{model}-es", references)
    config = ScoresConfig(store=spoken / "store", new=pair, runs=runs[:2], out=tmp_path / "out")
    scores.run(config)
    assert set(table(config.out).index) == {("a", pair), ("b", pair)}


def test_what_would_be_scored_in_silence_is_refused(runs, spoken, tmp_path):
    options = {"store": spoken / "store", "new": "aa-es", "out": tmp_path / "out", "runs": runs}
    for given, reason in (
        ({"new": "aa-fr"}, "no run has a scored text of aa-fr. Remedy: name tasks among aa-aa, aa-es"),
        ({"old": ("aa-aa", "bb-en")}, "no run has a scored text of bb-en"),
        ({"sentences": tmp_path / "none.txt"}, "--sentences=.*none.txt: there is no such file"),
        ({"scores": tmp_path / "none.jsonl"}, "--scores=.*none.jsonl: there is no such file"),
    ):
        with pytest.raises(Refusal, match=reason):
            scores.run(ScoresConfig(**options | given))
    scores.run(ScoresConfig(**options))
    lines = [json.loads(line) for line in (tmp_path / "out" / "comet.jsonl").read_text().splitlines()]
    scored = tmp_path / "scored.jsonl"
    scored.write_text("".join(json.dumps({**line, "score": 0.5}) + "\n" for line in lines[:-1]))
    with pytest.raises(Refusal, match=r"scored\.jsonl: 1 texts have no score: b aa-aa"):
        scores.run(ScoresConfig(**options, scores=scored))
    file = tmp_path / "b-es" / "transcripts.parquet"
    rows = pd.read_parquet(file)
    rows.iloc[1:].to_parquet(file)
    different = (
        f"aa-es: the texts of a and b are of different utterances, 3 and 2; .* {spoken_names(spoken)[0]}"
    )
    with pytest.raises(Refusal, match=different):
        scores.run(ScoresConfig(**options))
    (tmp_path / "b-es" / "transcribe.json").unlink()
    with pytest.raises(Refusal, match=r"transcribe\.json: isn't there"):
        scores.run(ScoresConfig(**options))


def test_sentences_and_missing_runs(runs, spoken, tmp_path):
    chosen = tmp_path / "held_out.txt"
    chosen.write_text("s0\ns2\n")
    options = {"store": spoken / "store", "new": "aa-es", "out": tmp_path / "out"}
    scores.run(ScoresConfig(**options, runs=runs, sentences=chosen))
    assert set(table(tmp_path / "out")["utterances"]) == {2}
    with pytest.raises(Refusal, match="isn't there"):
        scores.run(ScoresConfig(**options, runs=(f"a={tmp_path}",)))
    with pytest.raises(Refusal, match="MODEL=FOLDER"):
        ScoresConfig(**options, runs=("a",))
