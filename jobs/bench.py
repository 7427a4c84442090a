"""Measure kernels, encoder and stores against this machine's best and against public peers.

    python -m isogloss.jobs.bench --suite=all
    python -m isogloss.jobs.bench --suite=seqsim,dtw --peers --json=out/bench.json

The table goes to stderr. Run nothing else on the machine meanwhile. Peers: pip install -e '.[peers]'.
"""

from isogloss.engine.bench.bench_config import BenchConfig
from isogloss.jobs import command

if __name__ == "__main__":
    command.run(BenchConfig, "isogloss.engine.bench.bench")
