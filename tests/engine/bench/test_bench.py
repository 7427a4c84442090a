"""The suites of the benchmarks on small sizes: each runs, is right, and names what it lacks."""

import dataclasses
import importlib.util
import json

import numpy as np
import pytest

from isogloss.engine.bench import bench, bench_config, setting as bench_setting, table, timing
from isogloss.engine.runtime import objects, place


def config(*suites, **fields):
    return bench.BenchConfig(suite=suites, quick=True, **({"rounds": 1} | fields))


@pytest.mark.parametrize(
    "suite", [s if s != "tune" else pytest.param(s, marks=pytest.mark.deep) for s in bench_config.SUITES]
)
def test_every_suite_runs_and_checks_what_is_ours(suite, tmp_path, capsys):
    summary = bench.run(config(suite, json=tmp_path / "new" / "bench.json"))
    assert summary.complete, summary.faults
    assert (summary.device, summary.implementation) == ("cpu", "numba")
    written = json.loads((tmp_path / "new" / "bench.json").read_text())
    rows = [row for row in written["table"] if row["suite"] == suite]
    ours = [row for row in rows if row["role"] == "ours"]
    assert len(ours) == summary.cases == summary.plan["cases"] > 0
    assert len(written["table"]) == summary.rows
    assert all(row["error"] <= row["bound"] and row["compiled_timed"] == 0 for row in ours)
    assert all(row["rate"] > 0 and row["of_yardstick"] > 0 for row in rows)
    printed = capsys.readouterr()
    assert not printed.out
    assert all(f"{suite}: {row['work']}" in printed.err for row in ours)
    assert written["versions"]["jax"]


@pytest.mark.deep
def test_xla_runs_too():
    assert bench.run(config("seqsim", "dtw", implementation="xla")).complete


PACKAGES = [name for name, module in bench_setting.PEERS.items() if importlib.util.find_spec(module)]
ABSENT = [name for name in bench_setting.PEERS if name not in PACKAGES]


@pytest.mark.deep
@pytest.mark.skipif("torch" not in PACKAGES, reason="peers need a CPU build of torch")
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning", "ignore::UserWarning")
@pytest.mark.parametrize("suite", ["seqsim", "dtw", "encoder", "mel", "tune"])
def test_peers_that_are_here_do_the_same_work(suite, monkeypatch):
    for package in ABSENT:
        monkeypatch.delitem(bench_setting.PEERS, package)
    summary = bench.run(config(suite, peers=True))
    assert summary.complete, summary.faults
    named = {"seqsim": "torch slabs", "dtw": ""}.get(suite, "transformers")
    assert any(named in key for key in summary.ours_over) or not named


def test_a_wrong_kernel_is_found(monkeypatch):
    from isogloss.kernels import frame_scores  # noqa: PLC0415

    right = frame_scores.frame_scores

    def wrong(*given, **fields):
        return {name: matrix + np.float32(1e-3) for name, matrix in right(*given, **fields).items()}

    monkeypatch.setattr(frame_scores, "frame_scores", wrong)
    summary = bench.run(config("seqsim"))
    assert not summary.complete
    assert any("P and R" in fault and "exceeds" in fault for fault in summary.faults)


def test_a_dry_run_times_nothing(monkeypatch):
    monkeypatch.setattr(bench.timing, "measure", lambda *a, **k: pytest.fail("timed"))
    assert bench.run(config("dtw", dry_run=True)).plan["cases"] == 3


def test_what_is_not_here_is_refused_before_anything_is_timed(monkeypatch):
    with pytest.raises(ValueError, match="--suite must name some of seqsim, dtw"):
        config("seqism")
    with pytest.raises(ValueError, match="--rounds must be at least 1"):
        config(rounds=0)
    with pytest.raises(ValueError, match=r"--device=gpu: JAX sees cpu only .*JAX built for it"):
        bench.run(config("dtw", device="gpu"))
    monkeypatch.setitem(bench_setting.PEERS, "torchdtw", "no_such_module")
    with pytest.raises(ValueError, match=r"torchdtw.*pip install.*torchdtw"):
        bench.run(config("dtw", peers=True))
    with pytest.raises(ValueError, match="pip install torchdtw"):
        bench_setting.peer("torchdtw")


def test_full_sizes_are_planned_without_being_built():
    nothing = timing.TimedTask(name="nothing", call=lambda: None, work=1.0, unit="1")
    for device in ("cpu", "gpu"):
        setting = bench_setting.BenchSetting(
            device=device, implementation="xla", peers=frozenset(), quick=False, product=nothing, copy=nothing
        )
        planned = {suite: bench._module(suite).cases(setting) for suite in bench_config.SUITES}
        assert all(case.title for cases in planned.values() for case in cases)
        assert all(planned.values())
        assert len(planned["seqsim"]) == 4 * 4 + 2
        assert len(planned["encoder"]) == (2 if device == "cpu" else 3)
        assert len(planned["tune"]) == 2


def test_table_aligns_and_marks_what_fails():
    row = timing.Row(
        suite="dtw", work="work", name="numba", role="ours", seconds=0.0123, spread=0.034, rate=12.345,
        unit="GCUPS", of_yardstick=0.5, ours_over=None, compiled=3, compiled_timed=0, error=0.5, bound=0.25,
        rounds=3,
    )  # fmt: skip
    peer = dataclasses.replace(row, role="peer", name="other", ours_over=2.5, error=None)
    head, case, first, second = table.table([row, peer]).splitlines()
    assert case == "dtw: work"
    for cell in ("12.3 ms", "3%", "12.35 GCUPS", "50.0%", "3, then 0", "5.0e-01 EXCEEDS 2.5e-01"):
        assert cell in first
    assert "2.50 x" in second
    assert head.index("median") + len("median") == first.index("12.3 ms") + len("12.3 ms")


@pytest.mark.deep
@pytest.mark.parametrize("in_bucket", [False, True])
def test_a_rehearsal_runs_every_job_and_says_what_it_comes_to(capsys, s3, tmp_path, in_bucket):
    bucket = s3.bucket() if in_bucket else None
    own = place.parse(f"{bucket}/runs") if bucket else tmp_path / "runs"
    summary = bench.run(config("rehearsal", place=own))
    assert summary.complete, summary.faults
    assert [(stage.name, stage.units) for stage in summary.stages] == [
        ("extract", 12), ("grid", 24), ("report", 6), ("status", 24), ("verify", 24), ("launch", 6)
    ]  # fmt: skip
    assert [s.name for s in summary.stages if s.files > 0] == ["extract", "grid", "report", "launch"]
    local = ["report", "launch"] if in_bucket else ["extract", "grid", "report", "launch"]
    assert [s.name for s in summary.stages if s.folders > 0 and s.bytes > 0] == local
    assert not objects.keys(own)
    if bucket:
        puts = [path for method, path in s3.requests if method == "PUT" and "isogloss-rehearsal-" in path]
        assert len(puts) > 12 + 24
    assert summary.projection["units"] == 6 * 34
    assert 2 * 6 * 34 < summary.projection["grid_files"] < 2 * 6 * 34 + 30
    taken = {stage.name: stage.seconds for stage in summary.stages}
    assert summary.projection["status_seconds"] == pytest.approx(taken["status"] * 34 / 4, abs=0.1)
    assert summary.projection["verify_overhead_seconds"] == pytest.approx(taken["verify"] * 34 / 4, abs=0.1)
    assert "beside the computing itself" in capsys.readouterr().err
