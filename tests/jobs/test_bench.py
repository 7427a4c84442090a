"""The bench job as a user runs it."""

import json


def test_table_aside_and_one_line_of_json(tmp_path, job):
    done = job(
        "bench", "--suite=mel", "--quick", "--device=cpu", "--rounds=1", f"--json={tmp_path}/b.json"
    ).run()
    assert done.returncode == 0, done.stderr
    [line] = done.stdout.splitlines()
    assert json.loads(line)["cases"] == 2
    assert "of yardstick" in done.stderr
    assert len(json.loads((tmp_path / "b.json").read_text())["table"]) == json.loads(line)["rows"]


def test_an_unknown_suite_is_refused(refusal):
    assert refusal("bench", "--suite=seqsim,nonsense").startswith("--suite must name some of seqsim")


def test_a_file_that_cannot_be_written_is_refused_before_anything_is_timed(refusal):
    assert refusal("bench", "--suite=mel", "--quick", "--json=/proc/none/b").startswith("/proc/none: must")
