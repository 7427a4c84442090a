"""Conductor of the benchmarks: suites in, one table and one JSON file out.

Every case runs our implementation, its peers and its yardstick in turns; results are compared with the
float64 reference in the same run. A failed check, or a program compiled while it is timed, makes the run
incomplete. Run nothing else on the machine: on a busy one, figures are unreliable, and ratios less so.
"""

import contextlib
import dataclasses
import importlib
import json
import logging
import os
import pathlib
import platform
import sys
import time
import types
from collections.abc import Iterable, Mapping, Sequence
from importlib import metadata

import jax

from isogloss.engine.bench import machine_peak, setting as bench_setting, table, timing
from isogloss.engine.bench.bench_config import ACCEPTANCE, REHEARSAL, ROOFLINE, BenchConfig
from isogloss.engine.bench.setting import BenchSetting, Planned
from isogloss.engine.bench.stage import Stage
from isogloss.engine.bench.timing import Case, Row, TimedTask
from isogloss.engine.runtime import atomic_write, compilation, devices
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.progress import seconds_since
from isogloss.kernels import frame_scores

_LOG = logging.getLogger(__name__)
_VERSIONS = ("jax", "numpy", "numba", "tensorstore", "zarr", *bench_setting.PEERS)


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchSummary:
    """Summary of a run.

    Attributes:
      cases: run.
      rows: of the table.
      faults: rows with an invalid figure, and the reason.
      device: kind of the device.
      implementation: of the frame kernels.
      ours_over: speed of ours over another's, by case and name of the other.
      seconds: of the run.
      plan: number of cases.
      projection: estimated hours of the full grid; of a rehearsal, all figures at full size.
      stages: of a rehearsal.
    """

    cases: int
    rows: int
    faults: Sequence[str]
    device: str
    implementation: str
    ours_over: Mapping[str, float]
    seconds: float
    plan: Mapping[str, int | float]
    projection: Mapping[str, int | float]
    stages: Sequence[Stage] = ()

    @property
    def complete(self) -> bool:
        """True if every figure is valid."""
        return not self.faults

    def sentence(self, config: BenchConfig) -> str:
        """Cases measured, and the place of the figures."""
        faults = f"; {len(self.faults)} figures are invalid, named above" if self.faults else ""
        kept = f"; also in {config.json}" if config.json else ""
        return f"measured {self.cases} cases, {self.rows} rows of the table above{kept}{faults}"


def run(config: BenchConfig) -> object:
    """Summary of a run of the suites, which prints its table on stderr and writes the JSON file.

    Suites are imported here and not above: an acceptance on a bare machine lacks what others need.

    Raises:
      Refusal: no such device, or a peer that isn't installed, before anything is timed.
    """
    if config.suite in ((ROOFLINE,), (ACCEPTANCE,)):
        return _module(config.suite[0]).run(config)
    return compare(config)


def compare(config: BenchConfig) -> BenchSummary:
    """Summary of the suites that compare implementations, and of a rehearsal.

    Raises:
      Refusal: no such device, or a peer that isn't installed, before anything is timed.
    """
    start = time.monotonic()
    if config.json and not config.dry_run:
        atomic_write.make_folder(config.json.parent)
    device = devices.platform(config.device)
    if config.suite == (REHEARSAL,):
        return _rehearsal(config, device)
    compilation.keep(config.compilation_cache, "numba")
    modules = {suite: _module(suite) for suite in config.chosen}
    rows: list[Row] = []
    setting = _setting(config, device, modules.values(), rows)
    planned = [(suite, case) for suite in modules for case in modules[suite].cases(setting)]
    if not config.dry_run:
        for suite, case in planned:
            rows += _measured(suite, case, config)
        print(table.table(rows), file=sys.stderr)
    over = {f"{row.suite}, {row.work}, {row.name}": row.ours_over for row in rows}
    summary = BenchSummary(
        cases=0 if config.dry_run else len(planned),
        rows=len(rows),
        faults=[row.fault for row in rows if row.fault],
        device=jax.devices()[0].device_kind,
        implementation=setting.implementation,
        ours_over={name: round(ratio, 3) for name, ratio in over.items() if ratio is not None},
        seconds=seconds_since(start),
        plan={"cases": len(planned)},
        projection={} if config.quick else _module("grid").projection(rows),
    )
    if config.json and not config.dry_run:
        _write(config.json, summary, rows)
    for fault in summary.faults:
        _LOG.error("%s", fault)
    return summary


