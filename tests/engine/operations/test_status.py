"""Status of stores, grids and runs, whole and half-done."""

import json
import os
import pathlib
import shutil
import time

import processes
import pytest

from isogloss.engine.activations import extract
from isogloss.engine.activations.extract_config import ExtractConfig
from isogloss.engine.cluster.run_folder import Launched, LaunchedStep, RunFolder
from isogloss.engine.grid import grid
from isogloss.engine.grid.grid_config import GridConfig
from isogloss.engine.operations import status
from isogloss.engine.operations.status_config import StatusConfig
from isogloss.engine.runtime.failure_notes import FailureNotes
from isogloss.engine.tallies import pace
from isogloss.engine.tallies.tally import Count


@pytest.fixture(scope="module")
def made(tmp_path_factory, speech, model_folder):
    """Folder of a store and a grid: one recording of "aa" is broken, two of "cc" are left out."""
    folder = tmp_path_factory.mktemp("status")
    shutil.copytree(speech.parent, folder / "speech")
    (folder / "speech" / "aa-1.wav").write_text("not a sound")
    extract.run(
        ExtractConfig(
            corpus=f"manifest:{folder}/speech/speech.tsv",
            model=str(model_folder),
            store=folder / "store",
            states=("0", "final"),
            long="skip",
        )
    )
    grid.run(GridConfig(store=folder / "store", grid=folder / "grid.zarr"))
    return folder


@pytest.fixture
def folder(made, tmp_path):
    """A copy of it."""
    shutil.copytree(made, tmp_path / "made")
    return tmp_path / "made"


def test_utterances_by_language(folder, capsys):
    for shard in sorted((folder / "store" / "bb.zarr" / "states").glob("c.*"))[:3]:
        shard.unlink()
    found = status.run(StatusConfig(store=folder / "store"))
    languages = found.parts["language"]
    left_out = {code: count.left_out for code, count in languages.items()}
    assert sum(left_out.values()) == found.left_out > 0
    assert languages["aa"].failed == found.failed == 1
    assert (languages["bb"].left, found.plan) == (3, {"left": 3})
    assert found.total == 20 == found.done + found.failed + found.left_out + 3
    assert "not audio" in found.reasons["aa s1.0"]
    shown = capsys.readouterr().err
    assert "aa-1.wav" in shown
    assert found.sentence(StatusConfig(store=folder / "store")).startswith(
        f"{found.done} of 20 utterances are stored in {folder}/store, 1 failed"
    )


@pytest.mark.parametrize("flat", [True, False])
def test_units_by_language_and_state(folder, flat):
    """A unit whose chunks aren't all there isn't done; keys of format 1 have a folder for each index."""
    (folder / "grid.zarr" / "dtw" / "c.0.1.0.0").unlink()  # aa-bb at the last state
    (folder / "grid.zarr" / "seqsim" / "c.2.0.0.0").unlink()
    if not flat:
        for path in (folder / "grid.zarr").glob("*/c.*"):
            whole = path.parent / path.name.replace(".", "/")
            whole.parent.mkdir(parents=True, exist_ok=True)
            path.rename(whole)
    found = status.run(StatusConfig(grid=folder / "grid.zarr"))
    assert (found.done, found.total) == (4, 6)
    assert {code: count.left for code, count in found.parts["language"].items()} == {
        "aa": 1,
        "bb": 2,
        "cc": 1,
    }
    assert found.parts["state"] == {"0": Count(done=2, total=3), "final": Count(done=2, total=3)}


def test_units_that_failed_are_not_all_that_is_to_be_done(folder):
    """The rest may be whole: what the reasons name is to be mended, and done by another run."""
    config = StatusConfig(grid=folder / "grid.zarr")
    (folder / "grid.zarr" / "dtw" / "c.0.1.0.0").unlink()
    FailureNotes(group=folder / "grid.zarr").write((0, 1), unit="aa-bb state final", error="damaged")
    found = status.run(config)
    assert (found.failed, found.reasons) == (1, {"aa-bb state final": "damaged"})
    assert found.sentence(config).endswith(
        "1 failed: correct what the table of reasons names, and run the same command again"
    )


