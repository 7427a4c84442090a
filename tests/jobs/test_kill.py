"""extract and grid, killed with SIGKILL at random moments as real processes, and run again.

A moment is "so many units are on disk, and a little later": a clock alone would hit the start-up every time.
"""

import collections
import random
import subprocess
import sys

import numpy as np
import pytest
import soundfile

LANGUAGES, SENTENCES = ("aa", "bb", "cc"), 24
EXTRACT_FILES = "*.zarr/states/c.*[0-9]"  # and no lock of TensorStore's
NEURON_FILES = "*.zarr/*/c.*.*.*.*[0-9]"  # of both large arrays
GRID_FILES = "grid.zarr/*/c.*[0-9]"
KILLS = pytest.mark.parametrize("kills", [1, pytest.param(20, marks=pytest.mark.deep)])


@pytest.fixture(scope="module")
def source(tmp_path_factory, model_folder):
    """Flags of the model and of 72 recordings of 0.2 to 1.5 s."""
    folder = tmp_path_factory.mktemp("corpus")
    rng = np.random.default_rng(11)
    lines = ["language\tsentence\taudio"]
    for language in LANGUAGES:
        for sentence in range(SENTENCES):
            wave = 0.1 * rng.standard_normal(int(16_000 * rng.uniform(0.2, 1.5)))
            soundfile.write(folder / f"{language}-{sentence}.wav", wave, 16_000)
            lines.append(f"{language}\t{sentence}\t{language}-{sentence}.wav")
    (folder / "manifest.tsv").write_text("\n".join(lines) + "\n")
    return [f"--corpus=manifest:{folder}/manifest.tsv", f"--model={model_folder}"]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, job, source):
    """Folder of a store and a grid."""
    folder = tmp_path_factory.mktemp("undisturbed")
    job("extract", *source, f"--store={folder}/store").here()
    job("grid", f"--store={folder}/store", f"--grid={folder}/grid.zarr").here()
    return folder


@pytest.fixture
def kill_after(written):
    """Function that runs a job; kills it `delay` seconds after `more` files of `pattern` have been added."""

    def killed(job, root, pattern, more, delay=0.0):
        target = len(written(root, pattern)) + more
        return job.killed_in(root, lambda: len(written(root, pattern)) >= target, delay)

    return killed


def leftovers(root):
    """Whatever a killed writer may leave that isn't a chunk, metadata or a coordinate."""
    return [path for path in root.rglob("*") if "__lock" in path.name or "~" in path.name]


def done(files, of_unit):
    """Those of files on disk whose unit has as many as a unit has; a kill may leave it with fewer."""
    found = collections.Counter(unit(path) for path in files)
    return {path: at for path, at in files.items() if found[unit(path)] == of_unit}


def unit(path):
    """Of a chunk: its name, which all large arrays of a group share."""
    return path.parents[1], path.name


