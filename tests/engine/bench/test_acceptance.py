"""The acceptance suite on small sizes: figures beside what is wanted, stages that fail, a bare machine.

Its parts and what is wanted of them are in test_acceptance_parts.py.
"""

import json
import os
import pathlib
import re
import subprocess
import sys
import time
import types
from importlib import metadata

import pytest
from packaging import requirements, utils

from isogloss.engine.bench import acceptance, bench, bench_config, findings

ROOT = pathlib.Path(__file__).parents[3]
STAGES = (
    "kernels against float64", "product", "SeqSim", "DTW", "SeqSim and DTW", "encoder, errors", "encoder",
    "grid of 4 languages", "grid job", "extraction",
)  # fmt: skip


def config(**fields):
    return bench_config.BenchConfig(suite=("acceptance",), device="cpu", **fields)


@pytest.mark.deep
def test_every_stage_runs_and_stands_beside_what_is_wanted(tmp_path, capsys):
    summary = bench.run(config(json=tmp_path / "new" / "acceptance.json"))
    assert summary.complete, summary.wrong
    assert summary.plan == {"stages": len(STAGES)}
    assert not summary.left_out
    stages = {one.stage for one in summary.findings}
    assert stages == {stage for stage in STAGES if stage != "encoder, errors"}
    wanted = {(one.stage, one.wanted) for one in summary.findings if one.wanted is not None}
    assert wanted == {("SeqSim", 0.5), ("DTW", 300.0), ("SeqSim and DTW", 300.0), ("encoder", 0.5)}
    written = json.loads((tmp_path / "new" / "acceptance.json").read_text())
    assert [one["name"] for one in written["findings"]] == [one.name for one in summary.findings]
    printed = capsys.readouterr().err.splitlines()
    row, by_table = [line for line in printed if line.startswith("DTW ") and "distances given" in line]
    assert ">= 300 GCUPS" in row
    assert "short" in row
    assert "GCUPS" in by_table
    assert ">=" not in by_table


def test_cheap_stages_stand_beside_what_is_wanted(tmp_path, monkeypatch, capsys):
    every = acceptance._stages
    names = "product", "DTW"
    monkeypatch.setattr(
        acceptance,
        "_stages",
        lambda device, **given: {name: every(device, **given)[name] for name in names},
    )
    summary = bench.run(config(json=tmp_path / "a.json"))
    assert summary.complete, summary.wrong
    assert not summary.lacking
    assert [(one.stage, one.unit, one.wanted) for one in summary.findings] == [
        ("product", "TFLOP/s", None),
        ("DTW", "GCUPS", 300.0),
        ("DTW", "GCUPS", None),
        ("DTW", "", None),
    ]
    assert all(one.found > 0 for one in summary.findings[:3])
    assert summary.findings[-1].found <= summary.findings[-1].bound == 1e-5
    written = json.loads((tmp_path / "a.json").read_text())["findings"]
    assert [one["name"] for one in written] == [one.name for one in summary.findings]
    assert "short" in capsys.readouterr().err
    assert "4 figures on cpu: 0 wrong, 1 short of what is wanted; also in" in summary.sentence(
        config(json=tmp_path / "a.json")
    )


def test_a_stage_that_fails_costs_no_other(tmp_path, monkeypatch, capsys):
    """The file holds what was found before a stage, and after it."""
    seen = []

    def broken():
        seen.append(json.loads((tmp_path / "a.json").read_text())["findings"])
        raise MemoryError("the device is full")

    fine = findings.Finding(stage="a", name="fine", found=0.7, wanted=0.65)
    stages = {"a": lambda: iter([fine]), "b": broken, "c": lambda: iter([fine])}
    monkeypatch.setattr(acceptance, "_stages", lambda device, **given: stages)
    summary = bench.run(config(json=tmp_path / "a.json"))
    assert [one["name"] for one in seen[0]] == ["fine"]
    assert [one.name for one in summary.findings] == ["fine", "failed", "fine"]
    assert summary.wrong == ["b: failed"]
    assert not summary.complete
    assert "MemoryError: the device is full" in capsys.readouterr().err
    assert len(json.loads((tmp_path / "a.json").read_text())["findings"]) == 3


