"""Options of the bench job."""

import dataclasses
import pathlib
from typing import Literal

from isogloss.engine.runtime.options import JobConfig, compilation_cache_option, option
from isogloss.engine.runtime.refusal import Refusal

SUITES = ("seqsim", "dtw", "encoder", "mel", "extract", "store", "grid")  # what `all` means
REHEARSAL = "rehearsal"


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchConfig(JobConfig):
    """Options of the bench job; each field's help is in its definition."""

    suite: tuple[str, ...] = option(
        f"Suites: all, or some of {', '.join(SUITES)}; or {REHEARSAL}, a run of every job on 102 languages.",
        (),
        all_if_empty=True,
    )
    device: Literal["auto", "cpu", "gpu"] = option("Device of kernels and encoder.", "auto")
    implementation: Literal["auto", "xla", "numba"] = option(
        "Implementation of the frame kernels; auto: numba on CPU, else xla.", "auto"
    )
    peers: bool = option("Run public implementations beside ours; see the extra `peers`.", False)
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
        if self.suite == (REHEARSAL,):
            return
        if unknown := [suite for suite in self.suite if suite not in SUITES]:
            names = ", ".join(SUITES)
            raise Refusal(
                f"--suite must name some of {names}, or {REHEARSAL} alone; got {', '.join(unknown)}"
            )

    @property
    def chosen(self) -> tuple[str, ...]:
        """Suites in the order they run; all of them where none is named."""
        return tuple(suite for suite in SUITES if suite in (self.suite or SUITES))