def launched(folder):
    """A run of extract, by two tasks, and of grid, by three, none of which has ended."""
    run = RunFolder(path=folder / "run")
    run.make()
    steps = {"extract": LaunchedStep(job="extract", tasks=2), "grid": LaunchedStep(job="grid", tasks=3)}
    run.write_launched(Launched(cluster="local", rounds=3, steps=steps))
    flags = {
        "extract": f"--store={folder}/store",
        "grid": f"--store={folder}/store\n--grid={folder}/grid.zarr",
    }
    for name, text in flags.items():
        (run.path / f"{name}.flags").write_text(f"{text}\n")
    return run


def end(run, codes):
    """Write the exit codes of tasks down, by their names."""
    for task, code in codes.items():
        run.write(run.path / "exit" / task, f"{code}\n")


def test_a_run_by_its_records_and_logs(folder):
    run = launched(folder)
    end(run, {"extract-0": 0, "extract-1": 3, "grid-0": 2, "grid-1": 1, "grid-2": 3})
    logs = {
        "extract-1": json.dumps({"failed": {"aa s1.0": "not audio"}}) + "\nstored 12 of 13 utterances",
        "grid-0": "error: no memory\n",
        "grid-1": "Traceback (most recent call last):\nOSError: stale file handle\n",
        "grid-2": json.dumps({"failed": ["aa-bb: damaged", "aa-cc: damaged"]}) + "\n",  # as report has it
    }
    for task, text in logs.items():
        (run.path / "logs" / f"{task}.log").write_text(text)
    found = status.run(StatusConfig(run=run.path))
    assert found.parts["step"] == {
        "extract": Count(done=2, total=2),
        "grid": Count(done=1, total=3, failed=1),
    }
    assert found.parts["units of grid"]["grid"] == Count(done=6, total=6)
    assert found.parts["utterances of extract"]["aa"].failed == 1
    assert found.reasons == {
        "extract-1 aa s1.0": "not audio",
        "grid-0": "no memory",
        "grid-1": "OSError: stale file handle",
        "grid-2 1": "aa-bb: damaged",
        "grid-2 2": "aa-cc: damaged",
    }
    assert found.sentence(StatusConfig(run=run.path)).startswith("3 of 5 tasks are done in")


def test_the_time_left_of_a_run_no_task_of_which_has_ended(folder):
    """By what its first unfinished step makes: one file every ten seconds, six of them left."""
    run, config = launched(folder), StatusConfig(run=folder / "run")
    files, now = sorted((folder / "store").glob("*.zarr/states/c.*")), time.time()
    for number, file in enumerate(files):
        os.utime(file, times=(now - 10 * number,) * 2)
    for file in files[-6:]:
        file.unlink()
    found = status.run(config)
    assert (found.done, found.plan, found.pace_of) == (0, {"left": 5}, "utterances of extract")
    assert found.per_hour == pytest.approx(360, rel=0.01)
    assert found.seconds_left == pytest.approx(60, rel=0.01)
    assert found.sentence(config).endswith("run; utterances of extract: 360 an hour, about 1 min 0 s left")
    end(run, {"extract-0": 0, "extract-1": 3})
    assert status.run(config).pace_of == "units of grid"
    shutil.rmtree(folder / "grid.zarr")
    end(run, {"grid-0": 0})
    assert status.run(config).pace_of == "tasks of grid"
    end(run, {"grid-1": 0, "grid-2": 0})
    assert status.run(config).sentence(config).endswith("nothing is left to do")


def test_tasks_of_a_run_that_were_refused_or_stopped(folder):
    """What was stopped is left, and what was refused is not done."""
    run, config = launched(folder), StatusConfig(run=folder / "run")
    end(run, {"extract-0": 143, "extract-1": 130})
    found = status.run(config)
    assert (found.failed, found.plan) == (0, {"left": 5})
    assert list(found.reasons) == ["aa s1.0"]  # the broken recording
    end(run, {f"{step}-{task}": 2 for step, tasks in (("extract", 2), ("grid", 3)) for task in range(tasks)})
    sentence = status.run(config).sentence(config)
    assert "0 of 5 tasks are done in" in sentence
    assert "5 were refused: correct what the table of reasons names, and launch again" in sentence
    assert "nothing is left" not in sentence


