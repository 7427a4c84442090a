"""Jobs in order on a cluster: Slurm, Kubernetes or the processes of this machine."""
