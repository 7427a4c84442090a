"""Choice of what computes score matrices: all devices of this host for XLA, its cores for Numba.

Devices share the rows of each pair, or each takes pairs of its own. A step of DTW takes about as long as its
launch unless it has a million lanes, which the rows of one pair have on one device only. So where a grid has
DTW, and units enough, each device takes its own.
"""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Float, Float32

from isogloss.engine.grid.device_scores import DeviceScores
from isogloss.engine.grid.host_scores import HostScores
from isogloss.engine.grid.shortlist import Shortlisting
from isogloss.engine.runtime import devices
from isogloss.engine.runtime.devices import Devices
from isogloss.kernels import pair_table

Placed = Any  # LanguageStates on the host, groups of utterances on devices


@runtime_checkable
class Scorer(Protocol):
    """Kernels behind one form: HostScores or DeviceScores, which place utterances each in its own way."""

    AHEAD: int

    def place(
        self,
        utterances: Sequence[Float[np.ndarray, "_ D"]],
        mean_of: Sequence[Float[np.ndarray, "_ D"]] | None = None,
    ) -> Placed:
        """Utterances at one state where kernels take them; `mean_of`: whose mean to remove, if not theirs."""
        ...

    def start(
        self, x: Placed, y: Placed, among: Shortlisting | None = None
    ) -> Callable[[], dict[str, Float32[np.ndarray, "U V"]]]:
        """Function that waits for the scores of two languages, by measure."""
        ...


def on_devices(implementation: str) -> bool:
    """True for implementations of the frame kernels that run on devices, False for those of the host."""
    return not implementation.startswith("numba")


def scorer(
    measures: Sequence[str],
    implementation: str,
    *,
    dtw_normalise: str = "none",
    remove_mean: bool = False,
    dtw_memory_gb: float = 0.0,
    devices: Devices | None = None,
) -> Scorer:
    """Scorer of pairs of languages, or of other lists of utterances; nothing is compiled yet.

    Args:
      measures: names among MEASURES.
      implementation: of the frame kernels.
      dtw_normalise: divisor of DTW costs.
      remove_mean: subtract a language's mean from every frame.
      dtw_memory_gb: memory of a device for one scan of DTW, see `scan_bytes`.
      devices: those that share the rows of each pair, all by default; kernels of the host use none.
    """
    options = {"dtw_normalise": dtw_normalise, "remove_mean": remove_mean}
    if on_devices(implementation):
        scan = scan_bytes(dtw_memory_gb)
        return DeviceScores(measures, implementation, scan_bytes=scan, devices=devices, **options)
    return HostScores(measures, implementation, **options)


def device_sets(units: int, measures: Sequence[str], implementation: str) -> list[Devices]:
    """Devices of each of the scorers that divide so many units of a grid: all of one, or one of each.

    A pair has the same bits by either.
    """
    found = tuple(jax.local_devices())
    own_units = on_devices(implementation) and "dtw" in measures and units >= len(found)
    return [(device,) for device in found] if own_units else [found]


def scan_bytes(gigabytes: float) -> int:
    """Memory of a device for the distances of one scan of DTW; of 0 what suits the device."""
    return int(gigabytes * 1e9) if gigabytes else pair_table.scan_bytes(devices.memory())
