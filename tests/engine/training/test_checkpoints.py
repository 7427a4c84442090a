"""Checkpoints that a kill leaves behind: half written, half removed, at any moment."""

import random
import shutil
import subprocess
import sys

import numpy as np
import pytest
from processes import piped

from isogloss.engine.training.checkpoints import Checkpoints, saved

# Goes on from the newest checkpoint and saves until it is killed.
PROGRAM = """
import pathlib, sys
import numpy as np
from isogloss.engine.training.checkpoints import Checkpoints
def state(step):
    return {"a": np.full(2_000_000, step, np.float32), "b": np.arange(9) + step}
checkpoints = Checkpoints(pathlib.Path(sys.argv[1]), 1)
done, found = checkpoints.restored(state(0)) or (0, state(0))
assert all((np.asarray(found[name]) == value).all() for name, value in state(done).items())
print(done, flush=True)
while True:
    done += 1
    checkpoints.save(done, state(done))
    print(done, flush=True)
"""


def state(step, size=100):
    return {"a": np.full(size, step, np.float32), "b": np.arange(9) + step}


def test_a_run_goes_on_beside_what_a_kill_left(tmp_path):
    """A checkpoint half written has another name; of one half removed the newest is whole."""
    folder = tmp_path / "checkpoints"
    first = Checkpoints(folder, 1)
    for step in (1, 2):
        first.save(step, state(step))
    first.close()
    shutil.copytree(folder / "2", folder / "3.orbax-checkpoint-tmp")
    for file in (folder / "3.orbax-checkpoint-tmp").rglob("*"):
        if file.is_file():
            file.write_bytes(file.read_bytes()[:5])
    for file in list((folder / "1").rglob("*"))[::2]:
        if file.is_file():
            file.unlink()
    assert saved(folder)[-1] == 2
    assert (folder / "3.orbax-checkpoint-tmp").is_dir()  # nothing was tidied up
    assert saved(tmp_path / "none") == []
    assert not (tmp_path / "none").exists()
    again = Checkpoints(folder, 1)
    done, found = again.restored(state(0))
    assert done == 2
    for name, value in state(2).items():
        np.testing.assert_array_equal(found[name], value)
    for step in (3, 4):
        again.save(step, state(step))
    again.close()
    assert sorted(path.name for path in folder.iterdir()) == ["3", "4"]


@pytest.mark.deep
def test_sigkill_at_random_moments_loses_no_checkpoint_that_was_saved(tmp_path):
    folder, rng, least, half_written = tmp_path / "checkpoints", random.Random(3), 0, 0
    for kills in range(1, 101):
        process = piped([sys.executable, "-c", PROGRAM, str(folder)])
        begun = process.stdout.readline()
        assert begun, process.stderr.read()
        assert int(begun) >= least
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(rng.uniform(0, 0.5))
        process.kill()
        saved, _ = process.communicate()
        least = max(int(line) for line in [begun, *saved.splitlines()])
        left = [path.name for path in folder.iterdir()]
        half_written += any(not name.isdecimal() for name in left)
        if kills >= 20 and half_written:
            break
    assert half_written, "no kill came while a checkpoint was written"
    # A kill between saving one and removing another leaves one more, until a run saves undisturbed.
    last = Checkpoints(folder, 1)
    done, _ = last.restored(state(0, 2_000_000))
    last.save(done + 1, state(done + 1, 2_000_000))
    last.close()
    assert sorted(int(path.name) for path in folder.iterdir()) == [done, done + 1]
