"""The bench job as a user runs it."""

import json
import subprocess
import sys


def run(*flags):
    command = [sys.executable, "-m", "isogloss.jobs.bench", *map(str, flags)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_table_aside_and_one_line_of_json(tmp_path):
    done = run("--suite=mel", "--quick", "--device=cpu", "--rounds=1", f"--json={tmp_path}/bench.json")
    assert done.returncode == 0, done.stderr
    [line] = done.stdout.splitlines()
    assert json.loads(line)["cases"] == 2
    assert "of yardstick" in done.stderr
    assert len(json.loads((tmp_path / "bench.json").read_text())["table"]) == json.loads(line)["rows"]


def test_unknown_suite_is_said_without_a_traceback():
    done = run("--suite=seqsim,nonsense")
    assert done.returncode == 2
    assert done.stderr.startswith("error: --suite must name some of seqsim")
