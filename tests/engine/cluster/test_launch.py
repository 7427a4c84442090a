"""Launching: what is refused before anything runs, and runs on this machine."""

import json
import shlex
import signal
import subprocess
import sys

import processes
import pytest
from processes import PATIENCE, awaited, ended, piped

from isogloss.engine.cluster import job_configs, launch, local, steps
from isogloss.engine.cluster.launch_config import LaunchConfig
from isogloss.engine.runtime.refusal import Refusal, UnfinishedError
from isogloss.jobs import __main__ as jobs


def command(*flags):
    return [sys.executable, "-m", "isogloss.jobs.launch", *flags]


def test_tasks_that_die_are_started_again_and_others_are_not(fake):
    fake.codes(extract_0=["kill", 143, 0], grid_1=[3], report_0=[1])
    summary = fake.launch("extract", "grid", "report")
    assert fake.records == {
        "extract-0": 0, "extract-1": 0, "grid-0": 0, "grid-1": 3, "report-0": 0, "report-1": 0,
    }  # fmt: skip
    assert fake.calls.count("extract-0") == 3
    assert fake.calls.count("report-0") == 2
    assert len(fake.calls) == 9
    assert not summary.complete
    assert summary.exit_codes["grid"] == {0: 1, 3: 1}
    last = (fake.folder / "calls").read_text().splitlines()[-1]
    assert "--num_shards=2 --shard_index=" in last


def test_a_refusal_ends_the_run_and_the_same_command_goes_on_there(fake):
    fake.codes(grid_0=[2])
    with pytest.raises(Refusal, match="grid-0 was refused: made up to fail"):
        fake.launch("extract", "grid", "report")
    assert fake.calls.count("grid-0") == 1
    assert "report-0" not in fake.calls
    calls = len(fake.calls)
    assert fake.launch("extract", "grid", "report").complete
    assert sorted(fake.calls[calls:]) == ["grid-0", "report-0", "report-1"]
    fake.launch("extract", "grid", "report")
    assert len(fake.calls) == calls + 3, "all is done"


def test_other_flags_do_a_step_and_those_after_it_again(fake):
    fake.launch("extract", "grid")
    (fake.folder / "calls").unlink()
    fake.launch("extract")
    assert fake.calls == []
    fake.launch("extract", "grid", flags="# other\n")
    assert sorted(fake.calls) == ["extract-0", "extract-1", "grid-0", "grid-1"]


def test_a_task_that_dies_in_every_round_ends_the_run(fake):
    fake.codes(extract_1=["kill", 1])
    with pytest.raises(UnfinishedError, match="extract-1 died 2 times"):
        fake.launch("extract", "grid", rounds=2)
    assert "grid-0" not in fake.calls
    with pytest.raises(Refusal, match="--cluster=local"):
        fake.launch("extract", cluster="kubernetes", image="isogloss", python=None)


