"""The jobs as a user runs them: flags, exit codes, one line of JSON, clear errors."""

import json
import shutil

import pytest


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("jobs")


def test_from_speech_to_report(folder, job, source):
    store = folder / "store"
    assert job("extract", *source, f"--store={store}", "--states=0,final").here()["done"] == 20
    flagfile = folder / "grid.flags"
    flagfile.write_text(f"--store={store}\n--grid={folder}/grid.zarr\n--measures=seqsim\n")
    grid = job("grid", f"--flagfile={flagfile}").here()
    assert (grid["done"], grid["implementation"]) == (6, "numba")
    report = job("report", f"--grid={folder}/grid.zarr", f"--out={folder}/report").run()
    assert report.returncode == 0, report.stderr
    assert len(report.stdout.splitlines()) == 1
    for name in ("retrieval.parquet", "retrieval.csv", "report.html"):
        assert (folder / "report" / name).stat().st_size > 0
        assert name != "report.html" or name in report.stderr


def test_a_broken_recording_is_in_the_exit_code(folder, job, speech, source):
    shutil.copytree(speech.parent, folder / "broken")
    (folder / "broken" / "aa-1.wav").write_text("not a sound")
    corpus = f"--corpus=manifest:{folder}/broken/speech.tsv"
    done = job("extract", *source, corpus, f"--store={folder}/broken-store", "--languages=aa").run()
    assert done.returncode == 3
    assert list(json.loads(done.stdout)["failed"]) == ["aa s1.0"]
    assert "aa-1.wav" in done.stderr


def test_a_refusal_is_one_line_and_exit_code_2(folder, job, source):
    done = job("extract", *source, f"--store={folder}/never", "surplus").run()
    assert (done.returncode, done.stdout) == (2, "")
    assert "surplus" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (folder / "never").exists()


def test_a_missing_flag_is_named(job):
    done = job("report", "--grid=g").run()
    assert done.returncode == 2
    assert "--out" in done.stderr


@pytest.mark.deep
def test_a_slurm_array_divides_the_work_where_it_is_asked_for(folder, job, source):
    slurm = {
        f"SLURM_ARRAY_TASK_{name}": str(n) for name, n in (("COUNT", 3), ("MIN", 0), ("MAX", 2), ("ID", 1))
    }
    for flags, utterances in ((["--num_shards=auto"], 7), ([], 20)):
        done = job("extract", *source, f"--store={folder}/slurm", "--dry_run", *flags).run(**slurm)
        assert json.loads(done.stdout)["plan"]["utterances"] == utterances
    assert not (folder / "slurm").exists()


@pytest.mark.parametrize("name", ["extract", "grid", "report"])
def test_help_shows_the_flags(job, name):
    done = job(name, "--help").run()
    assert done.returncode == 0
    assert all(flag in done.stdout for flag in ("--num_shards", "--shard_index", "dry_run"))
