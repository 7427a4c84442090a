"""Launching on a real Slurm: rounds, the order of steps, launching again, tasks run alone, a lost node."""

import json
import os
import pathlib
import random
import shutil
import subprocess
import sys
import time

import pytest
from processes import kill

from isogloss.engine.cluster import launch
from isogloss.engine.cluster.run_folder import RunFolder
from isogloss.engine.runtime.refusal import Refusal


def ids(run):
    return {
        name: step["ids"] for name, step in json.loads((run / "launch.json").read_text())["steps"].items()
    }


def processes(*words):
    """Numbers of processes whose command line has all these words."""
    found = []
    for number in filter(str.isdecimal, os.listdir("/proc")):
        try:
            line = pathlib.Path(f"/proc/{number}/cmdline").read_bytes()
        except OSError:
            continue
        if all(word in line.replace(b"\0", b" ").decode(errors="replace") for word in words):
            found.append(int(number))
    return found


def killed(*words, rng=None):
    """Whether SIGKILL hit any process whose command line has these words: all of them, or a random one."""
    found = processes(*words)
    chosen = found if rng is None else found and [rng.choice(found)]
    return any([kill(process) for process in chosen])


def test_tasks_that_die_are_started_again_in_rounds(slurm, fake):
    """And neither what was refused nor what is done as far as it can be."""
    fake.codes(extract_0=["kill", 1, 0], extract_1=[3], grid_1=[2])
    flags = "#SBATCH --comment=mine\n"
    summary = fake.launch("extract", "grid", "report", cluster="slurm", flags=flags)
    assert (summary.submitted, summary.complete) == (9, True)
    assert ids(fake.run) == summary.ids
    slurm.finish()
    assert fake.records == {
        "extract-0": 0, "extract-1": 3, "grid-0": 0, "grid-1": 2, "report-0": 2, "report-1": 2,
    }  # fmt: skip
    assert sorted(fake.calls) == ["extract-0"] * 3 + ["extract-1", "grid-0", "grid-1"]
    assert "grid-1 isn't done; see" in fake.log("report-0")
    assert fake.log("extract-0").count("Slurm job") == 3

    again = fake.launch("extract", "grid", "report", cluster="slurm", flags=flags, rounds=1)
    assert again.submitted == 3
    slurm.finish()
    assert set(fake.records.values()) == {0}
    assert sorted(fake.calls[6:]) == ["extract-1", "grid-0", "grid-1", "report-0", "report-1"]
    assert fake.launch("extract", "grid", "report", cluster="slurm", flags=flags).submitted == 0


def test_launched_again_it_submits_only_what_is_not_in_the_queue(slurm, fake, monkeypatch):
    """Also where launch was killed between a submission and its record."""
    (fake.folder / "codes" / "wait").touch()
    fake.codes(extract_0=["wait"])
    real = RunFolder.write_launched

    def killed(folder, launched):
        if launched.steps["extract"].ids:
            raise KeyboardInterrupt
        real(folder, launched)

    with monkeypatch.context() as patched:
        patched.setattr(RunFolder, "write_launched", killed)
        with pytest.raises(KeyboardInterrupt):
            fake.launch("extract", "grid", cluster="slurm", rounds=2)
    assert fake.launch("extract", "grid", cluster="slurm", rounds=2).submitted == 3
    again = fake.launch("extract", "grid", cluster="slurm", rounds=2)
    assert (again.submitted, again.ids) == (0, ids(fake.run))
    with pytest.raises(Refusal, match="is in the queue with other steps, flags or shards"):
        fake.launch("extract", "grid", cluster="slurm", flags="# other\n")
    (fake.folder / "codes" / "wait").unlink()
    slurm.finish()
    assert sorted(fake.calls) == ["extract-0", "extract-1", "grid-0", "grid-1"]


def test_what_slurm_cannot_do_is_refused_before_anything_is_submitted(slurm, fake, monkeypatch):
    with pytest.raises(Refusal, match="at most 101 tasks"):
        fake.launch("extract", cluster="slurm", shards=102)
    assert not fake.run.exists()
    with pytest.raises(Refusal, match=r"sbatch failed.*nonsense"):
        fake.launch("extract", cluster="slurm", sbatch="--nonsense")
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Refusal, match="scontrol isn't installed here"):
        fake.launch("extract", cluster="slurm")


def test_caches_are_filled_on_this_machine(slurm, fake, monkeypatch):
    """Compute nodes may have no internet."""
    monkeypatch.setattr(launch, "FETCH", "bench")
    summary = fake.launch("bench", "extract", cluster="slurm", rounds=1)
    assert fake.calls[0] == "bench-0"
    assert list(summary.ids) == ["extract"]
    assert "Slurm job" not in fake.log("bench-0")
    slurm.finish()
    assert fake.records == {"bench-0": 0, "extract-0": 0, "extract-1": 0}


@pytest.fixture(scope="module")
def broken(tmp_path_factory, speech):
    """The corpus with a recording that can't be decoded."""
    folder = tmp_path_factory.mktemp("broken")
    shutil.copytree(speech.parent, folder, dirs_exist_ok=True)
    (folder / "aa-1.wav").write_text("not a sound")
    return folder / speech.name


