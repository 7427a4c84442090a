"""extract and grid, killed with SIGKILL at random moments as real processes, and run again.

A moment is "so many units are on disk, and a little later": a clock alone would hit the start-up every time.
"""

import collections
import json
import pathlib
import random
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

KILLS = 20
LANGUAGES, SENTENCES = ("aa", "bb", "cc"), 24
EXTRACT_FILES = "*.zarr/states/c.*[0-9]"  # and no lock of TensorStore's
GRID_FILES = "grid.zarr/*/c.*[0-9]"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    """72 recordings of 0.2 to 1.5 s."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(11)
    lines = ["language\tsentence\taudio"]
    for language in LANGUAGES:
        for sentence in range(SENTENCES):
            wave = 0.1 * rng.standard_normal(int(16_000 * rng.uniform(0.2, 1.5)))
            soundfile.write(folder / f"{language}-{sentence}.wav", wave, 16_000)
            lines.append(f"{language}\t{sentence}\t{language}-{sentence}.wav")
    (folder / "manifest.tsv").write_text("\n".join(lines) + "\n")
    return folder / "manifest.tsv"


def extract_command(corpus, model, store, *flags):
    command = [sys.executable, "-m", "isogloss.jobs.extract", f"--corpus=manifest:{corpus}"]
    return [*command, f"--model={model}", f"--store={store}", *flags]


def grid_command(store, folder, *flags):
    command = [sys.executable, "-m", "isogloss.jobs.grid", f"--store={store}"]
    return [*command, f"--grid={folder}/grid.zarr", *flags]


def run(command):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def start(command):
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def on_disk(root, pattern):
    return {path: path.stat().st_mtime_ns for path in root.glob(pattern)}


def kill_after(command, root, pattern, more, delay):
    """Start a command; kill it `delay` seconds after `more` files of `pattern` have been added."""
    target = len(on_disk(root, pattern)) + more
    process = start(command)
    while process.poll() is None and len(on_disk(root, pattern)) < target:
        time.sleep(0.0005)
    time.sleep(delay)
    process.send_signal(signal.SIGKILL)
    return process.wait()


def contents(root, pattern):
    return {str(path.relative_to(root)): path.read_bytes() for path in root.glob(pattern)}


def leftovers(root):
    """Whatever a killed writer may leave that isn't a chunk, metadata or a coordinate."""
    return [path for path in root.rglob("*") if "lock" in path.name or "~" in path.name]


def done(files, of_unit):
    """Those of files on disk whose unit has as many as a unit has; a kill may leave it with fewer."""
    found = collections.Counter(unit(path) for path in files)
    return {path: at for path, at in files.items() if found[unit(path)] == of_unit}


def unit(path):
    """Of a chunk: a measure's has the path of the other measures', an utterance's is all there is."""
    return path.name if "grid.zarr" in path.parts else path


def killed_until_done(command, root, pattern, units, of_unit=1):
    """Kill a command KILLS times over its work, then let it end; its summary and how many kills hit."""
    rng = random.Random(5)
    hits = 0
    for kill in range(KILLS):
        before = on_disk(root, pattern)
        more = max(0, units * of_unit * (kill + 1) // (KILLS + 2) - len(before))
        hits += kill_after(command, root, pattern, more, rng.uniform(0, 0.02)) == -signal.SIGKILL
        after = on_disk(root, pattern)
        assert before.keys() <= after.keys(), "something written was lost"
        assert done(before, of_unit).items() <= after.items(), "something done was done again"
    done_before = done(on_disk(root, pattern), of_unit)
    summary = run(command)
    assert summary["skipped"] == len(done_before) // of_unit
    assert done_before.items() <= on_disk(root, pattern).items(), "something done was done again"
    return summary, hits


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, corpus, model_folder):
    """Folder of a store, a grid and the programs that made them, which spares the others compiling."""
    folder = tmp_path_factory.mktemp("undisturbed")
    run(extract_command(corpus, model_folder, folder / "store", programs(folder)))
    run(grid_command(folder / "store", folder, programs(folder)))
    return folder


def programs(folder):
    return f"--compilation_cache={folder}/programs"


