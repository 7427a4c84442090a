"""The acceptance of a device: every kernel right, and its speed beside what is wanted; under 10 minutes.

Needs JAX and few packages, which docs/bench.md names. No network and no data. A stage that fails is
reported and the others go on; what would begin too late is left out, a stage or the rest of one. The file of
--json is written anew after every figure, so a run that is stopped leaves what it has found.
"""

import dataclasses
import importlib
import json
import math
import platform
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib import metadata

import jax

from isogloss.engine.bench import kernel_errors, kernel_speeds
from isogloss.engine.bench.bench_config import BenchConfig
from isogloss.engine.bench.findings import Finding, OutOfTime, Stopwatch, Yardstick, attempted
from isogloss.engine.runtime import atomic_write, devices
from isogloss.engine.runtime.progress import seconds_since
from isogloss.engine.runtime.text_table import text_table

LIMIT = 520.0  # seconds after which nothing new begins: a figure takes up to a minute
SAMPLE = 0.3  # seconds, at least
_PACKAGES = ("jax", "jaxlib", "numpy", "flax")
Stage = Callable[[], Iterator[Finding]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class AcceptanceSummary:
    """Summary of a run.

    Attributes:
      device: kind of the device, as JAX names it.
      findings: all figures.
      wrong: names of stages that failed and of errors beyond their bounds.
      short: names of figures below what is wanted.
      left_out: stages that had no time, or none after one of their figures.
      lacking: stages, and figures of stages, that weren't measured because a package is missing.
      versions: of Python and of packages.
      seconds: of the run.
      plan: number of stages.
    """

    device: str
    findings: Sequence[Finding]
    wrong: Sequence[str]
    short: Sequence[str]
    left_out: Sequence[str]
    lacking: Sequence[str]
    versions: Mapping[str, str]
    seconds: float
    plan: Mapping[str, int | float]

    @property
    def complete(self) -> bool:
        """True if nothing is wrong and every stage that can run here had time; what is slow may be complete.

        What packages are there is chosen before the run: the kernels alone, if few are. `lacking`, and the
        sentence, name what that leaves unmeasured.
        """
        return not self.wrong and not self.left_out

    def sentence(self, config: BenchConfig) -> str:
        """Numbers of figures, and of those that fall short; names of what wasn't measured."""
        kept = f"; also in {config.json}" if config.json else ""
        unmeasured = {"packages are missing": self.lacking, "there was no time": self.left_out}
        out = "".join(
            f"; NOT MEASURED, because {reason}: {', '.join(map(repr, names))}"
            for reason, names in unmeasured.items()
            if names
        )
        return (
            f"{len(self.findings) - len(self.lacking)} figures on {self.device}: {len(self.wrong)} wrong, "
            f"{len(self.short)} short of what is wanted{out}{kept}"
        )


def run(config: BenchConfig) -> AcceptanceSummary:
    """Summary of a run of all stages; a table goes to stderr.

    Raises:
      Refusal: no such device.
    """
    start = time.monotonic()
    device = devices.platform(config.device)
    small = config.quick or device == "cpu"
    findings: list[Finding] = []
    left_out: list[str] = []
    watch = Stopwatch(shortest=0.0 if small else SAMPLE, until=start + LIMIT)
    stages = _stages(device, small=small, watch=watch)

    def summary() -> AcceptanceSummary:
        return AcceptanceSummary(
            device=jax.devices()[0].device_kind,
            findings=tuple(findings),
            wrong=[f"{one.stage}: {one.name}" for one in findings if one.wrong],
            short=[f"{one.stage}: {one.name}" for one in findings if one.short],
            left_out=tuple(left_out),
            lacking=[one.place for one in findings if one.left_out],
            versions=_versions(),
            seconds=seconds_since(start),
            plan={"stages": len(stages)},
        )

    if config.dry_run:
        return summary()
    if config.json:
        atomic_write.make_folder(config.json.parent)
    for name, stage in stages.items():
        rest = name
        try:
            for found in attempted(name, "", stage, watch):
                findings.append(found)
                print(_line(found), file=sys.stderr, flush=True)
                _write(config, summary())
                rest = f"{name}, after {found.name}"
        except OutOfTime:
            left_out.append(rest)
    done = summary()
    _write(config, done)
    print(table(done), file=sys.stderr)
    return done


def _stages(device: str, *, small: bool, watch: Stopwatch) -> dict[str, Stage]:
    """Stages by name, in order: what is right comes first, then speeds, the most wanted first."""
    products: list[Yardstick] = []

    def measured() -> Iterator[Finding]:
        best, found = kernel_speeds.yardstick(device, quick=small, watch=watch)
        products.append(best)
        yield found

    def product() -> Yardstick:
        if not products:
            raise LookupError("the product of this device couldn't be measured")
        return products[0]

    def of(module: str, name: str, *given: object, **options: object) -> Iterator[Finding]:
        # Imported here: they need Flax or TensorStore, which a machine may lack.
        return getattr(importlib.import_module(f"isogloss.engine.bench.{module}"), name)(*given, **options)

    def encoder(name: str, *given: object, **options: object) -> Iterator[Finding]:
        return of("encoder_speeds", name, *given, **options)

    frames = "float32" if device == "cpu" else "float16"
    given = {"quick": small, "watch": watch}
    return {
        "kernels against float64": lambda: kernel_errors.findings(watch),
        "product": measured,
        "SeqSim": lambda: kernel_speeds.seqsim(frames, product(), **given),
        "DTW": lambda: kernel_speeds.warping(**given),
        "SeqSim and DTW": lambda: kernel_speeds.together(frames, **given),
        "encoder, errors": lambda: encoder("errors", device, watch),
        "encoder": lambda: encoder("speeds", device, product(), **given),
        "grid of 4 languages": lambda: kernel_speeds.grid(frames, **given),
        "grid job": lambda: of("grid_speeds", "grid", frames, **given),
        "extraction": lambda: encoder("extraction", device, product(), **given),
    }


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version()}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def _write(config: BenchConfig, summary: AcceptanceSummary) -> None:
    if config.json:
        # JSON has no NaN: what could not be found is null.
        content = json.loads(json.dumps(dataclasses.asdict(summary)), parse_constant=lambda _: None)
        text = json.dumps(content, indent=1) + "\n"
        atomic_write.write_whole(config.json, lambda file: file.write_text(text, "utf-8"))


