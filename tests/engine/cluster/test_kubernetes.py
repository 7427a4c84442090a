"""Manifests for Kubernetes: checked against its schema, and their containers' commands run as processes."""

import pathlib
import stat
import subprocess
import sys

import kubernetes_validate
import pytest
import yaml

from isogloss.engine.operations import status
from isogloss.engine.operations.status_config import StatusConfig
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.tallies.tally import Count

PODS = pathlib.Path(__file__).with_name("pods.py")


def launch(fake, *names, text="", **options):
    given = {"cluster": "kubernetes", "image": "isogloss:1", "python": None, "volumes": ("data:/data",)}
    return fake.launch(*names, flags=text, **given | options)


@pytest.fixture
def submit(fake, tmp_path, monkeypatch):
    """Function that runs submit.sh with a kubectl and a Python that stand for the real ones."""
    (tmp_path / "bin").mkdir()
    for name, command in (
        ("kubectl", f'{sys.executable} {PODS} "$@"'),
        ("python", f"'{fake.python}' \"$@\""),
    ):
        path = tmp_path / "bin" / name
        path.write_text(f"#!/bin/bash\nexec {command}\n")
        path.chmod(path.stat().st_mode | stat.S_IXUSR)
    (tmp_path / "pods").mkdir()
    monkeypatch.setenv("PODS", str(tmp_path / "pods"))
    monkeypatch.setenv("POLL", "0")
    monkeypatch.setenv("PATH", f"{tmp_path}/bin", prepend=":")

    def run():
        return subprocess.run(
            ["bash", fake.run / "submit.sh"], capture_output=True, text=True, check=False, timeout=900
        )

    return run


def test_manifests_are_valid(fake):
    resources = ("nvidia.com/gpu=1", "memory=32Gi")
    summary = launch(fake, "extract-large", "bench", text="# mine\n", resources=resources, env=("A=1",))
    assert summary.complete
    assert (fake.run / "submit.sh").exists()
    for name, tasks in (("extract-large", 2), ("bench", 1)):
        flags, job = yaml.safe_load_all((fake.run / f"{name}.yaml").read_text())
        for document in (flags, job):
            kubernetes_validate.validate(document, "1.31", strict=True)
        assert flags["data"] == {f"{name}.flags": "# mine\n"}
        assert job["metadata"]["name"] == flags["metadata"]["name"] == f"isogloss-a-run-{name}"
        assert job["spec"]["completions"] == job["spec"]["parallelism"] == tasks
        [container] = job["spec"]["template"]["spec"]["containers"]
        assert container["resources"]["limits"] == {"nvidia.com/gpu": "1", "memory": "32Gi"}
        assert {"name": "data", "mountPath": "/data"} in container["volumeMounts"]
        assert ("--shard_index=$(JOB_COMPLETION_INDEX)" in container["args"]) == (name == "extract-large")


def test_the_pod_of_fetch_may_ask_the_hub(fake):
    launch(fake, "fetch", "bench", env=("HF_HUB_OFFLINE=1", "HF_HOME=/data/hub"))
    names = {}
    for step in ("fetch", "bench"):
        _, job = yaml.safe_load_all((fake.run / f"{step}.yaml").read_text())
        [container] = job["spec"]["template"]["spec"]["containers"]
        names[step] = [variable["name"] for variable in container["env"]]
    assert names == {"fetch": ["HF_HOME"], "bench": ["HF_HUB_OFFLINE", "HF_HOME"]}


def test_pods_that_die_are_made_again_and_what_is_final_is_not(fake, submit, tmp_path):
    fake.codes(extract_1=[3], grid_0=[1, "kill", 0])
    (tmp_path / "pods" / "disturb").write_text("0 drain\n0 kill\n0 kill\n")
    launch(fake, "extract", "grid", "report")
    done = submit()
    assert done.returncode == 0, done.stderr
    assert fake.calls.count("extract-1") == 1
    assert fake.calls.count("grid-0") == 3
    assert fake.calls[-2:] == ["report-0", "report-1"]
    calls = len(fake.calls)
    assert submit().returncode == 0
    assert len(fake.calls) == calls, "a Job that is there isn't made again"
    records = {f"{step}-{task}": 0 for step in ("extract", "grid", "report") for task in range(2)}
    assert fake.records == records | {"extract-1": 3}
    found = status.run(StatusConfig(run=fake.run))
    assert (found.done, found.total, found.failed, found.plan["left"]) == (6, 6, 0, 0)
    assert list(found.reasons) == ["extract-1"]


@pytest.mark.deep
def test_the_jobs_themselves_run_in_pods(fake, submit, tmp_path, speech, model_folder, programs):
    """One of extract's is killed as it starts."""
    (tmp_path / "bin" / "python").write_text(f'#!/bin/bash\nexec {sys.executable} "$@"\n')
    (tmp_path / "pods" / "disturb").write_text("0 kill\n")
    kept = f"--compilation_cache={programs}\n"
    flags = {
        "extract": f"--corpus=manifest:{speech}\n--model={model_folder}\n--store={tmp_path}/store\n{kept}",
        "grid": f"--store={tmp_path}/store\n--grid={tmp_path}/grid.zarr\n--measures=seqsim\n{kept}",
        "report": f"--grid={tmp_path}/grid.zarr\n--out={tmp_path}/report\n",
    }
    launch(fake, *flags, text=flags)
    done = submit()
    assert done.returncode == 0, done.stderr
    found = status.run(StatusConfig(run=fake.run))
    assert (found.done, found.total, found.reasons) == (6, 6, {})
    assert found.parts["utterances of extract"]["extract"] == Count(done=20, total=20)
    assert found.parts["units of grid"]["grid"].left == 0
    assert (tmp_path / "report" / "report.html").is_file()


def test_tasks_whose_pods_are_deleted_with_their_node_are_done(fake, submit, tmp_path):
    """In ranges and alone, as Kubernetes keeps the indices."""
    fake.codes(extract_1=[3])
    (tmp_path / "pods" / "gone").write_text("0\n2\n3\n")
    launch(fake, "extract", shards=4)
    done = submit()
    assert done.returncode == 0, done.stderr
    noted = {"extract-0": 0, "extract-1": 3, "extract-2": 0, "extract-3": 0}
    assert fake.records == noted
    launch(fake, "extract", shards=4)
    assert fake.records == noted


def test_a_deleted_job_is_begun_anew_and_a_name_of_other_letters_works(fake, submit, tmp_path):
    fake.codes(**{"extract-Large_0": [2]})
    launch(fake, "extract-Large")
    assert submit().returncode == 1
    [state] = (tmp_path / "pods").glob("*.json")
    state.unlink()
    launch(fake, "extract-Large")
    assert submit().returncode == 0
    assert fake.records == {"extract-Large-0": 0, "extract-Large-1": 0}


def test_a_refusal_stops_the_steps_behind_it(fake, submit):
    fake.codes(extract_0=[2])
    launch(fake, "extract", "grid")
    done = submit()
    assert done.returncode == 1
    assert "error: extract: 1 of 2 tasks are done; see isogloss status --run=" in done.stderr
    assert fake.calls == ["extract-0", "extract-1"]
    found = status.run(StatusConfig(run=fake.run))
    assert (found.done, found.failed, found.plan["left"]) == (1, 1, 2)
    assert found.reasons == {"extract-0": "what isogloss-a-run-extract-0-0 said"}


def test_jobs_of_one_name_are_refused(fake):
    with pytest.raises(Refusal, match="first 21 letters"):
        launch(fake, "extract-large", "extract-Large")