def test_a_missing_package_is_no_fault_and_a_missing_part_is_one(tmp_path, monkeypatch):
    def lacks(name):
        raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    def partly():
        watch = findings.Stopwatch(shortest=0.0)
        return findings.attempted("c", "to shards", lambda: lacks("zarr"), watch)

    there = findings.Finding(stage="d", name="half", found=1.0, note="left out: what people needn't read")
    stages = {
        "a": lambda: lacks("flax"), "b": lambda: lacks("isogloss.engine.whisper"), "c": partly,
        "d": lambda: iter([there]),
    }  # fmt: skip
    monkeypatch.setattr(acceptance, "_stages", lambda device, **given: stages)
    summary = bench.run(config(json=tmp_path / "a.json"))
    assert [one.note for one in summary.findings if one.left_out] == [
        "left out: No module named 'flax'", "left out: No module named 'zarr'",
    ]  # fmt: skip
    assert summary.wrong == ["b: failed"]
    assert summary.lacking == ["a", "c: to shards"]
    written = json.loads((tmp_path / "a.json").read_text())["findings"]
    assert [one["left_out"] for one in written] == [True, False, True, False]
    assert "2 figures" in (sentence := summary.sentence(config()))
    assert sentence.endswith("; NOT MEASURED, because packages are missing: 'a', 'c: to shards'")


def test_nothing_begins_when_time_is_up(monkeypatch):
    monkeypatch.setattr(acceptance, "LIMIT", -1.0)
    summary = bench.run(config())
    assert summary.left_out == STAGES
    assert summary.sentence(config()).endswith(f"there was no time: {str(STAGES)[1:-1]}")
    assert not summary.findings
    assert not summary.complete


@pytest.mark.parametrize(
    ("more", "left_out"), [(False, ()), (True, ("a, after only", "b"))], ids=["the last", "not the last"]
)
def test_a_figure_that_ends_late_is_the_last_and_what_follows_is_left_out(monkeypatch, more, left_out):
    late = []
    clock = types.SimpleNamespace(monotonic=lambda: time.monotonic() + sum(late))
    monkeypatch.setattr(findings, "time", clock)

    def stages(device, *, small, watch):
        def slow():
            late.append(acceptance.LIMIT)
            yield findings.Finding(stage="a", name="only", found=1.0)
            if more:
                watch.seconds(lambda: pytest.fail("it is too late"))

        return {"a": slow, "b": slow} if more else {"a": slow}

    monkeypatch.setattr(acceptance, "_stages", stages)
    summary = bench.run(config())
    assert [one.name for one in summary.findings] == ["only"]
    assert summary.left_out == left_out
    assert summary.complete == (not more)
    assert ("NOT MEASURED" in summary.sentence(config())) == more


def test_a_dry_run_finds_nothing():
    assert bench.run(config(dry_run=True)).findings == ()


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        ({"found": 0.5, "wanted": 0.65}, "short"),
        ({"found": 0.65, "wanted": 0.65}, "good"),
        ({"found": float("nan"), "wanted": 0.65}, "short"),
        ({"found": 2.0, "bound": 1.0}, "WRONG"),
        ({"found": float("nan"), "bound": 1.0}, "WRONG"),
        ({"found": 1.0, "bound": 1.0}, "good"),
        ({"found": None}, "WRONG"),
        ({"found": 3.0}, ""),
    ],
)
def test_verdicts(found, verdict):
    one = findings.Finding(stage="s", name="n", **found)
    assert acceptance._verdict(one) == verdict
    assert (one.wrong, one.short) == (verdict == "WRONG", verdict == "short")


BARE = """
import importlib.machinery, runpy, sys

class Without(importlib.machinery.PathFinder):
    # A package that is said to be absent is not found.

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {absent!r} else super().find_spec(name, path, target)

sys.meta_path[sys.meta_path.index(importlib.machinery.PathFinder)] = Without
sys.argv = ["bench", "--suite=acceptance", "--device=cpu", "--json=" + sys.argv[1]]
runpy.run_module("isogloss.jobs.bench", run_name="__main__")
"""
ABSENT = (
    "soundfile", "librosa", "zarr", "xarray", "google_crc32c", "datasets", "numba", "llvmlite", "pandas",
    "pyarrow", "matplotlib", "transformers", "rapidfuzz", "sacrebleu",
)  # fmt: skip


