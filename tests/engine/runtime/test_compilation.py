"""Programs are counted, and found again by the next process, with the same result."""

import json
import subprocess
import sys

import pytest

SCORE = """
import json, pathlib, sys
import numpy as np
from isogloss.engine.runtime import compilation
from isogloss.kernels import frame_scores
*implementations, folder = sys.argv[1:]
counted = compilation.keep(pathlib.Path(folder) if folder else None, implementations[0])
x = np.random.default_rng(0).standard_normal((3, 20, 8)).astype(np.float32)
n = np.int32([20, 3, 5])
scores = [
    frame_scores.frame_scores(x, n, x, n, measures=("seqsim",), implementation=name)["seqsim"].tolist()
    for name in implementations
]
print(json.dumps({"counts": counted(), "scores": scores}))
"""


def run(implementations, folder):
    command = [sys.executable, "-c", SCORE, *implementations, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize("implementations", [["xla"], ["numba", "numba_int8"]])
def test_a_second_process_compiles_nothing(implementations, tmp_path):
    without = run(implementations, "")
    assert without["counts"]["compiled"] > 0
    first = run(implementations, tmp_path / "cache")
    assert first["counts"]["compiled"] == without["counts"]["compiled"]
    assert first["counts"]["found"] == without["counts"]["found"] == 0
    second = run(implementations, tmp_path / "cache")
    assert second["counts"]["compiled"] == 0
    assert first["scores"] == second["scores"] == without["scores"]
    assert any((tmp_path / "cache").rglob("*"))
