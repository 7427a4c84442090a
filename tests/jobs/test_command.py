"""Flags of every job from its options, and how a process ends."""

import dataclasses
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import textwrap
import time

import processes
import pytest
from absl import flags

from isogloss.engine.cluster import job_configs
from isogloss.engine.runtime import disk_faults
from isogloss.engine.runtime.options import options
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.transcription.transcribe_config import TranscribeConfig
from isogloss.jobs import command, log_lines, scheduler

PROGRAM = """
import ctypes, dataclasses, logging, sys, time, types
from isogloss.engine.report.report_config import ReportConfig
from isogloss.engine.runtime.progress import Progress
from isogloss.engine.runtime.refusal import Refusal, UnreachableError, WriteError
from isogloss.jobs import command
@dataclasses.dataclass
class Summary:
    plan: dict
    complete = True
    def sentence(self, config):
        return f"all is in {{config.out}}"
conductor = types.ModuleType("conductor")
def run(config):
{body}
conductor.run = run
sys.modules["some.conductor"] = conductor
ReportConfig.resumes = {resumes}
command.run(ReportConfig, "some.conductor")
"""


def started(body, *given, resumes=True):
    """Process of a job whose conductor does this."""
    program = PROGRAM.format(body=textwrap.indent(body, "    "), resumes=resumes)
    return processes.piped([sys.executable, "-c", program, "--grid=g", "--out=o", *given])


def parsed(*given, **environment):
    holder = flags.FlagValues()
    command.define(TranscribeConfig, holder)
    holder(["job", "--corpus=c", "--model=m", "--out=~/o", *given])
    return command.configuration(TranscribeConfig, holder, environment)


def test_flags_and_python_have_the_same_defaults():
    assert parsed() == TranscribeConfig(corpus="c", model="m", out=pathlib.Path("~/o"))


def test_values_come_as_their_type():
    config = parsed("--states=all", "--languages=aa,bb", "--num_beams=3", "--nosilence")
    assert (config.states, config.languages) == ((), ("aa", "bb"))
    assert (config.num_beams, config.silence) == (3, False)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("--states=", "--states is empty; name some, or all"),
        ("--out=", "--out is empty"),
        ("--out=s3://bucket/out", "--out=s3://bucket/out: must be on a file system; only --store and --grid"),
        ("--store=hdfs://host/store", "must be a folder, or a path in a bucket of s3:// or gs://"),
        ("--store=s3://bucket", "--store=s3://bucket: names a path in a bucket, s3://bucket/path"),
    ],
)
def test_values_that_say_nothing_and_buckets_are_refused(given, message):
    with pytest.raises(Refusal, match=message):
        parsed(given)


@pytest.mark.parametrize("given", ["", "logs", "s3://bucket/logs"])
def test_logs_are_on_a_file_system(given):
    if given.startswith("s3"):
        with pytest.raises(Refusal, match="--log_dir=s3://bucket/logs: must be on a file system"):
            log_lines.folder(given)
    else:
        assert log_lines.folder(given) == (pathlib.Path(given) if given else None)


def test_help_ends_well_where_nobody_reads_on():
    """As in `isogloss extract --help | head`."""
    line = [sys.executable, "-m", "isogloss.jobs.extract", "--help"]
    with subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as job:
        job.stdout.close()
        said = job.stderr.read()
    assert (said, job.returncode) == (b"", 0)


def test_a_job_has_a_flag_for_each_option():
    holder = flags.FlagValues()
    command.define(TranscribeConfig, holder)
    assert set(holder) == {each.name for each in options(TranscribeConfig)}


@pytest.mark.parametrize(
    ("error", "code", "traceback"),
    [
        ("Refusal('no such grid')", 2, False),
        ("WriteError('no space left')", 2, False),
        ("UnreachableError('no such answer')", 1, False),
        ("OSError('stale file handle')", 1, True),
        ("ValueError('operands could not be broadcast')", 1, True),
        ("KeyError('dtw')", 1, True),
    ],
)
def test_only_refusals_end_without_a_traceback(error, code, traceback):
    """An internal ValueError hours into a run isn't bad input."""
    job = started(f"raise {error}")
    out, err = job.communicate(timeout=processes.PATIENCE)
    assert (job.returncode, out) == (code, ""), err
    assert ("Traceback" in err) == traceback
    assert ("error: no s" in err.splitlines()[-1]) == (not traceback)