def test_a_step_alone_refuses_to_start_before_its_input_is_done(fake):
    """As on a cluster, where nobody watches."""
    fake.launch("extract", "grid", shards=1)
    (fake.run / "exit" / "extract-0").write_text("2\n")
    (fake.run / "exit" / "grid-0").unlink()
    done = subprocess.run(["bash", fake.run / "grid.sh", "0"], capture_output=True, text=True, check=False)
    assert (done.returncode, fake.records["grid-0"]) == (0, 2)
    assert "extract-0 isn't done" in done.stderr
    done = subprocess.run(["bash", fake.run / "grid.sh", "0"], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert f"ended before with 2, says {fake.run}/exit/grid-0" in done.stderr


@pytest.mark.parametrize(
    ("other", "own", "kept"), [(0, 143, 0), (2, 143, 2), (2, 0, 0), (0, 2, 0), (1, 3, 3)]
)
def test_of_two_starts_of_a_task_the_one_that_got_further_is_recorded(fake, other, own, kept):
    """As after a requeue, where the first start may still be ending when the second is done."""
    fake.launch("extract", shards=1)
    (fake.run / "exit" / "extract-0").unlink()
    fake.python.write_text(f"#!/bin/bash\necho {other} > '{fake.run}/exit/extract-0'; exit {own}\n")
    subprocess.run(["bash", fake.run / "extract.sh", "0"], capture_output=True, check=False)
    assert fake.records["extract-0"] == kept


def test_one_job_may_have_two_steps_and_one_that_is_not_divided_has_one_task(fake):
    summary = fake.launch("extract-a", "extract-b", "bench")
    assert summary.tasks == {"extract-a": 2, "extract-b": 2, "bench": 1}
    assert "num_shards" not in (fake.run / "bench.sh").read_text()


@pytest.mark.parametrize(
    ("names", "text", "message"),
    [
        (["extrakt.flags"], "", "named after a job.*extract.*grid"),
        (["launch.flags"], "", "named after a job"),
        (["grid.flags"], "--stor=x", "grid.flags: Unknown command line flag 'stor'"),
        (["grid.flags"], "--grid=g", "grid.flags: --store is missing"),
        (["grid.flags"], "--store=s\n--grid=g\n--measures=nonsense", "grid.flags: .*nonsense"),
        (["grid.flags"], "--store=s\n--grid=g\n--log_dir=s3://b/logs", "--log_dir=s3://b/logs: must be on"),
        (["grid.flags", "more/grid.flags"], "", "one name"),
        (["grid.flags"], "#SBATCH --array=0-3", "--array=0-3 is set by launch"),
        ([], "", "name the flag files"),
    ],
)
def test_flag_files_are_checked_before_anything_runs(tmp_path, names, text, message):
    """And all that the job will refuse of its options, hours later."""
    (tmp_path / "more").mkdir()
    for name in names:
        (tmp_path / name).write_text(text)
    paths = tuple(str(tmp_path / name) for name in names)
    with pytest.raises(Refusal, match=message):
        launch.run(LaunchConfig(cluster="local", run=tmp_path / "run", shards=2, flagfiles=paths))
    assert not (tmp_path / "run").exists()


def test_a_flag_file_in_a_bucket_is_refused(tmp_path):
    with pytest.raises(Refusal, match=r"a flag file=s3://b/grid\.flags: must be on a file system"):
        launch.run(LaunchConfig(cluster="local", run=tmp_path, shards=1, flagfiles=("s3://b/grid.flags",)))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"cluster": "kubernetes"}, "--image"),
        ({"sbatch": "--gpus=1"}, "--sbatch goes with"),
        ({"cluster": "slurm", "sbatch": "-a 3"}, "set by launch"),
        ({"env": ("A B",)}, "NAME=VALUE"),
        ({"resources": ("gpu=1",)}, "kubernetes only"),
    ],
)
def test_options_that_contradict_each_other(tmp_path, options, message):
    with pytest.raises(Refusal, match=message):
        LaunchConfig(**{"cluster": "local", "run": tmp_path, "shards": 1, "flagfiles": ("a",)} | options)


def test_environment_variables_reach_the_tasks(fake):
    """Also where several words start Python, as in a container."""
    fake.python.write_text(f"#!/bin/bash\nenv > '{fake.folder}/env'\n")
    python = f"env -u NOTHING INSIDE='a container' '{fake.python}'"
    fake.launch("bench", env=("HF_HUB_OFFLINE=1", "WORDS=a 'b' $c"), python=python)
    expected = {"HF_HUB_OFFLINE=1", "WORDS=a 'b' $c", "INSIDE=a container"}
    assert expected <= set((fake.folder / "env").read_text().splitlines())


