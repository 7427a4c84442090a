"""A real Slurm on this machine, jobs that take no time, and flag files."""

import contextlib
import os
import pathlib
import random
import shutil
import socket
import stat
import subprocess

import pytest
from processes import awaited

from isogloss.engine.cluster import launch, steps
from isogloss.engine.cluster.launch_config import LaunchConfig

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "scontrol", "squeue", "scancel")
PATH = os.environ["PATH"] + ":/usr/sbin:/sbin"
SETTINGS = """\
ClusterName=test
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={port}
SlurmUser={user}
SlurmdUser={user}
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
AuthType=auth/munge
AuthInfo=socket={folder}/munge.socket
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool.%n
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.%n.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/none
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
SchedulerParameters=sched_interval=1,bf_interval=1,batch_sched_delay=0,sched_min_interval=0,requeue_delay=1
ReturnToService=2
SlurmdTimeout=15
MailProg=/bin/true
MaxArraySize=101
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


PREEMPTION = """\
PreemptType=preempt/partition_prio
PreemptMode={mode}
PartitionName=urgent Nodes=ALL PriorityTier=10 MaxTime=INFINITE State=UP
"""


def free_ports(count):
    """Ports on which nobody listens, below those that the system gives to whoever asks, if there are some."""
    below = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
    found = []
    for port in random.SystemRandom().sample(range(10_000, below if below > 12_000 else 60_000), 1000):
        with contextlib.suppress(OSError), socket.socket() as one:
            one.bind(("127.0.0.1", port))
            found.append(port)
        if len(found) == count:
            return found
    raise AssertionError(f"of 1,000 ports only {len(found)} are free")


class SlurmCluster:
    """Controller and nodes of one core each, in one folder, as our children, on 127.0.0.1 only."""

    def __init__(self, folder, nodes=3, more=""):
        self.folder, self.nodes, self.more, self.processes = folder, nodes, more, {}
        self.environment = {"SLURM_CONF": str(folder / "slurm.conf"), "PATH": PATH}

    def __enter__(self):  # noqa: D105
        (self.folder / "state").mkdir()
        (self.folder / "slurm.conf").write_text(self._settings())
        key = self.folder / "munge.key"
        key.touch(0o600)
        key.write_bytes(os.urandom(128))
        files = [f"--{name}={self.folder}/munge.{name}" for name in ("socket",)]
        files += [f"--{name}-file={self.folder}/munge.{name}" for name in ("key", "log", "pid", "seed")]
        try:
            self._start("munged", "-F", "--num-threads=2", "--force", *files)
            self.until((self.folder / "munge.socket").exists)
            self._start("slurmctld", "-D", "-i")
            for node in range(self.nodes):
                self.start_node(node)
            self.until(
                lambda: (
                    self.run("sinfo", "-hNp", "main", "-o", "%t", check=False).split()
                    == ["idle"] * self.nodes
                )
            )
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):  # noqa: D105
        for process in reversed(self.processes.values()):
            process.terminate()
        for process in reversed(self.processes.values()):
            try:
                process.wait(5)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait(5)

    def _settings(self):
        port, *ports = free_ports(self.nodes + 1)
        host, user = socket.gethostname(), pathlib.Path.home().owner() if os.getuid() else "root"
        nodes = [
            f"NodeName=n{i} NodeHostname={host} NodeAddr=127.0.0.1 Port={port} CPUs=1 RealMemory=4000\n"
            for i, port in enumerate(ports)
        ]
        settings = SETTINGS.format(host=host, port=port, user=user, folder=self.folder)
        return "".join([*nodes, settings, self.more])

    def _start(self, program, *flags, name=""):
        with (self.folder / f"{name or program}.out").open("ab") as out:
            self.processes[name or program] = subprocess.Popen(
                [shutil.which(program, path=PATH), *flags],
                env=os.environ | self.environment,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )

    def start_node(self, node):
        (self.folder / f"spool.n{node}").mkdir(exist_ok=True)
        self._start("slurmd", "-D", "-N", f"n{node}", name=f"n{node}")

    def run(self, *command, check=True):
        """What a command of Slurm prints."""
        done = subprocess.run(
            command, env=os.environ | self.environment, capture_output=True, text=True, check=False
        )
        assert not check or done.returncode == 0, done.stderr
        return done.stdout.strip()

    def until(self, true):
        """Wait until it is so; a hang shows the logs."""
        try:
            awaited(true)
        except AssertionError as error:
            logs = [path.read_text()[-1000:] for path in self.folder.glob("*.log")]
            raise AssertionError("\n".join(logs)) from error

    def finish(self):
        """Wait until the queue is empty."""
        self.until(lambda: not self.run("squeue", "-h"))


@pytest.fixture(scope="session")
def slurm_folder(tmp_path_factory):
    """Function from a name to a new folder, where Slurm is installed."""
    if missing := [program for program in PROGRAMS if not shutil.which(program, path=PATH)]:
        pytest.skip(f"no {', '.join(missing)} here: apt-get install --no-install-recommends slurm-wlm munge")
    return tmp_path_factory.mktemp


@pytest.fixture(scope="module")
def slurm_cluster(slurm_folder):
    with SlurmCluster(slurm_folder("slurm")) as cluster:
        yield cluster


@pytest.fixture
def preempting(slurm_folder, monkeypatch):
    """Function from a way of preemption to a cluster of one node, with a partition that goes first."""
    with contextlib.ExitStack() as stack:

        def start(mode):
            cluster = SlurmCluster(slurm_folder("preempting"), nodes=1, more=PREEMPTION.format(mode=mode))
            stack.enter_context(cluster)
            for name, value in cluster.environment.items():
                monkeypatch.setenv(name, value)
            return cluster

        yield start


@pytest.fixture
def slurm(slurm_cluster, monkeypatch):
    """The cluster, in this process's environment."""
    for name, value in slurm_cluster.environment.items():
        monkeypatch.setenv(name, value)
    yield slurm_cluster
    slurm_cluster.run("scancel", "--me")
    slurm_cluster.finish()