def array(count, first, last, index):
    names = zip(("COUNT", "MIN", "MAX", "ID"), (count, first, last, index), strict=True)
    return {f"SLURM_ARRAY_TASK_{name}": str(number) for name, number in names}


@dataclasses.dataclass
class Ended:
    """Summary of a run with units that failed, by name or in a list."""

    failed: dict[str, str] | list[str]
    complete: bool = False


@pytest.mark.parametrize("form", [lambda failed: failed, lambda failed: list(failed.values())])
def test_launch_tries_again_what_failed_by_a_disk_that_may_recover(form):
    damaged, unread = {"a": "checksum"}, {"b": f"Stale file handle; {disk_faults.AGAIN}"}
    assert command._code(Ended(form(damaged))) == 3
    assert command._code(Ended(form(damaged | unread))) == 1
    assert command._code(Ended({}, complete=True)) == 0


def test_a_whole_array_gives_its_shards():
    assert scheduler.shard(array(4, 0, 3, 2)) == (4, 2)


@pytest.mark.parametrize(
    "environment", [{}, array(1, 3, 3, 3), array(2, 0, 2, 2), {"JOB_COMPLETION_INDEX": "2"}]
)
def test_a_task_alone_or_a_gap_is_refused(environment):
    """One failed task started again is not the whole array."""
    with pytest.raises(Refusal, match="Give --num_shards=N: the index is that of the task or pod"):
        scheduler.shard(environment)


@pytest.mark.parametrize(
    ("given", "environment", "share"),
    [
        (["--num_shards=4"], array(1, 3, 3, 3), (4, 3)),
        (["--num_shards=4"], {"JOB_COMPLETION_INDEX": "2"}, (4, 2)),
        (["--num_shards=4"], array(2, 0, 2, 2) | {"JOB_COMPLETION_INDEX": "1"}, (4, 2)),
        (["--num_shards=4", "--shard_index=0"], array(1, 3, 3, 3), (4, 0)),
        (["--num_shards=auto"], array(4, 0, 3, 2), (4, 2)),
        (["--num_shards=1"], array(1, 3, 3, 3), (1, 0)),
        ([], array(4, 0, 3, 2) | {"JOB_COMPLETION_INDEX": "2"}, (1, 0)),
    ],
)
def test_a_task_id_is_the_index_where_shards_are_asked_for(given, environment, share):
    """And nothing is divided unasked: an array may be a sweep over models."""
    config = parsed(*given, **environment)
    assert (config.num_shards, config.shard_index) == share


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        (array(4, 1, 4, 4), "--num_shards=4: SLURM_ARRAY_TASK_ID=4 isn't from 0 to 3"),
        ({"SLURM_ARRAY_TASK_ID": ""}, r"--num_shards=4: which of them is this\? Give --shard_index=I"),
    ],
)
def test_a_shard_that_is_none_of_them_is_refused(environment, message):
    with pytest.raises(Refusal, match=message):
        parsed("--num_shards=4", **environment)


COUNTING = """
progress = Progress("report", 24, "pairs", before=7, without=1)
progress.advance()
progress.advance(stored=False)
progress.store()
"""
KEPT = {"done": 2, "skipped": 7, "total": 24, "unit": "pairs", "verb": "stored"}


@pytest.mark.parametrize(
    ("number", "code", "busy", "counts", "words"),
    [
        (signal.SIGINT, 130, "time.sleep(60)", {}, "what is written is kept"),
        (
            signal.SIGTERM,
            143,
            "while True: ctypes.CDLL(None).usleep(60_000_000)",
            KEPT,
            "9 of 24 pairs are stored",
        ),
    ],
)
def test_a_stopped_job_reports_how_far_it_came(number, code, busy, counts, words):
    """Within two seconds, whatever it does, and without a traceback."""
    begun = 'print("begun", file=sys.stderr, flush=True)'

    def stopped():
        job = started(f"{COUNTING if counts else ''}\n{begun}\n{busy}")
        assert job.stderr.readline() == "begun\n"
        start = time.monotonic()
        job.send_signal(number)
        out, err = job.communicate(timeout=processes.PATIENCE)
        took = time.monotonic() - start
        assert job.returncode == code
        assert json.loads(out) == {"interrupted": True, **counts}
        assert err == f"stopped: {words}; the same command goes on\n"
        return took, None

    processes.soon(2, stopped)


