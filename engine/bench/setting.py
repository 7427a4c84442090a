"""Settings of every suite of a benchmark: device, implementation, peers, sizes, yardsticks.

A suite is a module with `cases(setting)`, the list of its planned cases, and PEERS, the packages that its
peers need. A case is built just before it is timed, because it may hold gigabytes.
"""

import dataclasses
import importlib
import importlib.util
import types
from collections.abc import Callable, Sequence

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from isogloss.engine.bench.timing import Case, TimedTask
from isogloss.engine.runtime.refusal import Refusal

PEERS = {
    "torch": "torch",
    "torchdtw": "torchdtw",
    "transformers": "transformers",
    "openai-whisper": "whisper",
}
FLOPS_UNIT = "GFLOP/s"


@dataclasses.dataclass(frozen=True, kw_only=True)
class BenchSetting:
    """Settings of a run's suites.

    Attributes:
      device: "cpu" or "gpu" (or another platform of JAX).
      implementation: of the frame kernels.
      peers: packages whose implementations run beside ours; none by default.
      quick: small sizes, as a test that everything runs.
      product: yardstick of arithmetic, the best dense product of this machine; unit FLOPS_UNIT.
      copy: yardstick of bandwidth, bytes read and written; unit GB/s.
    """

    device: str
    implementation: str
    peers: frozenset[str]
    quick: bool
    product: TimedTask
    copy: TimedTask

    def place(self, array: Float[np.ndarray, "..."]) -> Float[np.ndarray | Array, "..."]:
        """An array on the device of the kernels, so that no call pays for the copy."""
        return array if self.implementation == "numba" else jnp.asarray(array)

    def frames(self, array: Float[np.ndarray, "..."]) -> Float[np.ndarray | Array, "..."]:
        """Frames on the device of the kernels: bfloat16 outside a CPU, as peers and yardstick are."""
        # An accelerator's float32 products are several times slower: rates would not compare.
        return self.place(array) if self.device == "cpu" else jnp.asarray(array, jnp.bfloat16)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Planned:
    """A case that isn't built yet."""

    title: str
    build: Callable[[], Case]


def peer(package: str) -> types.ModuleType:
    """The module of a peer's package; the Refusal names the command that installs it.

    Args:
      package: a key of PEERS, as pip knows it.
    """
    try:
        return importlib.import_module(PEERS[package])
    except ImportError as error:
        raise Refusal(
            f"--peers needs the package {package} ({error}). Remedy: pip install {package}"
        ) from error


def check_peers(packages: Sequence[str], device: str) -> None:
    """Refuse a run whose peers aren't installed, before anything is timed."""
    # Only looked for, not imported: PyTorch takes seconds, and the run may be refused for another package.
    missing = [package for package in packages if importlib.util.find_spec(PEERS[package]) is None]
    if missing:
        names = " ".join(missing)
        needs = " (torchdtw has wheels for Python 3.12 and later)" if "torchdtw" in missing else ""
        raise Refusal(
            f"--peers needs packages that aren't installed: {', '.join(missing)}. Remedy: "
            f"pip install {names}{needs}"
        )
    if "torch" in packages and device != "cpu" and not peer("torch").cuda.is_available():
        raise Refusal(
            f"--peers with --device={device} needs a CUDA build of torch, this one is "
            f"{peer('torch').__version__}. Remedy: pip install a CUDA build"
        )