@pytest.fixture
def killed_until_done(kill_after, written):
    """Function that kills a job over its work, then lets it end; its summary and how many kills hit."""

    def kill(job, root, pattern, units, kills, of_unit=1):
        rng = random.Random(5)
        hits = 0
        for index in range(kills):
            before = written(root, pattern)
            more = max(0, units * of_unit * (index + 1) // (kills + 2) - len(before))
            hits += kill_after(job, root, pattern, more, rng.uniform(0, 0.02))
            after = written(root, pattern)
            assert before.keys() <= after.keys(), "something written was lost"
            assert done(before, of_unit).items() <= after.items(), "something done was done again"
        done_before = done(written(root, pattern), of_unit)
        summary = job.summary()
        assert summary["skipped"] == len(done_before) // of_unit
        assert done_before.items() <= written(root, pattern).items(), "something done was done again"
        assert summary["done"] + summary["skipped"] == units
        assert not leftovers(root)
        assert job.here()["done"] == 0
        return summary, hits

    return kill


@KILLS
def test_extract_killed(tmp_path, job, source, undisturbed, files, killed_until_done, kills):
    extract = job("extract", *source, f"--store={tmp_path}/store")
    units = len(LANGUAGES) * SENTENCES
    summary, hits = killed_until_done(extract, tmp_path / "store", EXTRACT_FILES, units, kills)
    assert hits == kills
    assert summary["skipped"] >= units * kills // (kills + 2)
    expected = files(undisturbed / "store", EXTRACT_FILES)
    assert files(tmp_path / "store", EXTRACT_FILES) == expected
    assert len(expected) == units


@pytest.mark.deep
def test_extract_with_neurons_killed(tmp_path, job, source, files, killed_until_done):
    """An utterance has two files, and a kill may come between them."""
    alone = job("extract", *source, "--neurons", f"--store={tmp_path}/alone").summary()
    extract = job("extract", *source, "--neurons", f"--store={tmp_path}/store")
    _, hits = killed_until_done(extract, tmp_path / "store", NEURON_FILES, alone["done"], 8, of_unit=2)
    assert hits == 8
    expected = files(tmp_path / "alone", NEURON_FILES)
    assert files(tmp_path / "store", NEURON_FILES) == expected
    assert len(expected) == 2 * alone["done"] == 2 * len(LANGUAGES) * SENTENCES


@KILLS
def test_grid_killed(tmp_path, job, undisturbed, files, killed_until_done, kills):
    grid = job("grid", f"--store={undisturbed}/store", f"--grid={tmp_path}/grid.zarr")
    units = 3 * 4
    _, hits = killed_until_done(grid, tmp_path, GRID_FILES, units, kills, of_unit=3)
    assert hits >= (kills + 1) // 2  # a unit is 3 files; near the end a run may finish before it is killed
    expected = files(undisturbed, GRID_FILES)
    assert files(tmp_path, GRID_FILES) == expected
    assert len(expected) == 3 * units


@pytest.fixture
def one_of_two_killed(job, written):
    """Function that divides a job among two processes, kills one and starts it again; True if it was hit."""

    def shared(victim, name, root, pattern, count, *flags):
        shards = [job(name, *flags, "--num_shards=2", f"--shard_index={index}") for index in (0, 1)]
        survivor = shards[1 - victim].start()
        hit = shards[victim].killed(lambda: len(written(root, pattern)) >= count)
        restarted = shards[victim].start()
        assert survivor.wait() == 0
        assert restarted.wait() == 0
        assert not leftovers(root)
        return hit

    return shared


@pytest.mark.deep
@pytest.mark.parametrize("victim", [0, 1])
def test_two_processes_share_an_extraction(tmp_path, source, undisturbed, files, one_of_two_killed, victim):
    def hit(trial):
        store = tmp_path / f"store-{trial}"
        killed = one_of_two_killed(victim, "extract", store, EXTRACT_FILES, 9, *source, f"--store={store}")
        assert files(store, EXTRACT_FILES) == files(undisturbed / "store", EXTRACT_FILES)
        return killed

    assert any(map(hit, range(5)))  # a process may end before it is killed


@pytest.mark.deep
@pytest.mark.parametrize("victim", [0, 1])
def test_two_processes_share_a_grid(tmp_path, undisturbed, files, one_of_two_killed, victim):
    def hit(trial):
        root = tmp_path / str(trial)
        flags = [f"--store={undisturbed}/store", f"--grid={root}/grid.zarr"]
        killed = one_of_two_killed(victim, "grid", root, GRID_FILES, 4, *flags)
        assert files(root, GRID_FILES) == files(undisturbed, GRID_FILES)
        return killed

    assert any(map(hit, range(5)))


@pytest.mark.deep
def test_a_full_disk_stops_the_run_and_loses_nothing(
    tmp_path, job, source, undisturbed, files, written, kill_after
):
    """A file size limit stands in for the disk: a write fails midway, as it does when space runs out."""
    store = tmp_path / "store"
    extract = job("extract", *source, f"--store={store}")
    assert kill_after(extract, store, EXTRACT_FILES, 5)
    before = written(store, EXTRACT_FILES)
    code = (
        "import resource, signal, runpy, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN); "
        "resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)); "
        "runpy.run_module('isogloss.jobs.extract', run_name='__main__', alter_sys=True)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *extract.command[3:]], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert "can't be written" in done.stderr
    assert "Free or add space" in done.stderr
    assert "Traceback" not in done.stderr
    assert before.items() <= written(store, EXTRACT_FILES).items()
    extract.summary()
    assert files(store, EXTRACT_FILES) == files(undisturbed / "store", EXTRACT_FILES)
    assert not leftovers(store)


def test_metadata_of_a_killed_creation_is_whole(tmp_path, job, source, kill_after):
    """Killed while stores are being made, before any shard."""
    extract = job("extract", *source, f"--store={tmp_path}/store")
    assert kill_after(extract, tmp_path, "store/[!.]*.zarr", 1)
    for store in (tmp_path / "store").glob("[!.]*.zarr"):
        assert (store / "zarr.json").is_file()
        assert (store / "states" / "zarr.json").is_file()