FAKE = """#!/bin/bash
# Stands for Python: writes its call down, exits with the next code of codes/STEP-INDEX, or 0.
cd {folder}
[[ "$*" =~ /([A-Za-z-]+)\\.flags ]] && step=${{BASH_REMATCH[1]}}
[[ "$*" =~ --shard_index=([0-9]+) ]] && index=${{BASH_REMATCH[1]}} || index=0
echo "$step-$index $*" >> calls
plan=codes/$step-$index
[ -f $plan ] || exit 0
code=$(head -n 1 $plan); sed -i 1d $plan
case $code in
  kill) kill -9 $$ ;;
  wait) while [ -f codes/wait ]; do sleep 0.05; done; exit 0 ;;
  2) echo "error: made up to fail"; exit 2 ;;
  "") exit 0 ;;
  *) exit $code ;;
esac
"""


class Fake:
    """Launches with jobs that only end with the codes that are given to them.

    Attributes:
      run: folder of the run.
    """

    def __init__(self, folder):
        self.folder, self.run = folder, folder / "a run"
        (folder / "codes").mkdir()
        self.python = folder / "python"
        self.python.write_text(FAKE.format(folder=folder))
        self.python.chmod(self.python.stat().st_mode | stat.S_IXUSR)

    def codes(self, **by_step):
        """Give codes to tasks: extract_1=["kill", 0]."""
        for step, codes in by_step.items():
            path = self.folder / "codes" / step.replace("_", "-")
            path.write_text("".join(f"{code}\n" for code in codes))

    def launch(self, *names, flags="", **options):
        """Summary of a launch of steps of these names; flags are of all steps, or by name."""
        for name in names:
            text = flags if isinstance(flags, str) else flags[name]
            (self.folder / f"{name}.flags").write_text(text)
        given = {"cluster": "local", "run": self.run, "shards": 2, "python": str(self.python)} | options
        return launch.run(
            LaunchConfig(flagfiles=tuple(str(self.folder / f"{name}.flags") for name in names), **given)
        )

    @property
    def calls(self):
        """Tasks that were started, in order."""
        path = self.folder / "calls"
        return [line.split()[0] for line in path.read_text().splitlines()] if path.exists() else []

    @property
    def records(self):
        """Exit codes of tasks."""
        return {path.name: int(path.read_text()) for path in sorted((self.run / "exit").iterdir())}

    def log(self, task):
        return (self.run / "logs" / f"{task}.log").read_text()


@pytest.fixture
def fake(tmp_path, monkeypatch):
    monkeypatch.setattr(steps, "_check_flags", lambda *_: None)  # such jobs need none
    return Fake(tmp_path)
