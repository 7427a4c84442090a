"""The jobs as a user runs them: flags, exit codes, one line of JSON, clear errors."""

import json
import os
import shutil
import subprocess
import sys

import pytest


def run(job, *flags, **environment):
    command = [sys.executable, "-m", f"isogloss.jobs.{job}", *map(str, flags)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, **environment}
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("jobs")


@pytest.fixture(scope="module")
def store(folder, speech, model_folder):
    done = run(
        "extract",
        f"--corpus=manifest:{speech}",
        f"--model={model_folder}",
        f"--store={folder}/store",
        "--states=0,final",
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 1
    assert json.loads(done.stdout)["done"] == 20
    return folder / "store"


def test_from_speech_to_report(folder, store):
    flagfile = folder / "grid.flags"
    flagfile.write_text(f"--store={store}\n--grid={folder}/grid.zarr\n")
    grid = run("grid", f"--flagfile={flagfile}")
    assert grid.returncode == 0, grid.stderr
    assert len(grid.stdout.splitlines()) == 1
    assert json.loads(grid.stdout)["done"] == 6
    assert json.loads(grid.stdout)["implementation"] == "numba"
    report = run("report", f"--grid={folder}/grid.zarr", f"--out={folder}/report")
    assert report.returncode == 0, report.stderr
    assert len(report.stdout.splitlines()) == 1
    for name in ("retrieval.parquet", "retrieval.csv", "report.html"):
        assert (folder / "report" / name).stat().st_size > 0
        assert name != "report.html" or name in report.stderr


def test_a_broken_recording_is_in_the_exit_code(folder, speech, model_folder):
    shutil.copytree(speech.parent, folder / "broken")
    (folder / "broken" / "aa-1.wav").write_text("not a sound")
    done = run(
        "extract",
        f"--corpus=manifest:{folder}/broken/speech.tsv",
        f"--model={model_folder}",
        f"--store={folder}/broken-store",
        "--languages=aa",
    )
    assert done.returncode == 3
    assert list(json.loads(done.stdout)["failed"]) == ["aa s1.0"]
    assert "aa-1.wav" in done.stderr


@pytest.mark.parametrize(
    ("flags", "code", "words"),
    [
        (["--languages=zz"], 2, ["speech.tsv", "'zz'"]),
        (["--states=5"], 2, ["--states", "0, 1, 2, final"]),
        (["--model=/nowhere/at/all"], 2, ["/nowhere/at/all", "safetensors"]),
        (["--num_shards=2", "--shard_index=2"], 2, ["from 0 to 1"]),
        (["--long=maybe"], 2, ["--long", "truncate"]),
        (["surplus"], 2, ["surplus"]),
    ],
)
def test_bad_flags_of_extract(folder, speech, model_folder, flags, code, words):
    corpus = ["--corpus=manifest:" + str(speech), f"--model={model_folder}", f"--store={folder}/never"]
    done = run("extract", *corpus, *flags)
    assert done.returncode == code, done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert "Traceback" not in done.stderr
    assert not done.stdout.startswith("{")
    assert not (folder / "never").exists()


def test_a_checkpoint_with_a_wrong_tensor(folder, speech, model_folder):
    shutil.copytree(model_folder, folder / "cut-model")
    config = json.loads((folder / "cut-model" / "config.json").read_text())
    (folder / "cut-model" / "config.json").write_text(json.dumps({**config, "encoder_layers": 3}))
    done = run(
        "extract", f"--corpus=manifest:{speech}", f"--model={folder}/cut-model", f"--store={folder}/never"
    )
    assert done.returncode == 2
    assert "cut-model" in done.stderr
    assert "missing: encoder.layers.2" in done.stderr


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--pairs=aa-zz"], ["--pairs=aa-zz", "aa, bb, cc"]),
        (["--pairs=bb-bb"], ["itself"]),
        (["--states=1"], ["0, final"]),
        (["--measures=cosine"], ["seqsim, precision"]),
    ],
)
def test_bad_flags_of_grid(folder, store, flags, words):
    done = run("grid", f"--store={store}", f"--grid={folder}/never.zarr", *flags)
    assert done.returncode == 2, done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "never.zarr").exists()


def test_a_missing_flag_is_named(folder):
    assert "--store" in run("grid", f"--grid={folder}/g.zarr").stderr


def test_a_slurm_array_divides_the_work_where_it_is_asked_for(folder, speech, model_folder):
    flags = [f"--corpus=manifest:{speech}", f"--model={model_folder}", f"--store={folder}/slurm", "--dry_run"]
    slurm = {
        f"SLURM_ARRAY_TASK_{name}": str(n) for name, n in (("COUNT", 3), ("MIN", 0), ("MAX", 2), ("ID", 1))
    }
    asked = run("extract", *flags, "--num_shards=auto", **slurm)
    assert json.loads(asked.stdout)["plan"]["utterances"] == 7
    unasked = run("extract", *flags, **slurm)
    assert json.loads(unasked.stdout)["plan"]["utterances"] == 20
    assert not (folder / "slurm").exists()


@pytest.mark.parametrize("job", ["extract", "grid", "report"])
def test_help_shows_the_flags(job):
    done = run(job, "--help")
    assert done.returncode == 0
    assert all(flag in done.stdout for flag in ("--num_shards", "--shard_index", "dry_run"))
