"""Steps of a run as processes of this machine, one step after the other, in rounds."""

import collections
import contextlib
import logging
import os
import signal
import subprocess
import time
import types
from collections.abc import Collection, Iterator, Mapping, Sequence

from isogloss.engine.cluster.run_folder import PARTIAL, REFUSED, RunFolder
from isogloss.engine.cluster.steps import Step
from isogloss.engine.runtime.progress import DONE, Progress
from isogloss.engine.runtime.refusal import Refusal, UnfinishedError

_LOG = logging.getLogger(__name__)
_POLL = 0.05  # seconds


Slot = Mapping[str, str]  # environment variables of the process that holds it


def slots(processes: int, gpus: int) -> list[Slot]:
    """Slots for a number of processes at a time, each with a GPU of its own if `gpus` isn't 0."""
    if not gpus:
        return [{}] * processes
    return [{"CUDA_VISIBLE_DEVICES": str(gpu)} for gpu in range(min(processes, gpus))]


def run_steps(run: RunFolder, steps: Sequence[Step], places: Sequence[Slot], rounds: int) -> None:
    """Run the tasks of steps whose records aren't final; each step when the one before is done.

    Args:
      run: folder that holds the scripts.
      steps: in order.
      places: one for each process that may run at a time.
      rounds: number of times that a task which dies is started.

    Raises:
      Refusal: a task was refused; names it, its reason and its log.
      UnfinishedError: a task died in every round.
    """
    every = sum(step.tasks for step in steps)
    over = every - sum(len(run.unfinished(step)) for step in steps)
    progress = Progress("launch", every, "tasks", before=over, verb=DONE)
    for step in steps:
        for turn in range(rounds):
            tasks = run.unfinished(step)
            if tasks:
                _LOG.info("%s: %d tasks, round %d of %d", step.name, len(tasks), turn + 1, rounds)
                _run_tasks(run, step, tasks, places, progress)
        codes = run.exit_codes(step)
        if REFUSED in codes:
            task = codes.index(REFUSED)
            raise Refusal(f"{step.name}-{task} was refused: {_reason(run, step, task)}")
        if left := run.unfinished(step):
            names = ", ".join(f"{step.name}-{task}" for task in left)
            raise UnfinishedError(
                f"{names} died {rounds} times: {_reason(run, step, left[0])}\n"
                "  The same command starts them again."
            )
        if PARTIAL in codes:
            _LOG.warning("%s is done as far as the inputs allow; see %s", step.name, run.log(step, "*"))
    progress.close()


def _run_tasks(
    run: RunFolder, step: Step, tasks: Sequence[int], places: Sequence[Slot], progress: Progress
) -> None:
    waiting, free = collections.deque(tasks), list(places)
    running: dict[subprocess.Popen[bytes], Slot] = {}
    left = len(tasks)
    with _signals_noted() as noted, _ended(running):
        while waiting or running:
            while waiting and free:
                slot = free.pop(0)
                running[_start(run, step, waiting.popleft(), slot)] = slot
            time.sleep(_POLL)
            if noted:
                return
            for process in [each for each in running if each.poll() is not None]:
                free.append(running.pop(process))
                now = len(run.unfinished(step))
                for _ in range(left - now):
                    progress.advance()
                left = now


def _start(run: RunFolder, step: Step, task: int, slot: Slot) -> subprocess.Popen[bytes]:
    """Process of a task, in a group of its own, which gets signals as a whole."""
    outer = {name: value for name, value in os.environ.items() if not name.startswith("SLURM_")}
    with run.log(step, task).open("ab") as log:
        return subprocess.Popen(
            ["bash", str(run.script(step)), str(task)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            env={**outer, **slot},
            start_new_session=True,
        )


@contextlib.contextmanager
def _ended(running: Collection[subprocess.Popen[bytes]]) -> Iterator[None]:
    """Block after which no task runs: those that do are asked to end, and waited for."""
    try:
        yield
    finally:
        for process in running:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        for process in running:
            process.wait()


@contextlib.contextmanager
def _signals_noted() -> Iterator[list[int]]:
    """Block in which Ctrl-C and SIGTERM are noted; at its end they do what they did before.

    A handler that ended the tasks itself would miss one that is just being started. A second signal isn't
    waited for.
    """
    before = {int(number): signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    waker = signal.set_wakeup_fd(-1)  # else the thread that ends a job at once would be faster
    noted: list[int] = []

    def note(number: int, frame: types.FrameType | None) -> None:
        noted.append(number)
        if len(noted) > 1:
            restore()
            signal.raise_signal(number)

    def restore() -> None:
        signal.set_wakeup_fd(waker)
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in before:
        signal.signal(number, note)
    try:
        yield noted
    finally:
        restore()
        if noted:
            signal.raise_signal(noted[0])
            if waker >= 0:
                time.sleep(60)  # that thread ends the process meanwhile
            raise KeyboardInterrupt


def _reason(run: RunFolder, step: Step, task: int) -> str:
    """Last error that a task's log names, and the path of the log."""
    path = run.log(step, task)
    lines = path.read_text("utf-8", errors="replace").splitlines() if path.is_file() else []
    errors = [line for line in lines if line.startswith("error: ")] or lines[-1:]
    return f"{errors[-1].removeprefix('error: ') if errors else 'no reason given'} ({path})"
