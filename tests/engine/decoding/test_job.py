"""What transcribe and align share: shares of the work, resuming, other settings, kills."""

import dataclasses
import json
import pathlib
import shutil
import types

import pandas as pd
import pyarrow.parquet as pq
import pytest
from drawn_figures import looks

from isogloss.engine.alignment import align
from isogloss.engine.corpora import audio, estimated_lengths
from isogloss.engine.runtime import written_once
from isogloss.engine.transcription import transcribe

PARTS = "parts/[!.]*.parquet"  # no drafts
OTHER = {"transcribe": ({"num_beams": 2}, {"exit_norm": "true"}), "align": ({"text": "decoded"},)}
OWN = {"out", "done", "skipped", "seconds", "audio_seconds_per_second", "plan", "programs"}  # of a run
JOBS = {"transcribe": transcribe.TranscribeJob, "align": align.AlignJob}
WRITES = {"transcribe": "summary", "align": "table"}  # field of the path of its main table


@pytest.fixture(params=OTHER)
def whole(request, transcribed, aligned):
    """A job, its configuration, and its summary of an undisturbed run."""
    config, summary = {"transcribe": transcribed, "align": aligned}[request.param]
    run = {"transcribe": transcribe.run, "align": align.run}[request.param]
    return types.SimpleNamespace(name=request.param, run=run, config=config, summary=summary)


@pytest.fixture
def again(whole, tmp_path):
    """Configuration to run again in a copy of the results."""
    shutil.copytree(whole.config.out, tmp_path / "out")
    return dataclasses.replace(whole.config, out=tmp_path / "out")


def results(whole, summary):
    """Fields of the results, and not of one run."""
    return {key: value for key, value in vars(summary).items() if key not in OWN | {WRITES[whole.name]}}


def test_a_second_run_does_nothing_and_a_lost_part_is_made_again(whole, again, files, written):
    made, times = files(whole.config.out), written(again.out, "*.*")
    second = whole.run(again)
    assert (second.done, second.skipped) == (0, 20)
    assert results(whole, second) == results(whole, whole.summary)
    assert files(again.out) == made
    lost = sorted(again.out.glob(PARTS))[1]
    lost.unlink()
    third = whole.run(again)
    assert (third.done, third.skipped) == (7, 13)
    assert files(again.out) == made
    settings = again.out / f"{whole.name}.json"
    new = {path for path, time in written(again.out, "*.*").items() if times.get(path) != time}
    assert new == {lost, settings}


def test_tables_of_other_parts_and_lost_ones_are_written_again(whole, again, files):
    made, table = files(whole.config.out), pathlib.Path(vars(whole.summary)[WRITES[whole.name]]).name
    (again.out / table).unlink()
    assert whole.run(again).done == 0
    assert files(again.out) == made
    # As a part that was made again with another content, and the same key: a recording that has recovered.
    part = sorted(again.out.glob(PARTS))[0]
    rows = pq.read_table(part)
    pq.write_table(rows.slice(0, rows.num_rows - 4), part)
    assert whole.run(again).done == 0
    assert files(again.out)[table] != made[table]


@pytest.mark.parametrize("another", ["isogloss_version", "isogloss_commit"])
def test_another_version_writes_tables_again(whole, again, written, monkeypatch, another):
    monkeypatch.setattr(written_once.version, another, lambda: "another")
    before = written(again.out, "*.parquet")
    assert whole.run(again).done == 0
    after = written(again.out, "*.parquet")
    table = again.out / pathlib.Path(vars(whole.summary)[WRITES[whole.name]]).name
    assert before[table] < after[table]


def test_other_figures_are_drawn_again(transcribed, tmp_path):
    config, _ = transcribed
    shutil.copytree(config.out, tmp_path / "out")
    assert transcribe.run(dataclasses.replace(config, out=tmp_path / "out", figure_width=3.5)).done == 0
    assert looks(tmp_path / "out" / "exits_aa.svg")[0] == 3.5


def test_shards_divide_the_units_and_the_last_writes_the_tables(whole, tmp_path, files):
    halves = [dataclasses.replace(whole.config, out=tmp_path, shard_index=i, num_shards=2) for i in (1, 0)]
    done = [whole.run(half) for half in halves]
    path = WRITES[whole.name]
    assert [(d.done, d.waiting, vars(d)[path] is None) for d in done] == [(13, 1, True), (7, 0, False)]
    assert pathlib.Path(vars(done[1])[path]).is_file()
    assert files(tmp_path) == files(whole.config.out)


@pytest.mark.deep
def test_rows_of_a_step_may_change_between_runs(whole, again, files):
    """Finished units stay as they are; of new ones only the last bits of probabilities may differ."""
    kept = {path: path.read_bytes() for path in sorted(again.out.glob(PARTS))[:2]}
    sorted(again.out.glob(PARTS))[2].unlink()
    rest = whole.run(dataclasses.replace(again, decoder_rows=3))
    assert (rest.done, rest.skipped, rest.plan["decoder_rows"]) == (6, 14, 3)
    assert {path: path.read_bytes() for path in kept} == kept
    assert files(again.out).keys() == files(whole.config.out).keys()
    for file in whole.config.out.glob("*.parquet"):
        found, made = (pd.read_parquet(out / file.name) for out in (again.out, whole.config.out))
        pd.testing.assert_frame_equal(found, made, rtol=1e-5)


