"""demo/tune.sh trains every way, writes every model's texts of every task, and scores them once."""

import pathlib
import subprocess

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
