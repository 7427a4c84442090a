"""Answers to single queries, against plain loops, and the scripts that bring them to the page."""

import json
import pathlib
import re

import numpy as np
import pages
import pytest

from isogloss.engine.report import report
from isogloss.engine.retrieval import answers, metrics
from isogloss.engine.runtime.shards import Share
from small_grids import made_grid

pytestmark = pytest.mark.usefixtures("undrawn")

SENTENCES = ("s1", "s2", "s3", "s4", "s5")
PAIRS = (("en", "es"), ("en", "fr"), ("es", "fr"))


def by_loops(scores):
    """Position of the best wrong candidate of each row, and how far the right one is ahead of it."""
    found = []
    for i, row in enumerate(scores):
        best = None
        for j, score in enumerate(row):
            if j != i and (best is None or score > row[best]):
                best = j
        found.append((best, row[i] - row[best]))
    return [list(each) for each in zip(*found, strict=True)]


@pytest.mark.parametrize("seed", range(20))
def test_rivals_are_those_of_loops_on_ties_too(seed):
    scores = np.random.default_rng(seed).integers(0, 3, (6, 6)).astype(np.float64)
    found = answers.rivals(scores)
    ahead = found["ahead"]
    assert [found["rival"].tolist(), ahead.tolist()] == by_loops(scores)
    missed = metrics.ranks(scores)[0] > 1
    assert (missed == (ahead <= 0)).all()


def test_a_hair_is_not_rounded_to_a_tie_nor_a_cost_to_infinity():
    scores = np.array([[1, 1 + 1e-12], [0, 1e6]])
    assert answers.rivals(scores)["ahead"][0] < 0
    assert answers.rivals(scores)["ahead"][1] == 65504
    assert answers.rivals(np.ones((2, 2)))["ahead"].tolist() == [0, 0]


def test_one_candidate_has_no_rival():
    [(rival, ahead)] = answers.rivals(np.ones((1, 1))).tolist()
    assert rival == 0
    assert np.isnan(ahead)


def grid(folder, seed=0):
    rng = np.random.default_rng(seed)
    made = made_grid(folder / "grid.zarr", PAIRS, SENTENCES, states=("0", "final"))
    for pair in range(3):
        for state in range(2):
            made.write(
                pair, state, {name: rng.random((5, 5)).astype(np.float32) for name in ("seqsim", "dtw")}
            )
    return made


def run(grid, **changed):
    config = report.ReportConfig(**{"grid": grid.path, "out": grid.path.parent / "out"} | changed)
    done = report.run(config)
    return done, config.out


def read(path):
    """What a script brings, decoded without the page."""
    name, value = re.fullmatch(
        r"\(globalThis\.isogloss \?\?= \{\}\)\[(.+?)\] = (.+);\n", path.read_text()
    ).groups()
    assert json.loads(name) == path.name
    return json.loads(value)


def unpacked(block, n):
    numbers = np.frombuffer(pages.inflated(block), "<u2").reshape(2, 2, 3, n)
    return numbers[:, :, 0], numbers[:, :, 1], numbers[:, :, 2].view(np.float16)


def test_scripts_hold_the_answer_to_every_query(tmp_path):
    made = grid(tmp_path)
    _, out = run(made)
    [path] = (out / "sentences").glob("en-fr.*.js")
    brought = read(path)
    assert brought["sentences"] == list(SENTENCES)
    assert len(brought["blocks"]) == 6  # two measures, two corrections beside what is not corrected
    for v, (measure, sign) in enumerate((("seqsim", 1), ("dtw", -1))):
        ranks, rivals, ahead = unpacked(brought["blocks"][3 * v], 5)
        for state in range(2):
            scores = sign * made.reading(measure, 1, state).result().astype(np.float64)
            for side, matrix in enumerate((scores, scores.T)):
                assert (ranks[state, side] == metrics.ranks(scores)[side]).all()
                wanted = by_loops(matrix)
                assert rivals[state, side].tolist() == wanted[0]
                np.testing.assert_allclose(ahead[state, side], wanted[1], rtol=2**-10)


def test_scripts_are_resumed_with_their_pair_and_those_of_another_grid_are_removed(tmp_path):
    made = grid(tmp_path)
    _, out = run(made)
    files = {path: path.read_bytes() for path in (out / "sentences").iterdir()}
    assert len(files) == 3
    lost = next(iter(files))
    lost.unlink()
    assert run(made)[0].done == 1
    assert {path: path.read_bytes() for path in (out / "sentences").iterdir()} == files
    page = pages.opened((out / "report.html").read_text())
    assert all(path.name in page for path in files)
    other = pathlib.Path(tmp_path / "other")
    other.mkdir()
    run(grid(other, seed=1), out=out)
    assert len(list((out / "sentences").iterdir())) == 3
    assert not set((out / "sentences").iterdir()) & set(files)


def test_shards_write_their_own_and_only_what_is_asked_for(tmp_path):
    made = grid(tmp_path)
    for index in range(2):
        _, out = run(made, shard_index=index, num_shards=2, answers="uncorrected")
        mine = {
            "-".join(PAIRS[pair]) for i in range(index + 1) for pair in Share(index=i, count=2).of(range(3))
        }
        assert {path.name.split(".")[0] for path in (out / "sentences").iterdir()} == mine
    blocks = read(next((out / "sentences").iterdir()))["blocks"]
    assert [block is None for block in blocks] == [False, True, True] * 2
    done, _ = run(made, answers="none")
    assert not list((out / "sentences").iterdir())
    assert '"answers":[]' in pages.opened(pathlib.Path(done.report).read_text())
