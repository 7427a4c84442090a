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