def _setting(
    config: BenchConfig, device: str, suites: Iterable[types.ModuleType], rows: list[Row]
) -> BenchSetting:
    """Setting of all suites; peers are checked first, then yardsticks are measured, which adds to `rows`."""
    used = {package for module in suites for package in module.PEERS if config.peers}
    packages = [package for package in bench_setting.PEERS if package in used]
    bench_setting.check_peers(packages, device)
    chosen = config.implementation
    return BenchSetting(
        device=device,
        implementation=frame_scores.default_implementation(device) if chosen == "auto" else chosen,
        peers=frozenset(packages),
        quick=config.quick,
        product=_best(machine_peak.products(device, config.quick), config, rows),
        copy=_best(machine_peak.copies(device, config.quick), config, rows),
    )


def _rehearsal(config: BenchConfig, device: str) -> BenchSummary:
    """Summary of a rehearsal, whose table goes to stderr."""
    start, rehearsal = time.monotonic(), _module(REHEARSAL)
    full = rehearsal.size(config.quick)
    stages = [] if config.dry_run else rehearsal.rehearse(full, config.place)
    faults = [stage.fault for stage in stages if stage.fault]
    projection = rehearsal.projection(stages, full) if stages and not faults else {}
    if stages:
        print(rehearsal.table(stages, projection), file=sys.stderr)
    summary = BenchSummary(
        cases=len(stages),
        rows=0,
        faults=faults,
        device=device,
        implementation="numba" if device == "cpu" else "xla",
        ours_over={},
        seconds=seconds_since(start),
        plan={"utterances": full.languages * full.sentences, "units": full.pairs * rehearsal.STATES},
        projection=projection,
        stages=stages,
    )
    if config.json and not config.dry_run:
        _write(config.json, summary, [])
    for fault in faults:
        _LOG.error("%s", fault)
    return summary


def _pace(config: BenchConfig) -> dict[str, float]:
    """Seconds of samples and rests, where the usual ones are too many."""
    return {"shortest": 0.0, "rest": 0.0} if config.quick else {}


def _best(tasks: Sequence[TimedTask], config: BenchConfig, rows: list[Row]) -> TimedTask:
    """The fastest of some yardsticks, which are added to `rows`; the first one in a dry run."""
    if config.dry_run:
        return tasks[0]
    # Measured as a case, so that the yardsticks stand in the table as well.
    case = Case(title="best of this machine", tasks=tuple(tasks), yardstick=None)
    found = timing.measure("machine", case, config.rounds, **_pace(config))
    rows += found
    return max(zip(tasks, found, strict=True), key=lambda pair: pair[1].rate)[0]


def _module(suite: str) -> types.ModuleType:
    return importlib.import_module(f"isogloss.engine.bench.{suite}")


def _measured(suite: str, planned: Planned, config: BenchConfig) -> list[Row]:
    """Rows of one case, whose memory and files are freed afterwards."""
    _LOG.info("%s: %s", suite, planned.title)
    case = planned.build()  # here and not before: a case holds up to gigabytes
    with case.folder or contextlib.nullcontext():
        return timing.measure(suite, case, config.rounds, **_pace(config))


def _write(path: pathlib.Path, summary: BenchSummary, rows: Sequence[Row]) -> None:
    """Write all figures, with the machine and the versions of libraries."""
    versions: dict[str, Json] = {"python": platform.python_version()}
    for package in _VERSIONS:
        with contextlib.suppress(metadata.PackageNotFoundError):
            versions[package] = metadata.version(package)
    content = {
        **dataclasses.asdict(summary),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],  # figures of a busy machine mean little
        "machine": platform.machine(),
        "versions": versions,
        "table": [dataclasses.asdict(row) for row in rows],
    }
    text = json.dumps(content, indent=1, ensure_ascii=False) + "\n"
    atomic_write.write_whole(path, lambda file: file.write_text(text, "utf-8"))
