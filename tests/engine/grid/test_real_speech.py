"""Scores of real speech at every state by XLA, as accelerators have them: against float64 and the CPU's form.

Languages are taken in small groups, which have little padding, so that a CPU does in minutes what it would do
in half an hour with groups that fill an accelerator.
"""

import itertools
import pathlib

import jax
import numpy as np
import pytest

from isogloss.engine.activations import extract, language_states, store_languages
from isogloss.engine.bench import oracle
from isogloss.engine.grid.device_scores import DeviceScores
from isogloss.engine.grid.host_scores import HostScores
from isogloss.engine.grid.measures import MEASURES
from isogloss.engine.retrieval import metrics
from isogloss.kernels import operands, reference

CACHE = pathlib.Path(__file__).parents[3] / ".cache"
MODEL, MANIFEST = CACHE / "whisper-base", CACHE / "demo" / "manifest.tsv"
STATES = ("0", "1", "2", "3", "4", "5", "6", "final")
NAMES = ("seqsim", "precision", "recall", "dtw", "meanpool")
SAMPLE = 6  # utterances of a language that are compared with float64
BOUND = 1e-5  # of a score, and of a cost over the cost

FORMS = pytest.mark.parametrize(
    ("form", "removed"),
    list(itertools.product(("stored", "split"), (False, True))),
    ids=["GPU", "GPU, less the mean", "TPU", "TPU, less the mean"],
)

pytestmark = [
    pytest.mark.deep,
    pytest.mark.timeout(5400),
    pytest.mark.skipif(
        not (MODEL.is_dir() and MANIFEST.is_file()), reason="needs the demo's files: make demo"
    ),
]


@pytest.fixture(scope="module")
def languages(tmp_path_factory):
    """The demo's languages, opened for a grid, with the activations of every state."""
    store = tmp_path_factory.mktemp("real") / "store"
    extract.run(extract.ExtractConfig(corpus=f"manifest:{MANIFEST}", model=str(MODEL), store=store))
    return language_states.open_languages(list(store_languages.compared(store, (), "a grid").values()))


@pytest.fixture(autouse=True)
def little_padding(monkeypatch):
    monkeypatch.setattr(language_states, "GROUP", 15)
    monkeypatch.setattr(language_states, "_SIZES", ((0, 15),))


def scored(scorer, *languages):
    return scorer.start(*map(scorer.place, languages))()


def devices(*, removed):
    return DeviceScores(
        NAMES, "xla", remove_mean=removed, scan_bytes=200_000_000, devices=tuple(jax.local_devices()[:1])
    )


@FORMS
@pytest.mark.parametrize("state", STATES)
def test_every_hit_is_that_of_the_cpus_form(languages, state, form, removed, monkeypatch):
    """Whether a query finds its answer first, in either direction, for every pair and measure: all of R@1."""
    monkeypatch.setattr(operands, "form_for", lambda *_: form)
    ours = devices(removed=removed)
    cpus = HostScores(NAMES, "numba", dtw_normalise="none", remove_mean=removed)
    for a, b in itertools.combinations(languages.values(), 2):
        assert a.sentences == b.sentences
        x, y = (language_states.read(member, state) for member in (a, b))
        found, expected = scored(ours, x, y), scored(cpus, x, y)
        for name in NAMES:
            sign = -1 if MEASURES[name].cost else 1
            ranks = [metrics.ranks(sign * scores[name]) for scores in (found, expected)]
            # Ranks far down may differ by one, where two wrong answers tie but for rounding.
            np.testing.assert_array_equal(ranks[0] == 1, ranks[1] == 1, f"{name} {a.language}-{b.language}")
            assert np.abs(ranks[0] - ranks[1]).max() <= 1


@FORMS
def test_errors_of_every_state(languages, form, removed, monkeypatch):
    """SeqSim and DTW of frames as they are stored, against float64; `pytest -s` prints the largest errors."""
    monkeypatch.setattr(operands, "form_for", lambda *_: form)
    ours = devices(removed=removed)
    for state in STATES:
        errors = dict.fromkeys(NAMES, 0.0)
        for a, b in itertools.combinations(languages.values(), 2):
            some = slice(None, None, len(a.rows) // SAMPLE)
            x, y = (language_states.read(member, state)[some] for member in (a, b))
            found = scored(ours, x, y)
            if removed:
                x, y = (reference.remove_language_mean(side) for side in (x, y))
            for (u, one), (v, other) in itertools.product(enumerate(x), enumerate(y)):
                for name, value in exact(one, other).items():
                    off = abs(float(found[name][u, v]) - value) / (value if MEASURES[name].cost else 1)
                    errors[name] = max(errors[name], off)
        print(f"{form}, less the mean: {removed}, state {state}:", {k: f"{e:.1e}" for k, e in errors.items()})
        assert max(errors.values()) <= BOUND, (state, errors)


def exact(x, y):
    """Scores of two utterances, float64."""
    c = oracle.cosines(x, y)
    p, r = c.max(axis=1).mean(), c.max(axis=0).mean()
    means = (side.astype(np.float64).mean(axis=0, keepdims=True) for side in (x, y))
    return {
        "precision": p,
        "recall": r,
        "seqsim": reference.f1(p, r),
        "dtw": oracle.dtw_cost(1 - c),
        "meanpool": float(oracle.cosines(*means)[0, 0]),
    }
