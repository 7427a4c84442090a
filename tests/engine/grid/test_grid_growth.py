"""A grid whose languages or recordings change: unchanged pairs stay, all scores are those of a new grid."""

import dataclasses
import shutil

import pytest
import xarray as xr

from isogloss.engine.activations import extract
from isogloss.engine.grid import grid, grid_plan, grid_store
from isogloss.engine.report import report
from isogloss.engine.runtime import zarr_growth

pytestmark = pytest.mark.usefixtures("undrawn")


class Made:
    """Corpus, store and grid in a folder, made by the same commands whenever lines of the corpus change."""

    def __init__(self, folder, speech, model):
        shutil.copytree(speech.parent, folder / "speech")
        self.folder, self.manifest = folder, folder / "speech" / "speech.tsv"
        self.header, *self.lines = speech.read_text().splitlines()
        corpus = f"manifest:{self.manifest}"
        self.extract = extract.ExtractConfig(
            corpus=corpus, model=str(model), store=folder / "store", states=("0", "final")
        )
        self.config = grid.GridConfig(
            store=folder / "store", grid=folder / "grid.zarr", measures=("seqsim",), memory_gb=1.0
        )

    def speak(self, *without):
        """Extract the corpus without some (language, sentence), either of which may be None for all."""
        lines = [
            line
            for line in self.lines
            if not any(
                (None in (a, b) and {a, b} & set(line.split("\t")[:2])) or [a, b] == line.split("\t")[:2]
                for a, b in without
            )
        ]
        self.manifest.write_text("\n".join([self.header, *lines]) + "\n")
        assert extract.run(self.extract).complete

    def dataset(self):
        """The grid's scores in the order of a new grid."""
        found = xr.open_zarr(self.config.grid).load()
        found = found.sortby("pair").sortby("query").sortby("candidate")
        used = found.isel(sentence=(found.recording != "").any("language").values).sentence.values
        return found.sel(query=sorted(used), candidate=sorted(used))[["seqsim", "n_common"]]


@pytest.fixture
def made(tmp_path, speech, model_folder):
    return Made(tmp_path / "made", speech, model_folder)


@pytest.fixture(scope="module")
def fresh(tmp_path_factory, speech, model_folder):
    """The whole corpus in one go."""
    whole = Made(tmp_path_factory.mktemp("fresh") / "made", speech, model_folder)
    whole.speak()
    grid.run(whole.config)
    return whole


def assert_as_new(made, fresh, tmp_path):
    """Scores by label, and the report to its bytes."""
    xr.testing.assert_identical(made.dataset().drop_attrs(), fresh.dataset().drop_attrs())
    tables = []
    for each in (made, fresh):
        out = tmp_path / f"report-{each.folder.parent.name}"
        report.run(report.ReportConfig(grid=each.config.grid, out=out))
        tables.append((out / "retrieval.csv").read_text())
    assert tables[0] == tables[1]
    opened = [grid_store.open_grid(each.config.grid) for each in (made, fresh)]
    assert opened[0].pairs == opened[1].pairs
    assert opened[0].sentences == opened[1].sentences


def done_again(before, after):
    """Pairs that are new or were written again."""
    return {path.name.split(".")[1] for path, at in after.items() if before.get(path) != at}


def test_a_language_more_leaves_the_pairs_there(made, fresh, tmp_path, written):
    made.speak(("cc", None))
    assert grid.run(made.config).done == 2
    before = written(made.config.grid, "seqsim/c.*")
    made.speak()
    assert grid.run(dataclasses.replace(made.config, dry_run=True)).plan["units"] == 4
    summary = grid.run(made.config)
    assert (summary.done, summary.skipped, summary.changes) == (4, 2, {})
    assert done_again(before, written(made.config.grid, "seqsim/c.*")) == {"1", "2"}
    assert_as_new(made, fresh, tmp_path)
    assert grid.run(made.config).done == 0


@pytest.mark.deep
def test_pairs_are_added(made, fresh, tmp_path):
    made.speak()
    for pair in ("bb-cc", "aa-bb", "aa-cc"):
        assert grid.run(dataclasses.replace(made.config, pairs=(pair,))).done == 2
    assert_as_new(made, fresh, tmp_path)


