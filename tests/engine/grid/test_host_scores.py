"""Scores by this machine's cores: kernels are compiled before the first pair."""

import gc
import subprocess
import sys

import pytest

from isogloss.engine.grid.host_scores import HostScores
from isogloss.kernels import frame_scores

FIRST_PAIR = """
import sys
import numpy as np
from numba.core import event
from isogloss.engine.grid.host_scores import HostScores
from isogloss.engine.grid.shortlist import Shortlisting

compiled = []


class OnNumba(event.Listener):
    def on_start(self, event):
        pass

    def on_end(self, event):
        compiled.append(event)


event.register("numba:compile", OnNumba())
implementation, dtype, normalise, best, *measures = sys.argv[1:]
scores = HostScores(measures, implementation, dtw_normalise=normalise, remove_mean=False)
scores.prepare(shortlists=bool(int(best)))
before = len(compiled)
random = np.random.default_rng(0)
a, b = ([random.standard_normal((n, 40)).astype(dtype) for n in lengths] for lengths in ((70, 3), (9, 81, 1)))
everything = Shortlisting(best=int(best), rows=np.arange(2), columns=np.arange(3))
found = scores.start(scores.place(a), scores.place(b), everything if int(best) else None)()
assert all(np.isfinite(found[name]).all() for name in measures)
print(before, len(compiled) - before)
"""


@pytest.mark.parametrize(
    "case",
    [
        "numba float16 none 0 seqsim dtw",
        pytest.param("numba float32 path_length 0 seqsim dtw transport", marks=pytest.mark.deep),
        pytest.param("numba float16 none 3 seqsim transport transport_error", marks=pytest.mark.deep),
        pytest.param("numba_int8 float16 none 0 seqsim", marks=pytest.mark.deep),
    ],
)
def test_the_first_pair_compiles_nothing(case):
    command = [sys.executable, "-c", FIRST_PAIR, *case.split()]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    before, after = map(int, done.stdout.split())
    assert before > 0
    assert after == 0


@pytest.mark.parametrize("enabled", [True, False])
def test_garbage_is_collected_again_even_after_a_fault(enabled, monkeypatch):
    def fails(*_):
        assert not gc.isenabled()
        raise RuntimeError("no compiler")

    monkeypatch.setattr(frame_scores, "compile_for_cpu", fails)
    (gc.enable if enabled else gc.disable)()
    try:
        with pytest.raises(RuntimeError, match="no compiler"):
            HostScores(("seqsim",), "numba", dtw_normalise="none", remove_mean=False).prepare(
                shortlists=False
            )
        assert gc.isenabled() == enabled
    finally:
        gc.enable()


def test_measures_of_mean_frames_need_no_compiler(monkeypatch):
    monkeypatch.setattr(frame_scores, "compile_for_cpu", None)
    scores = HostScores(("meanpool",), "numba", dtw_normalise="none", remove_mean=False)
    scores.prepare(shortlists=False)