def test_a_fetch_among_tasks_that_may_not_ask_the_hub_asks_it(fake, monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    fake.python.write_text(f"#!/bin/bash\nenv > '{fake.folder}/env-'$(basename $2)\n")
    fake.launch("fetch", "bench", env=("HF_HUB_OFFLINE=1", "HF_HOME=/a"))
    seen = [(fake.folder / f"env-isogloss.jobs.{job}").read_text().splitlines() for job in ("fetch", "bench")]
    assert ["HF_HUB_OFFLINE=1" in lines for lines in seen] == [False, True]
    assert all("HF_HOME=/a" in lines for lines in seen)


def test_each_process_has_a_gpu_of_its_own(fake):
    line = f"cd '{fake.folder}'; echo $CUDA_VISIBLE_DEVICES >> gpus"
    # No process takes the other's turn.
    both = "for _ in {1..2000}; do [ $(sort -u gpus | wc -l) = 2 ] && break; sleep 0.05; done"
    fake.python.write_text(f"#!/bin/bash\n{line}\n{both}\n")
    fake.launch("extract", shards=3, gpus=2)
    assert set((fake.folder / "gpus").read_text().split()) == {"0", "1"}


def test_a_stopped_launch_leaves_no_task_behind(fake):
    """Its tasks end first, with a record, and only then it ends itself and says how many were done."""
    sleeper = fake.folder / "sleeper"
    sleeper.write_text(
        "#!/bin/bash\n[ -f second ] || { touch second; exit 0; }\necho $$ > pid\nexec sleep 600\n"
    )
    sleeper.chmod(0o755)
    for name in ("bench-a", "bench-b", "bench-c"):
        (fake.folder / f"{name}.flags").write_text("")
    line = command("--cluster=local", f"--run={fake.run}", "--shards=1", f"--python={sleeper}")
    process = piped([*line, "bench-a.flags", "bench-b.flags", "bench-c.flags"], cwd=fake.folder)
    pid = number_in(fake.folder / "pid")
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 143
    summary = json.loads(out)
    assert (summary["interrupted"], summary["done"], summary["total"]) == (True, 1, 3)
    assert "stopped: 1 of 3 tasks are done; the same command goes on" in err
    assert fake.records == {"bench-a-0": 0, "bench-b-0": 143}
    awaited(lambda: ended(pid))


def test_a_launch_that_is_stopped_while_it_asks_the_jobs_leaves_none_behind(fake):
    """Here the Python that it asks never answers."""
    (fake.folder / "bench.flags").write_text("")
    asked = (
        f"import os, time; open({str(fake.folder / 'pid')!r}, 'w').write(str(os.getpid())); time.sleep(600)"
    )
    (fake.folder / "slow").write_text(f"#!/bin/bash\nexec {sys.executable} -c {shlex.quote(asked)}\n")
    (fake.folder / "slow").chmod(0o755)
    given = ["launch", "--cluster=local", f"--run={fake.run}", "--shards=1", "bench.flags"]
    by_slow = (
        f"import runpy, sys; sys.executable = {str(fake.folder / 'slow')!r}; sys.argv = {given!r};"
        "runpy.run_module('isogloss.jobs.launch', run_name='__main__', alter_sys=True)"
    )
    process = piped([sys.executable, "-c", by_slow], cwd=fake.folder)
    pid = number_in(fake.folder / "pid")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=PATIENCE)
    assert process.returncode == 143
    awaited(lambda: ended(pid))


def number_in(path):
    """Number that a file holds as soon as it is written."""
    return int(awaited(lambda: path.exists() and path.read_text()))


@pytest.fixture
def chain(fake, speech, model_folder):
    """Flag files of extract, grid and report, and the folder of the first two's results."""
    made = fake.folder / "made"
    texts = {
        "extract": f"--corpus=manifest:{speech}\n--model={model_folder}\n--store={made}/store\n",
        "grid": f"--store={made}/store\n--grid={made}/grid.zarr\n--measures=seqsim,meanpool\n",
        "report": f"--grid={made}/grid.zarr\n--out={made}/report\n",
        "verify": f"--grid={made}/grid.zarr\n",
    }
    for name, text in texts.items():
        (fake.folder / f"{name}.flags").write_text(text)
    return made