def test_extract_killed_twenty_times(tmp_path, corpus, model_folder, undisturbed):
    command = extract_command(corpus, model_folder, tmp_path / "store", programs(undisturbed))
    units = len(LANGUAGES) * SENTENCES
    summary, hits = killed_until_done(command, tmp_path / "store", EXTRACT_FILES, units)
    assert hits == KILLS
    assert summary["done"] + summary["skipped"] == units
    assert summary["skipped"] >= units // 2
    expected = contents(undisturbed / "store", EXTRACT_FILES)
    assert contents(tmp_path / "store", EXTRACT_FILES) == expected
    assert len(expected) == units
    assert not leftovers(tmp_path / "store")
    assert run(command)["done"] == 0


def test_grid_killed_twenty_times(tmp_path, undisturbed):
    command = grid_command(undisturbed / "store", tmp_path, programs(undisturbed))
    units = 3 * 4
    summary, hits = killed_until_done(command, tmp_path, GRID_FILES, units, of_unit=3)
    assert hits >= KILLS // 2  # a unit is 3 files; near the end a run may finish before it is killed
    assert summary["done"] + summary["skipped"] == units
    expected = contents(undisturbed, GRID_FILES)
    assert contents(tmp_path, GRID_FILES) == expected
    assert len(expected) == 3 * units
    assert not leftovers(tmp_path)
    assert run(command)["done"] == 0


@pytest.mark.parametrize("victim", [0, 1])
def test_two_processes_share_the_work_and_one_is_killed(tmp_path, corpus, model_folder, undisturbed, victim):
    store = tmp_path / "store"
    shards = [("--num_shards=2", f"--shard_index={i}", programs(undisturbed)) for i in (0, 1)]
    commands = [extract_command(corpus, model_folder, store, *flags) for flags in shards]
    survivor = start(commands[1 - victim])
    assert kill_after(commands[victim], store, EXTRACT_FILES, 9, 0.005) == -signal.SIGKILL
    restarted = start(commands[victim])
    assert survivor.wait() == 0
    assert restarted.wait() == 0
    assert contents(store, EXTRACT_FILES) == contents(undisturbed / "store", EXTRACT_FILES)

    commands = [grid_command(store, tmp_path, *flags) for flags in shards]
    survivor = start(commands[1 - victim])
    kill_after(commands[victim], tmp_path, GRID_FILES, 4, 0.0)
    restarted = start(commands[victim])
    assert survivor.wait() == 0
    assert restarted.wait() == 0
    assert contents(tmp_path, GRID_FILES) == contents(undisturbed, GRID_FILES)
    assert not leftovers(tmp_path)


def test_a_full_disk_stops_the_run_and_loses_nothing(tmp_path, corpus, model_folder, undisturbed):
    """A file size limit stands in for the disk: a write fails midway, as it does when space runs out."""
    store = tmp_path / "store"
    assert (
        kill_after(extract_command(corpus, model_folder, store), store, EXTRACT_FILES, 5, 0.0)
        == -signal.SIGKILL
    )
    before = on_disk(store, EXTRACT_FILES)
    code = (
        "import resource, signal, runpy, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); "
        "runpy.run_module('isogloss.jobs.extract', run_name='__main__', alter_sys=True)"
    )
    command = extract_command(corpus, model_folder, store)
    done = subprocess.run(
        [sys.executable, "-c", code, *command[3:]], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "can't be written" in done.stderr
    assert "free or add space" in done.stderr
    assert "Traceback" not in done.stderr
    kept = on_disk(store, EXTRACT_FILES)
    assert before.items() <= kept.items()
    run(command)
    assert contents(store, EXTRACT_FILES) == contents(undisturbed / "store", EXTRACT_FILES)
    assert not leftovers(store)


def test_metadata_of_a_killed_creation_is_whole(tmp_path, corpus, model_folder):
    """Killed while stores are being made, before any shard."""
    command = extract_command(corpus, model_folder, tmp_path / "store")
    assert kill_after(command, tmp_path, "store/*.zarr", 1, 0.0) == -signal.SIGKILL
    for store in pathlib.Path(tmp_path, "store").glob("*.zarr"):
        assert (store / "zarr.json").is_file()
        assert (store / "states" / "zarr.json").is_file()
    shutil.rmtree(tmp_path / "store")
