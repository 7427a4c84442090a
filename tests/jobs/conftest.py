"""A job's refusals without a process for each."""

import importlib
import pathlib
import runpy

import pytest
from absl import flags

from isogloss.engine.runtime.refusal import Refusal
from isogloss.jobs import command

JOBS = pathlib.Path(command.__file__).parent


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
