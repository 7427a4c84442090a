"""Folders of runs cut short or ended: what is planned, kept and refused, and the next command."""

import shlex
import shutil

import pytest
import safetensors.numpy
from absl import flags
from drawn_figures import looks
from pyarrow import parquet

from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.training import tune, tune_cost
from isogloss.engine.transcription import transcribe
from isogloss.jobs import command


@pytest.fixture
def ended(tuned, tmp_path, changed):
    """Configuration of a copy of the undisturbed run's folder, which a test may change."""
    shutil.copytree(tuned[0].out, tmp_path / "ended")
    return changed(tuned[0], out=tmp_path / "ended")


def test_a_dry_run_plans_what_is_left_of_a_begun_and_of_an_ended_run(ended, tmp_path, changed, files):
    whole = tune.run(changed(ended, out=tmp_path / "none", dry_run=True))
    assert sorted(path.name for path in (ended.out / "checkpoints").iterdir()) == ["12", "8"]
    none_left = tune.run(changed(ended, dry_run=True))
    assert (none_left.done, none_left.skipped) == (0, 12)
    none = {none_left.plan[name] for name in ("steps", "examples", "step_flops", "flops", "programs")}
    assert none == {0}
    assert none_left.plan["estimated_seconds"] == 0
    shutil.rmtree(ended.out / "checkpoints" / "12")
    (ended.out / "model.safetensors").unlink()
    (ended.out / "checkpoints" / "12.orbax-checkpoint-tmp").mkdir()
    before = files(ended.out)
    begun = tune.run(changed(ended, dry_run=True))
    assert (begun.done, begun.skipped) == (0, 8)
    assert (begun.plan["steps"], begun.plan["examples"]) == (4, 16)
    assert begun.plan["flops"] == 4 * begun.plan["step_flops"]
    assert none_left.plan["bytes"] < begun.plan["bytes"] < whole.plan["bytes"]
    assert files(ended.out) == before
    assert (ended.out / "checkpoints" / "12.orbax-checkpoint-tmp").is_dir()


@pytest.mark.parametrize("dry_run", [False, True])
def test_the_disk_is_asked_for_what_is_left(ended, changed, monkeypatch, dry_run):
    asked = []
    monkeypatch.setattr(tune.disk_space, "require", lambda out, needed, *_: asked.append(needed))
    summary = tune.run(changed(ended, dry_run=dry_run))
    # A model of which a second lies there while it is replaced.
    assert (
        asked
        == [summary.plan["bytes"]]
        == [4 * sum(v.size for v in safetensors.numpy.load_file(ended.out / "model.safetensors").values())]
    )


def test_a_run_whose_checkpoints_were_deleted_is_not_trained_again(ended, changed, files):
    shutil.rmtree(ended.out / "checkpoints")
    assert tune.run(changed(ended, dry_run=True)).plan["bytes"] == 0
    names = ("model.safetensors", "steps.parquet", "average-0.5/model.safetensors")
    before = {name: (files(ended.out)[name], (ended.out / name).stat().st_mtime_ns) for name in names}
    summary = tune.run(changed(ended, figure_width=3.5))
    assert (summary.done, summary.skipped, len(summary.models)) == (0, 12, 2)
    assert summary.dev_loss < summary.dev_loss_before
    assert before == {n: (files(ended.out)[n], (ended.out / n).stat().st_mtime_ns) for n in names}
    assert looks(ended.out / "losses.svg")[0] == 3.5
    assert not (ended.out / "checkpoints").exists()
    for shares, lacking in ((("0", "0.25"), "0.25"), (("0.5",), "0.5")):
        with pytest.raises(
            Refusal, match=rf"no checkpoints.*the model of --average={lacking}\. .*train again"
        ):
            tune.run(changed(ended, average=shares))
    (ended.out / "model.safetensors").unlink()
    assert tune.run(changed(ended, dry_run=True)).plan["steps"] == 12


def test_a_folder_where_the_figure_goes_is_refused_before_anything_else(tuned, tmp_path, changed, files):
    (tmp_path / "out" / "losses.svg").mkdir(parents=True)
    with pytest.raises(Refusal, match=r"losses\.svg: is a folder, and a figure goes there"):
        tune.run(changed(tuned[0], out=tmp_path / "out"))
    assert not files(tmp_path / "out")


@pytest.mark.parametrize(
    "weights",
    ["model.safetensors", "pytorch_model.bin", "model-00001-of-00002.safetensors", "average-0.5/config.json"],
)
def test_a_model_that_is_not_of_the_job_is_not_written_over(tuned, tmp_path, changed, files, weights):
    file = tmp_path / "base" / weights
    file.parent.mkdir(parents=True)
    file.write_bytes(b"a user's")
    with pytest.raises(
        Refusal, match=rf"{file.parent}: holds a model that tune hasn't made: {file.name}\. .*another --out$"
    ):
        tune.run(changed(tuned[0], out=tmp_path / "base"))
    assert list(files(tmp_path / "base")) == [weights]


def next_command(summary, config):
    """Configuration of transcribe from the last sentence of a run, as its flags are parsed."""
    python, module, job, *given = shlex.split(summary.sentence(config).partition("; next: ")[2])
    assert (python, module, job) == ("python", "-m", "isogloss.jobs.transcribe")
    holder = flags.FlagValues()
    command.define(transcribe.TranscribeConfig, holder)
    assert holder([job, *given]) == [job]
    return command.configuration(transcribe.TranscribeConfig, holder, {})


def test_the_next_command_decodes_what_was_held_out_as_it_was_taught(tuned, tmp_path, changed):
    config, summary = tuned
    asked = next_command(summary, config)
    assert (asked.task, asked.language, asked.references, asked.window) == ("translate", "fr", "fr", 0)
    found = transcribe.run(changed(asked, out=tmp_path / "texts"))
    assert (found.complete, found.done) == (True, 2)
    rows = parquet.read_table(tmp_path / "texts" / "transcripts.parquet").to_pylist()
    assert {(row["language"], row["state"]) for row in rows} == {("en", "final")}
    assert {row["sentence"] for row in rows} == set((config.out / "held_out.txt").read_text().split())


def test_the_next_command_of_other_options(tuned, tmp_path, changed, monkeypatch):
    monkeypatch.setattr(tune_cost, "here", lambda planned, *_: {})
    other = changed(
        tuned[0], out=tmp_path / "out", dry_run=True, window=90, states=("1",), exit_norm=False,
        language_token="source", stand_in=("fr=de",), compute="float32", dev_share=0.0,
    )  # fmt: skip
    asked = next_command(tune.run(other), other)
    assert (asked.language, asked.stand_in, asked.sentences) == ("per-utterance", ("fr=de",), None)
    assert (asked.window, asked.states, asked.exit_norm, asked.compute) == (90, ("1",), "false", "float32")
    texts = tmp_path / "texts.tsv"
    texts.write_text("language\tsentence\ttext\ttarget_language\nen\ts3\tloquedigo\tzh\n")
    table = changed(other, texts=texts, target="zh", language_token="target", stand_in=("zh=fr",))
    asked = next_command(tune.run(table), table)
    assert (str(asked.store), asked.language, asked.stand_in) == ("STORE_WITH_zh", "fr", ())
    assert asked.references == "zh"
