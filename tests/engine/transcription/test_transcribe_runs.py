"""engine.transcribe as it is run: translation, dry runs, refusals, units, and a process that is killed."""

import dataclasses

import numpy as np
import pytest
from pyarrow import parquet

from isogloss.engine.transcription import transcribe


@pytest.fixture(scope="module")
def config(tmp_path_factory, transcribing):
    return transcribing(tmp_path_factory.mktemp("whole") / "out")


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


def test_dry_run_writes_nothing(config, tmp_path):
    done = transcribe.run(dataclasses.replace(config, out=tmp_path / "out", dry_run=True))
    assert (done.plan["units"], done.plan["utterances"], done.plan["exits"]) == (3, 20, 4)
    assert done.plan["encoder_flops"] > 0
    assert done.plan["decoder_flops"] > 0
    assert not (tmp_path / "out").exists()


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


MOMENTS = (("parts/[!.]*.parquet", 1), ("summary.csv", 1))


@pytest.mark.parametrize("moments", [MOMENTS[:1], pytest.param(MOMENTS, marks=pytest.mark.deep)])
def test_killed_and_run_again_as_a_real_process(config, job, tmp_path, files, written, moments):
    """Killed with one part on disk, and while tables are written; twice a process runs to its end."""
    out, parts = tmp_path / "out", {}
    transcribing = job(
        "transcribe", f"--corpus={config.corpus}", f"--model={config.model}", f"--out={out}", "--states=all",
        f"--stand_in={','.join(config.stand_in)}", "--exit_norm=both",
    )  # fmt: skip
    assert transcribing.summary()["done"] == 20
    whole = out.rename(tmp_path / "whole")
    for pattern, count in moments:
        assert transcribing.killed(lambda pattern=pattern, count=count: len(written(out, pattern)) >= count)
        after = written(out, "parts/[!.]*.parquet")
        assert parts.items() <= after.items(), "something done was lost or done again"
        parts = after
    (out / "summary.parquet").unlink(missing_ok=True)
    done = transcribing.summary()
    assert done["done"] + done["skipped"] == 20
    assert parts.items() <= written(out, "parts/[!.]*.parquet").items()
    assert done["skipped"] == 20 or len(parts) < 3
    tables = {"transcripts.parquet", "summary.parquet", "summary.csv", "exits_aa.png", "transcribe.json"}
    assert tables <= files(whole).keys()
    assert files(out) == files(whole)  # no draft of a killed process, neither