def test_results_of_other_settings_are_not_mixed(whole):
    for change in OTHER[whole.name]:
        with pytest.raises(ValueError, match="holds results of other settings"):
            whole.run(dataclasses.replace(whole.config, **change))


def test_a_model_is_known_by_its_weights_wherever_they_lie(whole, again, tmp_path, files):
    shutil.copytree(whole.config.model, tmp_path / "renamed")
    moved = whole.run(dataclasses.replace(again, model=str(tmp_path / "renamed")))
    assert (moved.done, moved.skipped) == (0, 20)
    settings = f"{whole.name}.json"
    assert json.loads((again.out / settings).read_text())["model"] == "renamed"
    found, made = (files(out) for out in (again.out, whole.config.out))
    assert {name for name in made if found[name] != made[name]} == {settings}


def test_dry_run_of_what_is_done_takes_no_time(whole, again):
    done = whole.run(dataclasses.replace(again, dry_run=True))
    assert (done.plan["utterances"], done.plan["estimated_seconds"]) == (0, 0)


def test_dry_run_writes_nothing(whole, tmp_path):
    done = whole.run(dataclasses.replace(whole.config, out=tmp_path / "never", dry_run=True))
    exits = {"transcribe": 4, "align": 1}[whole.name]
    assert [done.plan[name] for name in ("units", "utterances", "exits")] == [3, 20, exits]
    assert done.plan["encoder_flops"] > 0
    assert done.plan["decoder_flops"] > 0
    # So little work takes no tenth of a second: this is the time that its programs take to compile.
    assert done.plan["estimated_seconds"] > 0
    assert done.done == 0
    assert not (tmp_path / "never").exists()


def test_a_dry_run_that_estimates_lengths_knows_what_is_done(whole, again, monkeypatch, caplog):
    """Keys of parts depend on lengths; those of a run stand beside its parts."""

    def guess(listing, axis, *, estimate):
        assert estimate
        return (axis.window_samples // 2,) * len(listing.utterances), len(listing.utterances)

    monkeypatch.setattr(estimated_lengths, "lengths", guess)
    dry = dataclasses.replace(again, dry_run=True)
    with monkeypatch.context() as patch:
        patch.setattr(audio, "decode", lambda *given: pytest.fail("audio was fetched"))
        every = lambda job, part: set(part["utterance"].to_pylist())  # noqa: E731 broken ones aren't tried again
        patch.setattr(JOBS[whole.name], "without_states", every)
        done = whole.run(dry)
    assert [done.plan[name] for name in ("units", "utterances", "estimated_lengths")] == [0, 0, 20]
    assert done.failed == whole.summary.failed
    assert "the lengths of 20 recordings are estimated" in caplog.text
    (again.out / "parts" / "languages" / "bb.json").unlink()
    assert whole.run(dry).plan["units"] == 1  # whether its part is of these recordings isn't known


MOMENTS = ((PARTS, 1), ("*.csv", 1))


@pytest.mark.parametrize("whole", ["transcribe", "align"], indirect=True)
@pytest.mark.parametrize("moments", [MOMENTS[:1], pytest.param(MOMENTS, marks=pytest.mark.deep)])
def test_killed_and_run_again_as_a_real_process(whole, job, tmp_path, files, written, moments):
    """Killed with one part on disk, and while tables are written; then it runs to its end."""
    config, out, parts = whole.config, tmp_path / "out", {}
    process = job(
        whole.name, f"--corpus={config.corpus}", f"--model={config.model}", f"--out={out}",
        f"--states={','.join(config.states) or 'all'}", f"--exit_norm={config.exit_norm}",
        f"--stand_in={','.join(config.stand_in)}",
    )  # fmt: skip
    assert whole.summary.done == 20
    for pattern, count in moments:
        assert process.killed_in(
            out, lambda pattern=pattern, count=count: len(written(out, pattern)) >= count
        )
        after = written(out, PARTS)
        assert parts.items() <= after.items(), "something done was lost or done again"
        parts = after
    (out / "summary.parquet").unlink(missing_ok=True)
    done = process.here()
    assert done["done"] + done["skipped"] == 20
    assert parts.items() <= written(out, PARTS).items()
    assert done["skipped"] == 20 or len(parts) < 3
    found, expected = files(out), files(config.out)
    assert found.keys() == expected.keys()  # no draft of a killed process, neither
    # Fonts of PDFs keep their tables for shaping where no test takes them out.
    assert {name for name in found if found[name] != expected[name]} <= {
        name for name in found if name.endswith(".pdf")
    }