FEW = """
import importlib, importlib.machinery, sys

class OnlyThese(importlib.machinery.PathFinder):
    # Of what is installed only the packages that are there are found.

    @classmethod
    def find_spec(cls, name, path=None, target=None):
        found = super().find_spec(name, path, target)
        installed = found and "site-packages" in str(found.origin or list(found.submodule_search_locations))
        return None if installed and name.partition(".")[0] not in {there!r} else found

sys.meta_path[sys.meta_path.index(importlib.machinery.PathFinder)] = OnlyThese
for module in {modules!r}:
    importlib.import_module(module)
"""
RUN = """
import runpy

sys.argv = ["bench", "--suite=acceptance", "--device=cpu", "--json=" + sys.argv[1]]
runpy.run_module("isogloss.jobs.bench", run_name="__main__")
"""
FIGURES = ["isogloss.engine.bench.findings"]
KERNELS = ["isogloss.jobs.command", *(f"isogloss.engine.bench.{name}" for name in ("bench", "acceptance"))]
OTHERS = [f"isogloss.engine.bench.{name}" for name in ("encoder_speeds", "grid_speeds", "extract")]


def named_in_manual():
    """What the manual of bench has pip install for a machine without a network: few packages, then all."""
    manual = (ROOT / "docs" / "bench.md").read_text("utf-8")
    return [
        line.split()
        for line in re.findall(r"pip install --target path (?:--no-deps )?(.*?)(?:  #.*)?$", manual, re.M)
    ]


def modules_of(names, *, with_needed):
    """Modules at the top of packages, and of those that they need if asked for."""
    found, waiting = set(), [requirements.Requirement(name) for name in names]
    while waiting:
        wanted = waiting.pop()
        extras = frozenset(wanted.extras)
        one = utils.canonicalize_name(wanted.name), extras
        if one in found:
            continue
        found.add(one)
        needed = map(requirements.Requirement, metadata.requires(wanted.name) or []) if with_needed else ()
        waiting += [
            each
            for each in needed
            if not each.marker or any(each.marker.evaluate({"extra": extra}) for extra in ("", *extras))
        ]
    names = {name for name, _ in found}
    tops = metadata.packages_distributions().items()
    return {top for top, of in tops if names & set(map(utils.canonicalize_name, of))}


def with_few(place):
    """Modules of JAX and of what the manual names; of JAX alone without a place."""
    there = modules_of(["jax", "jaxlib"], with_needed=True)
    more = set() if place is None else modules_of(named_in_manual()[place], with_needed=place == 1)
    return {*there, *more, "isogloss"}


@pytest.mark.parametrize(
    ("place", "modules"), [(None, FIGURES), (0, KERNELS), (1, [*KERNELS, *OTHERS, "zarr"])]
)
def test_what_the_manual_names_is_all_that_a_machine_with_jax_needs(place, modules):
    command = [sys.executable, "-c", FEW.format(there=with_few(place), modules=modules)]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr


@pytest.mark.deep
def test_what_the_packages_for_kernels_leave_unmeasured_is_named(tmp_path):
    script = tmp_path / "few.py"
    script.write_text(FEW.format(there=with_few(0), modules=KERNELS) + RUN)
    command = [sys.executable, script, tmp_path / "a.json"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr
    unmeasured = ["encoder, errors", "encoder", "grid job", "extraction"]
    assert json.loads((tmp_path / "a.json").read_text())["lacking"] == unmeasured
    last = done.stderr.splitlines()[-1]
    assert "0 wrong" in last
    assert f"NOT MEASURED, because packages are missing: {str(unmeasured)[1:-1]}" in last


@pytest.mark.deep
def test_a_machine_with_little_more_than_jax_and_flax_does(tmp_path):
    script = tmp_path / "bare.py"
    script.write_text(BARE.format(absent=ABSENT))
    command = [sys.executable, script, tmp_path / "a.json"]
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, check=False)
    assert done.returncode == 0, done.stderr
    written = json.loads((tmp_path / "a.json").read_text())
    assert not written["wrong"]
    absent = [one for one in written["findings"] if one["found"] is None]
    assert [(one["stage"], one["name"], one["note"]) for one in absent] == [
        ("grid job", "all", "left out: No module named 'soundfile'"),
        ("extraction", "files to shards", "left out: No module named 'soundfile'"),
    ]
