"""A run that is launched again asks its stores, grids and folders what is missing, not only its records."""

import os
import shutil

import pytest

from isogloss.engine.activations import store_languages
from isogloss.engine.cluster import results
from isogloss.engine.cluster.steps import Step
from isogloss.engine.corpora import audio
from isogloss.engine.runtime import written_once

STEPS = ("extract", "grid", "report")


def written(out, mark, name):
    """A file of a report with the mark of what was written."""
    (out / "parts").mkdir(parents=True)
    written_once.write(out, mark, "figures", (out / name).touch)


@pytest.fixture
def made(tmp_path, spoken, speech):
    """Folder of a corpus, and of the store, the grid and the report that were made of it."""
    folder = tmp_path / "made"
    for name in ("store", "grid.zarr"):
        shutil.copytree(spoken / name, folder / name)
    written(folder / "report", "report", "report.html")
    shutil.copy(speech, folder / "speech.tsv")
    for path in speech.parent.glob("*.wav"):
        (folder / path.name).symlink_to(path)
    return folder


@pytest.fixture
def launch(fake, made):
    """Function that launches the three jobs, which only end with 0; names of the steps that were started."""
    flags = {
        "extract": f"--corpus=manifest:{made}/speech.tsv\n--model=none\n--store={made}/store\n",
        "grid": f"--store={made}/store\n--grid={made}/grid.zarr\n",
        "report": f"--grid={made}/grid.zarr\n--out={made}/report\n",
    }

    def launch(**options):
        before = len(fake.calls)
        fake.launch(*STEPS, flags=flags, **options)
        started = fake.calls[before:]
        assert len(started) == 2 * len({call.split("-")[0] for call in started}), "a step is started whole"
        return [step for step in STEPS if f"{step}-0" in started]

    assert launch() == [*STEPS]
    return launch


def test_nothing_is_started_where_all_is_there(launch):
    assert launch() == []


def test_a_shard_that_verify_removed(launch, made, caplog):
    (made / "store" / "bb.zarr" / "states" / "c.3.0.0.0").unlink()
    assert launch() == [*STEPS]
    assert f"extract: {made}/store lacks 1 of 20 utterances; all of its tasks are started" in caplog.text


def test_also_where_another_task_of_the_step_is_not_done(launch, made, fake):
    (made / "store" / "bb.zarr" / "states" / "c.3.0.0.0").unlink()
    (fake.run / "exit" / "extract-1").write_text("3\n")
    assert launch() == [*STEPS]


def test_scores_that_verify_removed(launch, made, caplog):
    (made / "grid.zarr" / "seqsim" / "c.1.0.0.0").unlink()
    assert launch() == ["grid", "report"]
    assert "lacks 1 of 6 units" in caplog.text


def test_a_unit_that_failed_lacks_only_where_no_task_says_so(made):
    (made / "grid.zarr" / "seqsim" / "c.1.0.0.0").unlink()
    (made / "grid.zarr" / "failed").mkdir()
    (made / "grid.zarr" / "failed" / "1.0.json").write_text('{"unit": "aa-cc state 1", "error": "damaged"}')
    step = Step(
        name="grid",
        job="grid",
        flags=f"--store={made}/store\n--grid={made}/grid.zarr\n",
        tasks=2,
        sharded=True,
    )
    assert "lacks 1 of 6 units" in results.lacking(step, whole=True)
    assert not results.lacking(step, whole=False)


@pytest.mark.parametrize(
    ("gone", "steps"),
    [
        ("report/report.html", 1),
        ("report/parts/report.json", 1),
        ("grid.zarr", 2),
        ("store/cc.zarr", 3),
        ("store", 3),
    ],
)
def test_results_that_are_gone(launch, made, gone, steps):
    path = made / gone
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert launch() == [*STEPS[-steps:]]


@pytest.mark.parametrize("language", ["cc", "dd"])
def test_a_corpus_that_has_grown(launch, made, caplog, language):
    with (made / "speech.tsv").open("a") as file:
        file.write(f"{language}\tnew\taa-1.wav\tnew\n")
    assert launch() == [*STEPS]
    assert ("new.0 of cc" if language == "cc" else "has no dd") in caplog.text


