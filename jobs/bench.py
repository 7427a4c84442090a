"""Measure kernels, encoder and stores against this machine's best and against public peers.

    python -m isogloss.jobs.bench --suite=all
    python -m isogloss.jobs.bench --suite=seqsim,dtw --peers --json=out/bench.json

    python -m isogloss.jobs.bench --suite=blocks --device=gpu   # block sizes for kernels/block_sizes.py

The table goes to stderr. Leave the machine alone meanwhile. Peers: pip install "isogloss[peers]".
"""

import pathlib
from typing import TYPE_CHECKING

from absl import flags

from isogloss.jobs import shared_flags

if TYPE_CHECKING:
    from isogloss.engine.bench import bench

SUITE = flags.DEFINE_list(
    "suite", ["all"], "all, or some of seqsim, dtw, encoder, mel, extract, store, grid; or blocks."
)
DEVICE = flags.DEFINE_enum("device", "auto", ["auto", "cpu", "gpu"], "Where kernels and encoder run.")
PEERS = flags.DEFINE_boolean("peers", False, "Run public implementations beside ours.")
WITHOUT = flags.DEFINE_list("without", [], "Packages of peers to leave out.")
JSON = flags.DEFINE_string("json", None, "File for all figures.")
QUICK = flags.DEFINE_boolean("quick", False, "Small sizes, to see that everything runs; no figures.")
ROUNDS = flags.DEFINE_integer("rounds", 5, "Timed rounds of a case.", 1)
KERNELS = flags.DEFINE_enum("kernels", "auto", ["auto", "xla", "numba", "pallas"], "Of the frame kernels.")
COMPILATION_CACHE = shared_flags.compilation_cache()
SHARDING = shared_flags.sharding()
flags.adopt_module_key_flags(shared_flags)


def main() -> "bench.BenchSummary":
    """Turn flags into one configuration and run it."""
    from isogloss.engine.bench import bench  # noqa: PLC0415  (--help must not wait for JAX)

    return bench.run(
        bench.BenchConfig(
            suites=shared_flags.choice(SUITE),
            device="" if DEVICE.value == "auto" else DEVICE.value,
            implementation="" if KERNELS.value == "auto" else KERNELS.value,
            peers=PEERS.value,
            without=tuple(WITHOUT.value),
            json=pathlib.Path(JSON.value) if JSON.value else None,
            quick=QUICK.value,
            rounds=ROUNDS.value,
            compilation_cache=shared_flags.optional_path(COMPILATION_CACHE),
            share=SHARDING.share(),
            dry_run=SHARDING.dry_run.value,
        )
    )


if __name__ == "__main__":
    shared_flags.run(main)