@pytest.mark.parametrize(
    ("given", "resumes", "body", "words"),
    [
        (["--dry_run"], True, "", ""),
        ([], False, "", ""),
        ([], False, COUNTING, "9 of 24 pairs are stored; "),
    ],
)
def test_a_stopped_job_that_keeps_nothing_says_that_it_begins_again(given, resumes, body, words):
    """A dry run, and a job that only reads."""
    job = started(
        f"{body}\nimport os, signal; os.kill(os.getpid(), signal.SIGINT); time.sleep(60)",
        *given,
        resumes=resumes,
    )
    _, err = job.communicate(timeout=processes.PATIENCE)
    assert (job.returncode, err) == (130, f"stopped: {words}the same command begins again\n")


def test_the_jobs_that_begin_again_are_those_that_the_manual_names():
    manual = (pathlib.Path(__file__).parents[2] / "docs" / "index.md").read_text()
    [named] = re.findall(r"The jobs (.*?), and dry runs, keep nothing", " ".join(manual.split()))
    assert named.replace(" and ", ", ").split(", ") == [
        job for job in job_configs.jobs() if not job_configs.job_config(job).resumes
    ]


ENDING = """
logging.getLogger("isogloss.test").info("half-way")
return Summary(plan={"pairs": 1200, "bytes": 23_400_000, "estimated_seconds": 75.2})
"""


def test_a_job_ends_in_a_sentence_and_its_log_names_the_process(tmp_path):
    job = started(ENDING, "--num_shards=8", "--shard_index=3", f"--log_dir={tmp_path}/logs")
    out, err = job.communicate(timeout=processes.PATIENCE)
    assert json.loads(out)["plan"]["pairs"] == 1200
    log, sentence = err.splitlines()
    process = f"conductor-3@{socket.gethostname()}"
    assert log.endswith(f" {process}] half-way")
    assert sentence == "all is in o"
    assert (tmp_path / "logs" / f"{process}.log").read_text() == f"{log}\n"


def test_no_amount_of_a_dry_run_is_there_twice():
    """What was done is 0 there, what is to do stands in the plan."""

    @dataclasses.dataclass
    class Summary:
        bytes: int
        done: int
        plan: dict[str, int]

    made = Summary(bytes=0, done=0, plan={"bytes": 5})
    assert command._record(made, dry_run=True) == {"done": 0, "plan": {"bytes": 5}}
    assert command._record(made, dry_run=False) == {"bytes": 0, "done": 0, "plan": {"bytes": 5}}


def test_a_dry_run_speaks_to_people_on_stderr_and_in_numbers_on_stdout():
    out, err = started(ENDING, "--dry_run").communicate(timeout=processes.PATIENCE)
    assert json.loads(out)["plan"]["bytes"] == 23_400_000
    assert err.endswith("to do: 1,200 pairs: 23 MB, about 1 min 15 s; a dry run does nothing of it\n")


AT_ONCE = """
import os, signal, time
from isogloss.jobs import stopping
real = signal.signal
def hit(number, handler):
    real(number, handler)
    os.kill(os.getpid(), number)
signal.signal = hit
stopping.watch()
time.sleep(60)
"""


def test_no_signal_is_lost_while_the_handlers_are_replaced():
    done = subprocess.run([sys.executable, "-c", AT_ONCE], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (130, '{"interrupted": true}\n')


SLOW_LIBRARY = """
import sys, time
print("begun", file=sys.stderr, flush=True)
time.sleep(60)
"""


@pytest.mark.parametrize(
    ("number", "code", "program"),
    [
        (signal.SIGINT, 130, ["-m", "isogloss.jobs.extract"]),
        (signal.SIGTERM, 143, ["-m", "isogloss.jobs.grid"]),
        (signal.SIGINT, 130, ["-c", "from isogloss.jobs.__main__ import main; main()", "extract"]),
    ],
)
def test_a_job_stopped_while_it_imports_says_so(tmp_path, monkeypatch, number, code, program):
    (tmp_path / "absl.py").write_text(SLOW_LIBRARY)
    monkeypatch.setenv("PYTHONPATH", f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    job = processes.piped([sys.executable, *program])
    assert job.stderr.readline() == "begun\n"
    job.send_signal(number)
    out, err = job.communicate(timeout=processes.PATIENCE)
    assert (job.returncode, out) == (code, '{"interrupted": true}\n')
    assert err == "stopped: nothing had begun; run the same command again\n"