def test_a_recording_that_was_replaced_under_its_name(launch, made, caplog, monkeypatch):
    opened = []
    real = audio.FileSource.open
    monkeypatch.setattr(audio.FileSource, "open", lambda source: opened.append(source.name) or real(source))
    monkeypatch.setattr(results, "_CLOCKS", -3600.0)
    assert launch() == []
    assert not opened, "files older than the store's labels"
    monkeypatch.setattr(results, "_CLOCKS", 60.0)
    (made / "aa-1.wav").unlink()
    (made / "aa-1.wav").write_bytes((made / "aa-2.wav").read_bytes())
    os.utime(made / "aa-1.wav", (0, 0))
    assert launch() == [*STEPS]
    assert "the corpus has 1 recording changed: s1.0 of aa" in caplog.text


def test_a_corpus_that_is_gone_leaves_the_records(launch, made, caplog):
    (made / "speech.tsv").unlink()
    assert launch() == []
    assert "whether the corpus has grown isn't known" in caplog.text


def test_a_language_with_which_no_process_has_begun_where_the_corpus_is_gone(launch, made, caplog):
    origin = {"model": "tiny", "weights_sha256": "ab", "settings": {}}
    store_languages.plan(made / "store", {"aa": 7, "dd": 7}, origin)
    (made / "speech.tsv").unlink()
    assert launch() == [*STEPS]
    assert f"{made}/store has no dd" in caplog.text


def test_a_step_of_convert_is_asked_for_its_store(made):
    flags = f"--corpus=manifest:{made}/speech.tsv\n--arrays=arrays\n--store={made}/store\n"
    step = Step(name="convert", job="convert", flags=flags, tasks=2, sharded=True)
    assert not results.lacking(step, whole=True)
    (made / "store" / "bb.zarr" / "states" / "c.3.0.0.0").unlink()
    assert results.lacking(step, whole=True) == f"{made}/store lacks 1 of 20 utterances"
    shutil.rmtree(made / "store" / "cc.zarr")
    assert results.lacking(step, whole=True) == f"{made}/store has no cc"


def test_a_store_that_has_grown_since_the_grid(launch, made, caplog):
    """By extract with other flags, or by hand."""
    shutil.copytree(made / "store" / "cc.zarr", made / "store" / "dd.zarr")
    with (made / "speech.tsv").open("a") as file:
        file.writelines(f"dd\ts{i}\tcc-{i}.wav\ttext\n" for i in range(7) if i != 4)
    assert launch() == ["grid", "report"]
    assert f"{made}/store has grown since {made}/grid.zarr was made: dd" in caplog.text


def test_a_step_of_some_pairs_lacks_nothing_else(fake, made):
    shutil.copytree(made / "store" / "cc.zarr", made / "store" / "dd.zarr")
    flags = {"grid": f"--store={made}/store\n--grid={made}/grid.zarr\n--pairs=aa-bb,aa-cc\n"}
    fake.launch("grid", flags=flags)
    calls = len(fake.calls)
    fake.launch("grid", flags=flags)
    assert len(fake.calls) == calls


@pytest.mark.parametrize("gone", ["curves.svg", "parts/report.json"])
def test_a_report_of_several_grids_has_no_page_of_its_own(fake, made, gone):
    shutil.copytree(made / "grid.zarr", made / "other.zarr")
    written(made / "both", "report", "curves.svg")
    flags = {"report": f"--grid={made}/grid.zarr,{made}/other.zarr\n--out={made}/both\n"}
    fake.launch("report", flags=flags)
    calls = len(fake.calls)
    fake.launch("report", flags=flags)
    assert len(fake.calls) == calls
    (made / "both" / gone).unlink()
    fake.launch("report", flags=flags)
    assert len(fake.calls) == 2 * calls


def test_what_is_in_the_queue_is_not_submitted_twice(slurm, fake, made):
    (fake.folder / "codes" / "wait").touch()
    fake.codes(extract_0=["wait"])
    flags = {"extract": f"--corpus=manifest:{made}/speech.tsv\n--model=none\n--store={made}/store\n"}
    options = {"flags": flags, "cluster": "slurm", "rounds": 1}
    assert fake.launch("extract", **options).submitted == 1
    (made / "store" / "bb.zarr" / "states" / "c.3.0.0.0").unlink()
    assert fake.launch("extract", **options).submitted == 0
    slurm.until((fake.run / "exit" / "extract-1").exists)
    assert fake.launch("extract", **options).submitted == 0
    (fake.folder / "codes" / "wait").unlink()
    slurm.finish()
    assert fake.launch("extract", **options).submitted == 1
    slurm.finish()
    assert sorted(fake.calls) == ["extract-0"] * 2 + ["extract-1"] * 2
