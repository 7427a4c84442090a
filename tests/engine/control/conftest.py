"""A small parallel corpus of made-up languages, a grid of its sentences, and readers that need no model."""

import itertools
import types

import numpy as np
import pytest

from isogloss.engine.control import control
from isogloss.engine.texts import meaning, phones
from small_grids import made_grid

N = 12
LANGUAGES = ("aa", "bb", "cc")
PAIRS = (("aa", "bb"), ("aa", "cc"), ("bb", "cc"))
SENTENCES = tuple(map(str, range(N)))
NAMED, NUMBERED, ALIKE = "3", "5", "7"


class Letters(phones.Phones):
    """Phones that are letters; every language has a voice."""

    def __init__(self):
        pass

    def of(self, language, words):
        return {word: tuple(word) for word in words}


def text(language, sentence):
    """Words of one language alone, but for a number in one sentence and a name in another."""
    letters = {"aa": "abcd", "bb": "efgh", "cc": "ijkl"}[language]
    rng = np.random.default_rng([LANGUAGES.index(language), int(sentence)])
    words = ["".join(rng.choice(list(letters), rng.integers(2, 6))) for _ in range(rng.integers(3, 7))]
    more = {NUMBERED: ["2"], ALIKE: ["televisor" if language == "aa" else "televizor"]}
    return " ".join([*words, *more.get(sentence, [])])


def encoder(languages=None):
    """A direction for each sentence, by its number, no two pairs of which are equally far apart."""
    place = {text(language, sentence): int(sentence) for language in LANGUAGES for sentence in SENTENCES}
    vectors = np.eye(N) + 0.1 * np.random.default_rng(4).random((N, N))
    return meaning.SentenceEncoder(
        "numbers", lambda texts: vectors[[place[each] for each in texts]], languages
    )


def frames():
    rng = np.random.default_rng(5)
    return {code: {s: int(rng.integers(50, 400)) for s in SENTENCES} for code in LANGUAGES}


def filled(path, states, seed, hit=0.7):
    """Grid of random scores in which some sentences find their translation."""
    grid = made_grid(
        path, PAIRS, SENTENCES, states=states, measures=("seqsim",), frames=frames(), model=path.stem
    )
    rng = np.random.default_rng(seed)
    for pair in range(len(PAIRS)):
        for state in range(len(states)):
            scores = rng.random((N, N)).astype(np.float32)
            grid.write(pair, state, {"seqsim": scores + np.diag(rng.random(N) < hit).astype(np.float32)})
    return path


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    """Paths of a corpus and of two grids, and the configuration of a run, which draws no figure."""
    tmp_path = tmp_path_factory.mktemp("control")
    patch = pytest.MonkeyPatch()
    patch.setattr(control.phones, "Phones", Letters)
    patch.setattr(control.meaning, "load", lambda name: None if name == "none" else encoder())
    patch.setattr(control.outputs.figures, "drawn", lambda factors, control: {})
    rows = ["language\tsentence\taudio\ttranscription"]
    for language in LANGUAGES:
        for sentence in SENTENCES:
            (tmp_path / f"{language}{sentence}.wav").touch()
            rows.append(f"{language}\t{sentence}\t{language}{sentence}.wav\t{text(language, sentence)}")
    (tmp_path / "manifest.tsv").write_text("\n".join(rows) + "\n")
    names = ["language\tsentence\tname", f"aa\t{NAMED}\tHalifax", "aa\t1\tVeuillez", f"bb\t{NAMED}\tHalifax"]
    (tmp_path / "names.tsv").write_text("\n".join([*names, "bb\t0\t"]) + "\n")
    grid = filled(tmp_path / "base.zarr", ("0", "1", "2", "final"), 0)
    other = filled(tmp_path / "tiny.zarr", ("0", "1", "final"), 1)

    runs = itertools.count()

    def configure(**changes):
        options = {
            "grid": grid,
            "corpus": f"manifest:{tmp_path}/manifest.tsv",
            "out": tmp_path / f"out{next(runs)}",
            "names": (f"table:{tmp_path}/names.tsv",),
            "curve": ("0.5", "1.0"),
        }
        return control.ControlConfig(**(options | changes))

    yield types.SimpleNamespace(configure=configure, grid=grid, other=other, folder=tmp_path)
    patch.undo()