def dry_run(fake, *names):
    """Plan of a launch of these steps by two tasks, and what it shows."""
    line = command("--cluster=local", f"--run={fake.run}", "--shards=2", *names, "--dry_run")
    done = subprocess.run(line, cwd=fake.folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert not fake.run.exists()
    return json.loads(done.stdout)["plan"], done.stderr


def test_a_dry_run_shows_scripts_and_what_a_step_costs(fake, chain):
    plan, shown = dry_run(fake, "extract.flags")
    assert "--shard_index=" in shown
    assert not chain.exists()
    assert (plan["tasks"], plan["extract_utterances"], plan["files"]) == (2, 20, 20)


@pytest.mark.deep
def test_a_dry_run_shows_what_each_step_costs(fake, chain):
    """Also of a grid whose stores aren't there yet: two measures of three pairs, four states, 7 sentences."""
    plan, shown = dry_run(fake, "extract.flags", "grid.flags", "verify.flags")
    assert "--shard_index=" in shown
    assert "can't be estimated" not in shown
    assert not chain.exists()
    assert (plan["tasks"], plan["extract_utterances"]) == (6, 20)
    assert plan["extract_tasks"] == plan["grid_tasks"] == 2
    states = plan["grid_units"] // 3
    assert states > 1
    assert (plan["grid_units"], plan["grid_files"]) == (3 * states, 2 * 3 * states)
    assert plan["grid_bytes"] == 2 * 3 * states * (4 * 7**2 + 4)
    assert plan["grid_estimated_seconds"] > 0
    assert plan["files"] == 20 + plan["grid_files"]
    assert plan["bytes"] == plan["extract_bytes"] + plan["grid_bytes"]


@pytest.mark.deep
def test_a_dry_run_of_steps_to_come_says_what_they_say_when_their_input_is_there(fake, chain, job):
    plan, shown = dry_run(fake, "extract.flags", "grid.flags", "report.flags")
    assert "can't be estimated" not in shown
    assert "report: its hours and its files aren't known before the grid has scores" in shown
    job("extract", f"--flagfile={fake.folder}/extract.flags").summary()
    told = {"grid": job("grid", f"--flagfile={fake.folder}/grid.flags", "--dry_run").summary()["plan"]}
    job("grid", f"--flagfile={fake.folder}/grid.flags").summary()
    told["report"] = job("report", f"--flagfile={fake.folder}/report.flags", "--dry_run").summary()["plan"]
    for step, whole in told.items():
        exact = {name: amount for name, amount in whole.items() if not name.endswith("seconds")}
        assert {name: plan[f"{step}_{name}"] for name in exact} == exact


@pytest.mark.deep
def test_a_dry_run_for_another_machine_warns_where_others_refuse(fake, chain, caplog):
    (fake.folder / "extract.flags").write_text("--corpus=manifest:/data/a.tsv\n--model=m\n--store=/data/s\n")
    files = tuple(str(fake.folder / f"{name}.flags") for name in ("extract", "grid"))
    options = {"run": fake.run, "shards": 2, "flagfiles": files, "dry_run": True}
    with pytest.raises(Refusal, match=r"extract\.flags: m: no such file"):
        launch.run(LaunchConfig(cluster="local", **options))
    summary = launch.run(LaunchConfig(cluster="kubernetes", image="isogloss:1", **options))
    assert (summary.plan["tasks"], summary.plan["files"]) == (4, 0)
    assert "extract: " in caplog.text
    assert "grid: " in caplog.text


def test_every_job_may_be_a_step():
    assert job_configs.jobs() == list(jobs.jobs())
    assert job_configs.job_config("linear_maps").__name__ == "LinearMapsConfig"
    assert job_configs.job_config("stopping") is None  # a module of jobs/ that is no job


def test_a_name_with_other_letters_is_refused(tmp_path):
    path = tmp_path / "extract-a b.flags"
    path.write_text("")
    with pytest.raises(Refusal, match="letters, digits"):
        steps.read_steps([str(path)], 1)


class TestTasksThatAreJustStarting:
    """What stops a launch while it starts tasks leaves none of them behind."""

    @pytest.fixture
    def begun(self, monkeypatch):
        """Processes that stand in for tasks; the second start is given to `happens` first."""
        started = []

        def start(happens):
            def replaced(*given):
                started.append(processes.start(["sleep", "600"], start_new_session=True))
                if len(started) == 2:
                    happens()
                return started[-1]

            monkeypatch.setattr(local, "_start", replaced)
            return started

        return start

    def test_a_signal_ends_the_one_that_starts_meanwhile(self, fake, begun):
        started = begun(lambda: signal.raise_signal(signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            fake.launch("extract", shards=2)
        assert [process.poll() for process in started] == [-signal.SIGTERM] * 2

    def test_one_that_cannot_start_ends_those_that_run(self, fake, begun):
        def fail():
            raise OSError(28, "No space left on device")

        started = begun(fail)
        with pytest.raises(OSError, match="No space left"):
            fake.launch("extract", shards=2)
        assert started[0].poll() == -signal.SIGTERM