@pytest.fixture
def chain(tmp_path, broken, model_folder, programs):
    """Function from a folder to flag files of extract, grid and report that write there, or into a bucket."""

    def write(folder, bucket=None):
        folder.mkdir()
        held = bucket or folder
        kept = f"--compilation_cache={programs}\n"
        source = f"--corpus=manifest:{broken}\n--model={model_folder}\n--rows_per_device=1\n"
        texts = {
            "extract": f"{source}--store={held}/store\n{kept}",
            "grid": f"--store={held}/store\n--grid={held}/grid.zarr\n{kept}",
            "report": f"--grid={held}/grid.zarr\n--out={folder}/report\n",
        }
        for name, text in texts.items():
            (folder / f"{name}.flags").write_text(text)
        return [str(folder / f"{name}.flags") for name in texts]

    return write


def launched(job_flags, *options):
    return [sys.executable, "-m", "isogloss.jobs.launch", *options, *job_flags]


@pytest.mark.deep
@pytest.mark.parametrize("kills", [1, 5])
def test_a_chain_with_a_broken_recording_and_killed_tasks(slurm, tmp_path, chain, files, written, kills):
    """Ends with the bytes of one undisturbed process. Rounds suffice even if all kills hit one shard."""
    summary = run_launch(
        chain(tmp_path / "a"), "--cluster=slurm", f"--run={tmp_path}/run", "--shards=2",
        f"--rounds={kills + 2}",
    )  # fmt: skip
    assert summary["submitted"] == 3 * (kills + 2)
    slurm.until(lambda: written(tmp_path / "a" / "store", "*.zarr/states/c.*"))
    kill_at_random(slurm, f"{tmp_path}/run", kills)
    alone = run_launch(
        chain(tmp_path / "b"), "--cluster=local", f"--run={tmp_path}/alone", "--shards=1", code=3
    )
    assert alone["exit_codes"] == {"extract": {"3": 1}, "grid": {"3": 1}, "report": {"0": 1}}
    slurm.finish()
    logs = "".join(path.read_text() for path in (tmp_path / "run" / "logs").iterdir())
    assert logs.count("Slurm job") >= 6 + kills
    records = {path.name: path.read_text().strip() for path in (tmp_path / "run" / "exit").iterdir()}
    assert sorted(records.values()) == ["0", "0", "0", "3", "3", "3"]
    for pattern in ("store/*.zarr/states/c.*", "grid.zarr/*/c.*", "report/retrieval.*"):
        found, expected = (files(tmp_path / side, pattern) for side in "ab")
        assert found == expected
        assert expected


def kill_at_random(slurm, run, kills):
    """Kill tasks of a run, one after another."""
    rng = random.Random(3)
    for _ in range(kills):
        slurm.until(lambda: killed("-m isogloss.jobs.", run, rng=rng))
        time.sleep(rng.uniform(0, 6) if kills > 1 else 0)


@pytest.mark.deep
def test_a_chain_into_a_bucket_with_killed_tasks(slurm, tmp_path, chain, files, s3):
    """Ends with the objects of one undisturbed process in a folder."""
    bucket, kills = f"{s3.bucket()}/all", 4
    given = ",".join(f"{name}={value}" for name, value in s3.environment.items())
    run_launch(
        chain(tmp_path / "a", bucket), "--cluster=slurm", f"--run={tmp_path}/run", "--shards=2",
        f"--rounds={kills + 2}", f"--env={given}",
    )  # fmt: skip
    slurm.until(lambda: any("/states/c." in key for key in s3.keys(f"{bucket}/store")))
    kill_at_random(slurm, f"{tmp_path}/run", kills)
    run_launch(chain(tmp_path / "b"), "--cluster=local", f"--run={tmp_path}/alone", "--shards=1", code=3)
    slurm.finish()
    logs = "".join(path.read_text() for path in (tmp_path / "run" / "logs").iterdir())
    assert logs.count("Slurm job") >= 6 + kills
    held = s3.objects(bucket)
    for pattern in ("store/*.zarr/*/c.*", "grid.zarr/*/c.*"):
        expected = files(tmp_path / "b", pattern)
        assert expected == {key: held.get(key) for key in expected}
        assert expected
    found, expected = (files(tmp_path / side, "report/retrieval.*") for side in "ab")
    assert found == expected


def run_launch(flagfiles, *options, code=0):
    """Summary of launch as a user starts it."""
    done = subprocess.run(launched(flagfiles, *options), capture_output=True, text=True, check=False)
    assert done.returncode == code, done.stderr
    return json.loads(done.stdout)


