"""The README's ten lines, run where isogloss can't be imported."""

import pathlib
import re
import subprocess
import sys

import numpy as np

from isogloss.engine.retrieval import grid_store
from isogloss.engine.retrieval.grid_store import Plan

README = (pathlib.Path(__file__).parents[1] / "README.md").read_text()
BLOCKED = "import sys; sys.modules['isogloss'] = None; import matplotlib; matplotlib.use('Agg')\n"


def test_an_analyst_needs_ten_lines(tmp_path):
    (code,) = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
    assert len([line for line in code.splitlines() if line]) <= 10
    plan = Plan(
        pairs=(("en", "es"), ("en", "fr"), ("es", "fr")),
        states=(*map(str, range(7)), "final"),
        sentences=("1", "2", "10", "11"),
        measures=("seqsim",),
        common=(4, 4, 4),
        identity={},
        flags={},
    )
    grid = grid_store.create_or_open(tmp_path / "out" / "demo" / "grid.zarr", plan)
    scores = np.eye(4, dtype=np.float32)
    scores[3] = [0.9, 0.1, 0.1, 0.2]
    grid.write(1, 6, {"seqsim": scores})
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED + code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "R@1 of 4 English sentences among French ones: 75.0%\n"
    assert (tmp_path / "en-fr.png").stat().st_size > 0
