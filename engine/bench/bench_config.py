"""Options of the bench job."""

import dataclasses
import pathlib
from typing import Literal

from isogloss.engine.grid.grid_options import implementation_option
from isogloss.engine.runtime.options import JobConfig, compilation_cache_option, option
from isogloss.engine.runtime.place import Place
from isogloss.engine.runtime.refusal import Refusal

SUITES = (
    "seqsim",
    "dtw",
    "transport",
    "encoder",
    "mel",
    "extract",
    "store",
    "grid",
    "control",
    "tune",
)  # what `all` means
REHEARSAL, ROOFLINE, ACCEPTANCE = "rehearsal", "roofline", "acceptance"
ALONE = {
    REHEARSAL: "a run of every job on 102 languages",
    ROOFLINE: "the shortest times by published peaks, no device needed",
    ACCEPTANCE: "wanted and found on an accelerator, in under 10 minutes",
}
"""Suites that run alone."""
_ALONE = "; or alone ".join(["", *(f"{name}, {what}" for name, what in ALONE.items())])


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchConfig(JobConfig):
    """Options of the bench job; each field's help is in its definition."""

    resumes = False
    suite: tuple[str, ...] = option(
        f"Suites: all, or some of {', '.join(SUITES)}{_ALONE}.",
        (),
        empty="all",
    )
    device: Literal["auto", "cpu", "gpu", "h100", "h200", "a100", "tpu-v5e", "tpu-v6e"] = option(
        "Device of kernels and encoder, auto, cpu or gpu; for roofline a chip's name, or auto for all.",
        "auto",
    )
    implementation: Literal["auto", "xla", "numba"] = implementation_option()
    peers: bool = option("Run public implementations beside ours; see the extra `peers`.", False)
    place: Place | None = option(
        "Folder or bucket path in which a rehearsal writes its store and grid, and then removes them; a "
        "temporary folder without.",
        None,
    )
    json: pathlib.Path | None = option("File for all figures.", None)
    quick: bool = option("Small sizes, to see that everything runs; no figures.", False)
    rounds: int = option("Timed rounds of a case.", 5, minimum=1)
    compilation_cache: pathlib.Path | None = compilation_cache_option()

    def __post_init__(self) -> None:
        """Refuse suites that don't exist.

        Raises:
          Refusal: the option, the rule and the value.
        """
        super().__post_init__()
        on_paper = self.device not in ("auto", "cpu", "gpu")
        if on_paper != (self.suite == (ROOFLINE,)) and self.device != "auto":
            raise Refusal(
                f"--device={self.device}: a chip's name goes with --suite={ROOFLINE}, and auto, cpu and gpu "
                "with the others"
            )
        if len(self.suite) == 1 and self.suite[0] in ALONE:
            return
        if unknown := [suite for suite in self.suite if suite not in SUITES]:
            names, alone = ", ".join(SUITES), ", ".join(ALONE)
            raise Refusal(
                f"--suite must name some of {names}, or one of {alone} alone; got {', '.join(unknown)}"
            )

    @property
    def chosen(self) -> tuple[str, ...]:
        """Suites in the order they run; all of them where none is named."""
        return tuple(suite for suite in SUITES if suite in (self.suite or SUITES))