@pytest.mark.parametrize(
    ("array", "flags", "pairs"),
    [
        pytest.param("2", "--num_shards=2 --shard_index=0", [1], marks=pytest.mark.deep),
        ("1", "--num_shards=2", [2]),
        ("1", "", [3]),
        pytest.param("0-2", "--num_shards=auto", [1, 1, 1], marks=pytest.mark.deep),
        ("0,2", "--num_shards=auto", []),
    ],
)
def test_tasks_run_alone_and_arrays_of_another_purpose(slurm, tmp_path, spoken, array, flags, pairs):
    job = (
        f"{sys.executable} -m isogloss.jobs.report --dry_run --grid={spoken}/grid.zarr --out={tmp_path}/never"
    )
    slurm.run("sbatch", f"--array={array}", f"--output={tmp_path}/%a", "--wrap", f"{job} {flags}")
    slurm.finish()
    lines = [path.read_text().splitlines() for path in tmp_path.iterdir()]
    found = [json.loads(line)["plan"]["pairs"] for log in lines for line in log if line.startswith("{")]
    assert found == pairs
    if not pairs:
        assert all("--num_shards=auto needs" in log[-1] for log in lines)


@pytest.mark.deep
def test_a_lost_node(slurm, fake):
    """Its task is started again in the next round, on another node."""
    (fake.folder / "codes" / "wait").touch()
    fake.codes(extract_0=["wait"])
    fake.launch("extract", cluster="slurm", shards=1, rounds=2, sbatch="--no-requeue")
    slurm.until(lambda: fake.calls == ["extract-0"])
    [node] = slurm.run("squeue", "-h", "-t", "running", "-o", "%N").split()
    daemon = slurm.processes[node]
    daemon.kill()
    daemon.wait()
    number = ids(fake.run)["extract"][0]
    for words in (("slurmstepd", f"[{number}"), (str(fake.run), "extract.sh"), (str(fake.python),)):
        killed(*words)
    (fake.folder / "codes" / "wait").unlink()
    slurm.finish()
    slurm.start_node(int(node[1:]))
    assert fake.calls == ["extract-0"] * 2
    assert fake.records == {"extract-0": 0}


def both_wait(slurm, fake, sbatch):
    """Launch two tasks in two rounds, which wait until they are killed."""
    (fake.folder / "codes" / "wait").touch()
    fake.codes(extract_0=["wait"], extract_1=["wait"])
    fake.launch("extract", cluster="slurm", rounds=2, sbatch=sbatch)
    slurm.until(lambda: len(fake.calls) == 2)


@pytest.mark.deep
def test_a_cancelled_task_and_one_killed_with_its_script(slurm, fake):
    """As by preemption that cancels, and by a lack of memory: the next round does both."""
    both_wait(slurm, fake, "--no-requeue")
    slurm.run("scancel", f"{ids(fake.run)['extract'][0]}_0")
    slurm.until(lambda: len(slurm.run("squeue", "-hr", "-t", "running,completing", "-o", "%i").split()) == 1)
    assert fake.records == {"extract-0": 143}
    killed(str(slurm.folder), "slurm_script")
    killed(str(fake.python))
    slurm.finish()
    assert sorted(fake.calls) == ["extract-0"] * 2 + ["extract-1"] * 2
    assert fake.records == {"extract-0": 0, "extract-1": 0}


@pytest.mark.deep
def test_a_time_limit_and_a_requeue(slurm, fake):
    """A task that is cut off goes on in the next round, one that Slurm itself requeues in the same."""
    both_wait(slurm, fake, "--time=1")
    second = f"{ids(fake.run)['extract'][0]}_1"
    slurm.run("scontrol", "requeue", second)
    slurm.until(lambda: "BeginTime" in slurm.run("squeue", "-h", "-o", "%r"))
    slurm.run("scontrol", "update", f"jobid={second}", "StartTime=now")  # Slurm waits for two minutes
    slurm.until(lambda: fake.calls.count("extract-1") == 2)  # or it does wait
    slurm.until(lambda: fake.calls.count("extract-0") == 2)
    slurm.finish()
    assert fake.records == {"extract-0": 0, "extract-1": 0}
    assert "TIME LIMIT" in fake.log("extract-0")


@pytest.mark.deep
@pytest.mark.parametrize("mode", ["REQUEUE", "CANCEL"])
def test_a_task_that_a_partition_of_higher_rank_preempts(preempting, fake, mode):
    """It goes on in the same round where Slurm requeues it, and in the next where it is cancelled."""
    slurm = preempting(mode)
    (fake.folder / "codes" / "wait").touch()
    fake.codes(extract_0=["wait"])
    fake.launch("extract", "grid", cluster="slurm", shards=1, rounds=2)
    slurm.until(lambda: fake.calls == ["extract-0"])
    slurm.run("sbatch", "--partition=urgent", f"--output={fake.folder}/urgent", "--wrap", "echo done")
    slurm.until((fake.folder / "urgent").exists)
    if mode == "REQUEUE":
        first = f"{ids(fake.run)['extract'][0]}_0"
        slurm.until(lambda: "BeginTime" in slurm.run("squeue", "-h", "-o", "%r"))
        slurm.run("scontrol", "update", f"jobid={first}", "StartTime=now")  # Slurm waits for two minutes
    slurm.finish()
    assert fake.calls == ["extract-0", "extract-0", "grid-0"]
    assert fake.records == {"extract-0": 0, "grid-0": 0}
    assert "PREEMPTION" in fake.log("extract-0")
