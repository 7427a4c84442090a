"""demo/tune.sh trains every way, writes every model's texts of every task, and scores them once."""

import pathlib
import subprocess

import pytest

DEMO = pathlib.Path(__file__).parents[2] / "demo"
GIVEN = ("store", "base", "en", "es", "fr", "out")


def test_every_model_writes_every_task_and_all_are_scored(script):
    code, calls = script("tune.sh", *GIVEN, "--window=448", "--steps=20")
    assert code == 0
    jobs = [call.split()[1].rpartition(".")[2] for call in calls]
    assert jobs == 5 * ["tune"] + 7 * 3 * ["transcribe"] + ["scores"]
    assert all("--sentences=out/plain/held_out.txt" in call for call in calls[5:])
    assert all("--window=448 --steps=20" in call for call in calls[:5])
    assert "--out=out/plain" in calls[0]
    assert calls[2].endswith("--ewc=1e4 --ewc_tasks=fr-en,en-en")
    new, english, asr = calls[8:11]
    assert "--model=out/plain --out=out/texts/plain/new " in new
    assert new.endswith("--task=translate --languages=en,fr --language=es --references=es")
    assert english.endswith("--task=translate --languages=fr --references=en")
    assert asr.endswith("--languages=en")
    assert "--model=out/plain/average-0.5 --out=out/texts/average-0.5/new" in calls[11]
    runs = calls[-1].partition("--runs=")[2].split(",")
    models = ("before", "plain", "plain/average-0.5", "replay", "ewc-1e4", "ewc-1e6", "anchor")
    parts = ("new", "english", "asr")
    assert runs == [
        f"{model}=out/texts/{model.removeprefix('plain/')}/{part}" for model in models for part in parts
    ]
    assert "--new=en-es --old=fr-en,en-en --out=out/scores --sentences=out/plain/held_out.txt" in calls[-1]


def test_further_unseen_languages_and_averages(script, monkeypatch):
    monkeypatch.setenv("AVERAGES", "0.25,0.5")
    code, calls = script("tune.sh", "store", "base", "en", "es", "fr,it", "out")
    assert code == 0
    assert calls[0].endswith("--average=0,0.25,0.5")
    assert calls[1].endswith("--replay=fr-en,en-en")
    before = calls[5:8]
    assert "--languages=en,fr,it --language=es --references=es" in before[0]
    assert "--languages=fr --references=en" in before[1]
    assert [call.split("--model=")[1].split()[0] for call in calls[8:-1:3]] == [
        *("out/plain", "out/plain/average-0.25", "out/plain/average-0.5"),
        *("out/replay", "out/ewc-1e4", "out/ewc-1e6", "out/anchor"),
    ]
    assert "plain/average-0.25=out/texts/average-0.25/new" in calls[-1]
    assert "--new=en-es --old=fr-en,en-en" in calls[-1]


def test_scores_of_another_tool_reach_the_table(script, monkeypatch):
    monkeypatch.setenv("SCORES", "of comet.jsonl")
    _, calls = script("tune.sh", *GIVEN)
    assert "--sentences=out/plain/held_out.txt --scores=of comet.jsonl --runs=" in calls[-1]


def test_codes_of_fleurs(script, monkeypatch):
    monkeypatch.setenv("ENGLISH", "en_us")
    _, calls = script("tune.sh", "store", "base", "en_us", "es_419", "fr_fr", "out")
    assert calls[1].endswith("--replay=fr_fr-en_us,en_us-en_us")
    assert "--languages=en_us,fr_fr --language=es --references=es_419" in calls[5]
    monkeypatch.setenv("TOKEN", "zh")
    _, calls = script("tune.sh", "store", "base", "en_us", "cmn_hans_cn", "fr_fr", "out")
    assert "--language=zh --references=cmn_hans_cn" in calls[5]
    assert "--languages=fr_fr --references=en_us" in calls[6]


def test_a_run_that_fails_ends_the_script(script):
    code, calls = script("tune.sh", *GIVEN, fail="replay")
    assert code == 3
    assert len(calls) == 2


def test_a_word_too_few_shows_how_to_call_it():
    said = subprocess.run(
        ["bash", DEMO / "tune.sh", "python", *GIVEN[:-1]], capture_output=True, text=True, check=False
    )
    assert said.returncode == 2
    assert said.stderr.startswith("The experiment on forgetting")
    assert "bash demo/tune.sh PYTHON STORE MODEL SOURCE TARGET UNSEEN OUT [FLAGS OF TUNE]" in said.stderr


def test_texts_are_decoded_as_the_decoder_was_trained(script):
    given = (
        "--window=300",
        "--window",
        "448",
        "--states=5",
        "--noexit_norm",
        "--tokenizer=words",
        "--compute=float32",
    )
    _, calls = script("tune.sh", *GIVEN, *given, "--batch=4")
    texts = [call for call in calls if "transcribe" in call]
    shared = "--window=448 --states=5 --tokenizer=words --compute=float32 --exit_norm=false"
    assert len(texts) == 21
    assert all(f"--compilation_cache=out/programs {shared} " in call for call in texts)
    assert not any("--batch" in call for call in texts)
    _, calls = script("tune.sh", *GIVEN, "--states=5", "--exit_norm")
    assert all("--states=5 --exit_norm=true " in call for call in calls if "transcribe" in call)
    _, calls = script("tune.sh", *GIVEN)
    assert "--compilation_cache=out/programs --task=translate" in calls[5]
    assert calls[7].endswith("--compilation_cache=out/programs --languages=en")


@pytest.mark.parametrize(
    ("target", "flags", "new", "others"),
    [
        # A stand-in of the speech goes before --language, so the new task must not have it.
        ("es", ["--stand_in=fr=oc"], "--language=es", "--stand_in=fr=oc"),
        ("ky_kg", ["--stand_in=fr=oc,ky=kk"], "--language=kk", "--stand_in=fr=oc,ky=kk"),
        ("ky_kg", ["--stand_in", "ky_kg=kk"], "--language=kk", "--stand_in=ky_kg=kk"),
        ("es", ["--language_token=source"], "", ""),
        ("es", ["--language_token", "source", "--stand_in=fr=oc"], "--stand_in=fr=oc", "--stand_in=fr=oc"),
        ("es", ["--language_token=target"], "--language=es", ""),
    ],
)
def test_the_language_token_is_that_of_training(script, target, flags, new, others):
    _, calls = script("tune.sh", "store", "base", "en", target, "fr", "out", *flags)
    for at in range(5, len(calls) - 1, 3):
        assert _tokens(calls[at]) == new
        assert _tokens(calls[at + 1]) == _tokens(calls[at + 2]) == others


def _tokens(call):
    return " ".join(word for word in call.split() if word.startswith(("--language=", "--stand_in=")))
