"""Flags of every job from its options, and how a process ends."""

import json
import pathlib
import signal
import subprocess
import sys

import pytest
from absl import flags

from isogloss.engine.runtime.options import options
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.transcription.transcribe_config import TranscribeConfig
from isogloss.jobs import command, scheduler

FAILING = """
import sys, types
from isogloss.engine.runtime.refusal import Refusal, WriteError
from isogloss.engine.retrieval.report_config import ReportConfig
from isogloss.jobs import command
conductor = types.ModuleType("conductor")
def run(config):
    raise {error}
conductor.run = run
sys.modules["conductor"] = conductor
sys.argv = ["job", "--grid=g", "--out=o"]
command.run(ReportConfig, "conductor")
"""


def parsed(*given):
    holder = flags.FlagValues()
    command.define(TranscribeConfig, holder)
    holder(["job", "--corpus=c", "--model=m", "--out=~/o", *given])
    return command.configuration(TranscribeConfig, holder, {})


def test_flags_and_python_have_the_same_defaults():
    assert parsed() == TranscribeConfig(corpus="c", model="m", out=pathlib.Path("~/o"))


def test_values_come_as_their_type():
    config = parsed("--states=all", "--languages=aa,bb", "--num_beams=3", "--nosilence", "--num_shards=2")
    assert (config.states, config.languages) == ((), ("aa", "bb"))
    assert (config.num_beams, config.silence, config.share.count) == (3, False, 2)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("--states=", "--states is empty; name some, or all"),
        ("--out=", "--out is empty"),
        ("--store=s3://bucket/store", "--store=s3://bucket/store: must be a folder"),
    ],
)
def test_values_that_say_nothing_and_buckets_are_refused(given, message):
    with pytest.raises(Refusal, match=message):
        parsed(given)


def test_a_job_has_a_flag_for_each_option():
    holder = flags.FlagValues()
    command.define(TranscribeConfig, holder)
    assert set(holder) == {each.name for each in options(TranscribeConfig)}


@pytest.mark.parametrize(
    ("error", "code", "traceback"),
    [
        ("Refusal('no such grid')", 2, False),
        ("WriteError('no space left')", 2, False),
        ("OSError('stale file handle')", 1, True),
        ("ValueError('operands could not be broadcast')", 1, True),
        ("KeyError('dtw')", 1, True),
    ],
)
def test_only_refusals_end_without_a_traceback(error, code, traceback):
    """An internal ValueError hours into a run isn't bad input."""
    done = subprocess.run(
        [sys.executable, "-c", FAILING.format(error=error)], capture_output=True, text=True, check=False
    )
    assert done.returncode == code, done.stderr
    assert ("Traceback" in done.stderr) == traceback


def array(count, first, last, index):
    names = zip(("COUNT", "MIN", "MAX", "ID"), (count, first, last, index), strict=True)
    return {f"SLURM_ARRAY_TASK_{name}": str(number) for name, number in names}


def test_a_whole_array_gives_its_shards():
    assert scheduler.shard(array(4, 0, 3, 2)) == (4, 2)


@pytest.mark.parametrize(
    "environment", [{}, array(1, 3, 3, 3), array(2, 0, 2, 2), {"JOB_COMPLETION_INDEX": "2"}]
)
def test_a_task_alone_or_a_gap_is_refused(environment):
    """One failed task started again is not the whole array."""
    with pytest.raises(Refusal, match="--num_shards=N and --shard_index=I"):
        scheduler.shard(environment)


WAITING = """
import sys, time, types
from isogloss.engine.retrieval.report_config import ReportConfig
from isogloss.jobs import command
conductor = types.ModuleType("conductor")
def run(config):
    print("begun", file=sys.stderr, flush=True)
    time.sleep(60)
conductor.run = run
sys.modules["conductor"] = conductor
sys.argv = ["job", "--grid=g", "--out=o"]
command.run(ReportConfig, "conductor")
"""


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_stopped_job_says_so_and_shows_no_traceback(number, code):
    job = subprocess.Popen(
        [sys.executable, "-c", WAITING], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert job.stderr.readline() == "begun\n"
    job.send_signal(number)
    out, err = job.communicate(timeout=30)
    assert job.returncode == code
    assert json.loads(out) == {"interrupted": True}
    assert err == "stopped: what is written is kept; the same command goes on\n"
