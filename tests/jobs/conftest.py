"""A job's refusals without a process for each, and its work killed and resumed."""

import importlib
import pathlib
import random
import runpy

import pytest
from absl import flags

from isogloss.engine.runtime.refusal import Refusal
from isogloss.jobs import command

JOBS = pathlib.Path(command.__file__).parent


@pytest.fixture(scope="session")
def source(speech, model_folder):
    """Flags of the corpus and the model."""
    return [f"--corpus=manifest:{speech}", f"--model={model_folder}"]


@pytest.fixture
def refusal(monkeypatch):
    """Function from a job and its flags to the message that it is refused with, with exit code 2."""

    def message(job, *given):
        wiring = []
        monkeypatch.setattr(command, "run", lambda *parts: wiring.append(parts))
        runpy.run_path(str(JOBS / f"{job}.py"), run_name="__main__")
        [(config, conductor)] = wiring
        holder = flags.FlagValues()
        command.define(config, holder)

        def run():
            holder([job, *map(str, given)])
            importlib.import_module(conductor).run(command.configuration(config, holder, {}))

        with pytest.raises((Refusal, flags.Error)) as found:
            run()
        return str(found.value)

    return message


@pytest.fixture
def killed_and_resumed(written, files):
    """Function that runs a job undisturbed, then killed at some moments and run again."""

    def run(job, out, moments, parts, *, apart=False):
        """(first summary, last summary, parts at the last kill, names of the files that differ).

        A moment (pattern, count) is "so many files are there", drafts not counted, and a little later. The
        undisturbed run and the last are in this process, or in processes of their own if `apart`: with
        PyTorch, bits follow the number of threads. After the first moment each run goes on in a process.
        """
        ended = job.summary if apart else job.here
        undisturbed = ended()
        whole = out.rename(out.with_name("whole"))
        rng, before = random.Random(5), {}
        for pattern, count in moments:
            ready = lambda pattern=pattern, count=count: len(written(out, pattern)) >= count  # noqa: E731
            assert job.killed_in(out, ready, rng.uniform(0, 0.01))
            after = written(out, parts)
            assert before.items() <= after.items(), "something done was lost or done again"
            before = after
        last = ended()
        made, expected = files(out), files(whole)
        assert made.keys() == expected.keys()  # no draft of a killed process, neither
        return undisturbed, last, before, {name for name in made if made[name] != expected[name]}

    return run
