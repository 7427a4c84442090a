"""Penalties of whole runs on a tiny random model of bytes: none, huge, taken from an earlier run, resumed."""

import numpy as np
import pytest
import safetensors.numpy

from isogloss.engine.runtime import out_folder
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.training import fisher_files, tune, tune_input


def tensors(folder):
    return safetensors.numpy.load_file(folder / "model.safetensors")


def moved(folder, start):
    """Largest change of a decoder's number."""
    ours, theirs = tensors(folder), tensors(start)
    return max(
        np.abs(ours[f"model.{name}"] - theirs[name]).max() for name in theirs if name.startswith("decoder.")
    )


@pytest.mark.deep
def test_a_lambda_of_zero_changes_no_bit_and_a_huge_one_moves_nothing_that_old_tasks_weigh(
    tuned, tuning, tmp_path, reader
):
    none = tuning(tmp_path / "none", ewc=0.0, ewc_tasks=("fr-en", "en-en"))
    tune.run(none)
    for name in ("model.safetensors", "steps.parquet", "split.tsv"):
        assert (none.out / name).read_bytes() == (tuned[0].out / name).read_bytes(), name
    saved = ["en-en.safetensors", "fr-en.safetensors"]
    assert sorted(path.name for path in (none.out / "fisher").iterdir()) == saved
    fisher = safetensors.numpy.load_file(none.out / "fisher" / "fr-en.safetensors")
    assert all((value >= 0).all() for value in fisher.values())
    assert fisher["embedding"].any()
    held = tuning(tmp_path / "held", anchor=1e9)
    tune.run(held)
    assert moved(held.out, reader) < 1e-4 * held.learning_rate  # 3e-7; floats near 3 are 2.4e-7 apart
    huge = tuning(tmp_path / "huge", ewc=1e9, ewc_tasks=("fr-en", "en-en"), fisher_from=none.out)
    tune.run(huge)
    for name in saved:
        assert (huge.out / "fisher" / name).read_bytes() == (none.out / "fisher" / name).read_bytes()
    ours, theirs = tensors(huge.out), tensors(reader)
    weighs = {
        "decoder.embed_positions.weight": fisher["positions"] > 0,  # no old text is as long as the others
        "decoder.embed_tokens.weight": fisher["embedding"] > 1e-3,
    }
    for name in [name for name in theirs if name.startswith("decoder.")]:
        change = np.abs(ours[f"model.{name}"] - theirs[name])[weighs.get(name, ...)]
        assert change.max() < 1e-3 * huge.learning_rate, name
    assert moved(tuned[0].out, reader) > 6 * huge.learning_rate


@pytest.mark.deep
def test_fisher_information_of_an_earlier_run_is_taken_if_it_is_of_the_same_examples(
    tuning, tmp_path, monkeypatch
):
    options = {"ewc_tasks": ("fr-en",), "steps": 3}
    first, again = tmp_path / "first", tmp_path / "again"
    tune.run(tuning(first, ewc=1.0, **options))
    tune.run(tuning(again, ewc=5.0, **options))
    monkeypatch.setattr(fisher_files.fisher, "information", None)  # nothing is computed from here on
    taken = tmp_path / "taken"
    tune.run(tuning(taken, ewc=5.0, fisher_from=first, **options))
    for name in ("model.safetensors", "fisher/fr-en.safetensors"):
        assert (taken / name).read_bytes() == (again / name).read_bytes()
    for other, message in (
        ({"seed": 1}, "made of another model"),
        ({"ewc_tasks": ("en-en",)}, "there is no Fisher information of en-en"),
    ):
        config = tuning(tmp_path / "other", ewc=1.0, fisher_from=first, dry_run=True, **(options | other))
        with pytest.raises(Refusal, match=message):
            tune.run(config)
    kept = first / "fisher" / "fr-en.safetensors"
    safetensors.numpy.save_file(safetensors.numpy.load_file(kept), kept)
    with pytest.raises(Refusal, match="doesn't say what it was made of"):
        tune.run(tuning(tmp_path / "other", ewc=1.0, fisher_from=first, **options))
    kept.write_bytes(b"cut")
    with pytest.raises(Refusal, match="not a whole safetensors file"):
        tune.run(tuning(tmp_path / "other", ewc=1.0, fisher_from=first, **options))
    assert tune.run(tuning(taken, ewc=5.0, fisher_from=first, **options)).done == 0  # it has its own copy


@pytest.mark.parametrize("penalty", [{"anchor": 1.0}, {"ewc": 1.0, "ewc_tasks": ("fr-en",)}])
def test_a_run_that_added_the_penaltys_gradient_is_not_gone_on_with(tuning, tmp_path, penalty):
    config = tuning(tmp_path / "out", **penalty)
    settings = dict(tune_input.open_input(config).settings)
    assert settings.pop("penalty") == "proximal"
    out_folder.claim(config.out, tune.NAME, settings)
    with pytest.raises(Refusal, match="penalty: stored"):
        tune.run(config)


@pytest.mark.deep
def test_a_killed_run_with_a_penalty_goes_on_to_equal_bits(tuning, tmp_path, process, goes_on):
    options = {"ewc": 10.0, "ewc_tasks": ("fr-en", "en-en")}
    whole, ours = (tuning(tmp_path / name, **options) for name in ("whole", "ours"))
    tune.run(whole)
    assert process(ours).killed_in(ours.out, (ours.out / "fisher" / "fr-en.safetensors").is_file)
    assert not (ours.out / "fisher" / "en-en.safetensors").exists()
    assert process(ours).killed_in(ours.out, (ours.out / "checkpoints" / "4").is_dir, 0.02)
    goes_on(ours, whole.out, "fisher/fr-en.safetensors", "fisher/en-en.safetensors")