def table(summary: AcceptanceSummary) -> str:
    """Wanted and found, side by side."""
    rows = [
        (one.stage, one.name, _wanted(one), _value(one), _verdict(one), one.note) for one in summary.findings
    ]
    rows += [(name, "left out", "", "", "no time", "") for name in summary.left_out]
    return text_table(("stage", "figure", "wanted", "found", "", "note"), rows)


def _line(one: Finding) -> str:
    wanted = f", wanted {_wanted(one)}" if _wanted(one) else ""
    return f"{one.stage}: {one.name}: {_value(one)}{wanted} {_verdict(one)}".rstrip()


def _wanted(one: Finding) -> str:
    if one.bound is not None:
        return f"<= {one.bound:.1e}"
    if one.wanted is None:
        return ""
    return f">= {one.wanted:g} {one.unit}" if one.unit else f">= {one.wanted:.0%}"


def _value(one: Finding) -> str:
    if one.found is None:
        return "nothing"
    if math.isnan(one.found) and one.bound is None:
        return "not run"
    if one.bound is not None:
        return f"{one.found:.1e}"
    return f"{one.found:.4g} {one.unit}" if one.unit else f"{one.found:.1%}"


def _verdict(one: Finding) -> str:
    if one.wrong:
        return "WRONG"
    if one.short:
        return "short"
    return "" if one.wanted is None and one.bound is None else "good"