@pytest.mark.parametrize("count", [40, 5000])
def test_rate_and_time_left(tmp_path, monkeypatch, count):
    """One file every two seconds until now, after a pause of two hours; of many a sample is asked."""
    now = 1_800_000_000.0
    times = {tmp_path / str(i): now - 2 * i - (7200 if i > count // 2 else 0) for i in range(count)}
    monkeypatch.setattr(pace.objects, "times", lambda places: [times[place] for place in places])
    found = pace.pace(count, list(times).__getitem__, 300, now)
    assert found.per_hour == pytest.approx(1800, rel=0.2)
    assert found.seconds_left == pytest.approx(600, rel=0.2)
    assert found.idle_seconds <= 20
    later = pace.pace(count, list(times).__getitem__, 300, now + 500)
    assert (later.seconds_left, later.idle_seconds >= 500) == (None, True)
    assert pace.pace(0, list(times).__getitem__, 3) == pace.Pace()


@pytest.mark.parametrize("options", [("store",), ("grid",), ("run",), (), ("store", "run")])
def test_what_is_not_there_is_refused(tmp_path, options):
    with pytest.raises(ValueError, match=r"no language|no grid|no run was launched|give one of"):
        status.run(StatusConfig(**dict.fromkeys(options, tmp_path / "nothing")))


LANGUAGES, ROWS, STATES, MEASURES = 102, 763, 34, ("seqsim", "meanpool", "dtw")


@pytest.mark.deep
def test_all_of_fleurs_within_seconds_of_processor_time(folder, job, tmp_path):
    """77,826 utterances, and 175,134 units of three measures: stores and grid as they are, files empty."""
    for number in range(LANGUAGES):
        _store(folder / "store" / "aa.zarr", tmp_path / "store" / f"l{number:03}.zarr")
    _grid(folder / "grid.zarr", tmp_path / "grid.zarr")
    pairs = LANGUAGES * (LANGUAGES - 1) // 2
    for option, done in (("store", LANGUAGES * ROWS), ("grid", pairs * STATES)):
        asking = job("status", f"--{option}={tmp_path}/{option}{'.zarr' * (option == 'grid')}")

        def ask(asking=asking, option=option):
            before = processes.processor_seconds()
            summary = asking.summary()
            took = processes.processor_seconds() - before
            print(f"status of {option}: {took:.2f} s of processor time, {summary['seconds']} s of the clock")
            return took, summary

        summary = processes.soon(5, ask)  # two on a quiet core, with the start of Python
        assert (summary["done"], summary["total"]) == (done, done)


def _store(one: pathlib.Path, path: pathlib.Path) -> None:
    (path / "states").mkdir(parents=True)
    metadata = json.loads((one / "zarr.json").read_text())
    arrays = metadata["consolidated_metadata"]["metadata"]
    arrays["utterance"]["shape"] = [ROWS]
    arrays.pop("place", None)
    (path / "zarr.json").write_text(json.dumps(metadata))
    for row in range(ROWS):
        (path / "states" / f"c.{row}.0.0.0").touch()


def _grid(one: pathlib.Path, path: pathlib.Path) -> None:
    path.mkdir()
    metadata = json.loads((one / "zarr.json").read_text())
    codes = [f"l{number:03}" for number in range(LANGUAGES)]
    pairs = [f"{a}-{b}" for i, a in enumerate(codes) for b in codes[i + 1 :]]
    metadata["attributes"] |= {
        "pairs": pairs,
        "states": [str(state) for state in range(STATES)],
        "languages": json.dumps({code: {} for code in codes}),
    }
    (path / "zarr.json").write_text(json.dumps(metadata))
    for measure in MEASURES:
        (path / measure).mkdir()
        for pair in range(len(pairs)):
            for state in range(STATES):
                (path / measure / f"c.{pair}.{state}.0.0").touch()
