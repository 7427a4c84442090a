"""jobs.interpret as a user runs it: exit codes, one line of JSON, killed with SIGKILL at random moments."""

import json
import random
import signal
import subprocess
import sys
import time

import pytest

TABLES = (
    "word_pairs.parquet",
    "word_types.parquet",
    "sentence_pairs.parquet",
    "checks.csv",
    "interpret.html",
)


def command(spoken, out, *flags):
    paths = [
        f"--store={spoken}/store",
        f"--grid={spoken}/grid.zarr",
        f"--words={spoken}/words",
        f"--out={out}",
    ]
    plain = ["--sentence_encoder=none", "--phones=none", "--pictures=0", "--states=all"]
    return [sys.executable, "-m", "isogloss.jobs.interpret", *paths, *plain, *flags]


def run(spoken, out, *flags):
    return subprocess.run(command(spoken, out, *flags), capture_output=True, text=True, check=False)


def kill_after(spoken, out, count, delay):
    """Start the job; kill it `delay` seconds after `count` parts are there, drafts not counted."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    process = subprocess.Popen(command(spoken, out), **quiet)
    while process.poll() is None and len(list(out.glob("parts/[!.]*.parquet"))) < count:
        time.sleep(0.0005)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    return process.wait()


def test_killed_at_random_moments(spoken, tmp_path):
    whole = run(spoken, tmp_path / "run")
    assert whole.returncode == 0, whole.stderr
    assert len(whole.stdout.splitlines()) == 1
    assert json.loads(whole.stdout)["done"] == 6
    (tmp_path / "run").rename(tmp_path / "whole")
    out, before = tmp_path / "run", {}
    rng = random.Random(7)
    for count in (1, 2, 5, 12):
        assert kill_after(spoken, out, count, rng.uniform(0, 0.01)) == -signal.SIGKILL
        after = {path: path.stat().st_mtime_ns for path in out.glob("parts/[!.]*.word_pairs.parquet")}
        assert before.items() <= after.items(), "something done was lost or done again"
        before = after
    done = run(spoken, out)
    assert json.loads(done.stdout)["skipped"] >= 5
    for name in TABLES:
        assert (out / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
    names = [sorted(str(p.relative_to(root)) for p in root.rglob("*")) for root in (out, tmp_path / "whole")]
    assert names[0] == names[1]  # no draft of a killed process, neither


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--pairs=aa-zz"], ["--pairs=aa-zz", "aa-bb, aa-cc, bb-cc"]),
        (["--states=4"], ["--states=4", "1, final"]),
        (["--epsilon=0"], ["--epsilon"]),
        (["--words="], ["--words is empty"]),
    ],
)
def test_bad_flags(spoken, tmp_path, flags, words):
    done = run(spoken, tmp_path / "never", *flags)
    assert done.returncode == 2, done.stderr
    assert all(word in done.stderr for word in words), done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "never").exists()


def test_dry_run(spoken, tmp_path):
    done = run(spoken, tmp_path / "never", "--dry_run")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["plan"]["units"] == 6
    assert not (tmp_path / "never").exists()