@pytest.mark.deep
def test_a_sentence_more_makes_the_pairs_of_its_languages_again(made, fresh, tmp_path, caplog, written):
    """s0 comes first in the corpus and last on the axis; "cc" has no s4, which "aa" gets back, too."""
    made.speak((None, "s0"), ("aa", "s4"))
    assert grid.run(made.config).done == 6
    made.speak(("cc", "s0"), ("bb", "s0"))
    before = written(made.config.grid, "seqsim/c.*")
    summary = grid.run(made.config)
    assert (summary.done, summary.skipped) == (4, 2)
    assert summary.changes == {"aa": "2 sentences more: s0, s4"}
    text = (
        "aa: since the grid was made, its store has 2 sentences more: s0, s4; to be made again: aa-bb, aa-cc"
    )
    assert text in caplog.text
    assert done_again(before, written(made.config.grid, "seqsim/c.*")) == {"0", "1"}
    made.speak()
    dry = grid.run(dataclasses.replace(made.config, dry_run=True))
    assert (dry.plan["units"], dry.changes) == (6, {"bb": "1 sentence more: s0", "cc": "1 sentence more: s0"})
    assert grid.run(made.config).done == 6
    assert_as_new(made, fresh, tmp_path)


@pytest.mark.deep
def test_a_sentence_fewer_and_back(made, fresh, tmp_path):
    made.speak()
    grid.run(made.config)
    made.speak(("aa", "s2"), (None, "s5"))
    assert grid.run(made.config).changes["aa"] == "2 sentences fewer: s2, s5"
    grown = grid_store.open_grid(made.config.grid)
    assert grown.sentences == ("s0", "s1", "s2", "s3", "s4", "s6")
    assert dict(zip(grown.pairs, grown.common, strict=True))["aa", "bb"] == 5
    made.speak()
    grid.run(made.config)
    assert_as_new(made, fresh, tmp_path)


def test_what_is_stale_is_not_reported(made, tmp_path):
    """Only one pair of the changed language is asked for; the other is named as not computed."""
    made.speak(("bb", "s1"))
    grid.run(made.config)
    made.speak()
    summary = grid.run(dataclasses.replace(made.config, pairs=("aa-bb",)))
    assert (summary.done, summary.changes) == (2, {"bb": "1 sentence more: s1"})
    out = report.run(report.ReportConfig(grid=made.config.grid, out=tmp_path / "report"))
    assert out.missing == {"bb-cc seqsim": 2}
    assert grid.run(made.config).done == 2


def test_parts_of_a_report_stay_for_pairs_that_stay(made, tmp_path):
    made.speak(("cc", None))
    grid.run(made.config)
    config = report.ReportConfig(grid=made.config.grid, out=tmp_path / "report")
    report.run(config)
    made.speak()
    grid.run(made.config)
    assert (report.run(config).done, report.run(config).skipped) == (2, 3)


def test_interrupted_before_its_labels_change_it_grows_the_next_time(made, fresh, tmp_path, monkeypatch):
    """Stale scores are gone by then, and the old labels hold for the others."""
    made.speak(("bb", "s1"))
    grid.run(made.config)
    made.speak()
    with monkeypatch.context() as killed:
        killed.setattr(zarr_growth, "_in_order", interrupt)
        with pytest.raises(KeyboardInterrupt):
            grid.run(made.config)
    opened = grid_store.open_grid(made.config.grid)
    assert {opened.pairs[pair] for pair, _ in opened.done()} == {("aa", "cc")}
    assert grid.run(made.config).done == 4
    assert_as_new(made, fresh, tmp_path)


@pytest.mark.deep
def test_a_grid_of_format_2_gets_pairs(made, fresh, tmp_path, monkeypatch):
    made.speak()
    with monkeypatch.context() as old:
        old.setattr(grid_store, "FORMAT", 2)
        old.setattr(grid.GridLanguage, "recordings", lambda self: {})
        old.setattr(grid_plan, "plan", without_recordings(grid_plan.plan))
        grid.run(dataclasses.replace(made.config, pairs=("aa-bb",)))
    assert grid.run(dataclasses.replace(made.config, pairs=("aa-bb",))).done == 0
    with pytest.raises(ValueError, match=r"earlier version, .* what aa is made of\. Name all languages"):
        grid.run(dataclasses.replace(made.config, pairs=("bb-cc",)))
    assert grid.run(made.config).done == 4
    assert_as_new(made, fresh, tmp_path)


def interrupt(*args):
    raise KeyboardInterrupt


def without_recordings(plan):
    return lambda *args: dataclasses.replace(plan(*args), recordings={})
