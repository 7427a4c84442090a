r"""Run jobs in order on Slurm, on Kubernetes or here, each divided among tasks.

    python -m isogloss.jobs.launch --cluster=slurm --run=out/run --shards=8 \
        --sbatch="--gpus=1 --time=4:00:00" extract.flags grid.flags report.flags

A flag file is named after its job. Tasks that die are started again; those that were refused aren't. The same
command goes on where a run stopped.
"""

from isogloss.engine.cluster.launch_config import LaunchConfig
from isogloss.jobs import command

if __name__ == "__main__":
    command.run(LaunchConfig, "isogloss.engine.cluster.launch")
