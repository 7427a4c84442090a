"""Neurons in a store: beside the states and with them, resumed, grown, verified, counted."""

import dataclasses
import shutil

import numpy as np
import pytest
import xarray as xr

from isogloss.engine.activations import activation_store, extract
from isogloss.engine.operations import status, verify
from isogloss.engine.operations.status_config import StatusConfig
from isogloss.engine.operations.verify_config import VerifyConfig
from isogloss.engine.runtime import place
from isogloss.engine.whisper.neurons import STATISTICS

UTTERANCES = 13  # of two languages, one file of states and one of neurons each


@pytest.fixture
def config(tmp_path, extract_config):
    return extract_config(
        store=tmp_path / "store", languages=("aa", "cc"), states=("0", "final"), neurons=True
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory, extract_config):
    """Store of both languages, made in one go, and what the run told."""
    config = extract_config(
        store=tmp_path_factory.mktemp("neurons") / "store",
        languages=("aa", "cc"),
        states=("0", "final"),
        neurons=True,
    )
    dry = extract.run(dataclasses.replace(config, dry_run=True))
    return config, dry, extract.run(config)


def test_one_pass_writes_both_and_the_plan_is_what_is_written(made, sizes, shards):
    config, dry, summary = made
    assert summary.done == UTTERANCES
    stored = shards(config.store)
    assert dry.plan["files"] == len(stored) == 2 * UTTERANCES
    assert dry.plan["bytes"] == summary.bytes == sum(map(len, stored.values()))
    dataset = xr.open_zarr(config.store / "aa.zarr")
    assert dataset.neurons.dims == ("utterance", "block", "statistic", "neuron")
    assert dataset.neurons.shape == (7, sizes.encoder_layers, len(STATISTICS), sizes.ffn)
    assert dataset.block.values.tolist() == [str(k + 1) for k in range(sizes.encoder_layers)]
    assert dataset.statistic.values.tolist() == list(STATISTICS)
    values = dataset.neurons.load()
    assert values.dtype == np.float16
    assert np.isfinite(values).all()
    rate, magnitude, mean, maximum = (values.sel(statistic=name) for name in STATISTICS)
    assert ((rate >= 0) & (rate <= 1)).all()
    assert (abs(mean) <= magnitude * 1.001).all()
    assert (maximum >= mean).all()


def test_states_are_those_of_a_store_without(made, config, tmp_path):
    """Which is as it was before: no array, no label, no setting says anything of neurons."""
    plain = dataclasses.replace(config, store=tmp_path / "plain", neurons=False)
    extract.run(plain)
    for path in (plain.store / "aa.zarr").rglob("*"):
        assert "neuron" not in path.name
    assert "neurons" not in activation_store.open_store(plain.store, "aa").attributes["settings"]
    for code in ("aa", "cc"):
        ours, theirs = (xr.open_zarr(root / f"{code}.zarr").states for root in (made[0].store, plain.store))
        np.testing.assert_allclose(ours.load(), theirs.load(), rtol=2e-3, atol=2e-3)
    for one in (dataclasses.replace(plain, neurons=True), dataclasses.replace(made[0], neurons=False)):
        with pytest.raises(ValueError, match=r"neurons"):
            extract.run(one)


@pytest.mark.parametrize("lost", ["states", "neurons"])
def test_an_utterance_is_stored_if_both_files_are(made, config, lost, shards):
    """As after a kill between them; the next run makes both again, to the same bytes."""
    shutil.copytree(made[0].store, config.store)
    before = shards(config.store)
    (config.store / "aa.zarr" / lost / "c.2.0.0.0").unlink()
    opened = activation_store.open_store(config.store, "aa")
    assert opened.present().tolist() == [row != 2 for row in range(7)]
    assert status.run(StatusConfig(store=config.store)).plan["left"] == 1
    summary = extract.run(config)
    assert (summary.done, summary.skipped) == (1, UTTERANCES - 1)
    assert shards(config.store) == before


def test_a_store_that_grows_is_as_a_new_one(made, config, speech, tmp_path):
    shutil.copytree(speech.parent, tmp_path / "speech")
    manifest = tmp_path / "speech" / "speech.tsv"
    lines = manifest.read_text().splitlines()
    manifest.write_text("\n".join(line for line in lines if "\ts3\t" not in line) + "\n")
    config = dataclasses.replace(config, corpus=f"manifest:{manifest}")
    assert extract.run(config).done == UTTERANCES - 2
    manifest.write_text("\n".join(lines) + "\n")
    assert extract.run(config).done == 2
    for code in ("aa", "cc"):
        grown, new = (activation_store.open_store(root, code) for root in (config.store, made[0].store))
        for mine, theirs in zip(
            grown.read_neurons(range(len(grown.names))), new.read_neurons(range(len(new.names))), strict=True
        ):
            np.testing.assert_array_equal(mine, theirs)
    dataset = xr.open_zarr(config.store / "aa.zarr")
    assert dataset.sizes["utterance"] == dataset.neurons.shape[0] == 7


def test_damage_is_named_removed_and_made_again(made, config, shards):
    shutil.copytree(made[0].store, config.store)
    before = shards(config.store)
    file = config.store / "cc.zarr" / "neurons" / "c.1.0.0.0"
    data = bytearray(file.read_bytes())
    data[5] ^= 1
    file.write_bytes(data)
    found = verify.run(VerifyConfig(store=config.store, repair=True))
    assert found.checked == 2 * UTTERANCES
    assert list(found.damaged) == ["cc s1.0 neurons"]
    assert extract.run(config).done == 1
    assert shards(config.store) == before


def test_neurons_that_overflow_are_named(config, random_model, sizes):
    def louder(tensors):
        for name in tensors:
            if name.startswith("encoder.layers.0.fc1"):
                tensors[name] = tensors[name] * 1e6

    loud = random_model("whisper-loud", sizes, seed=0, change=louder)
    summary = extract.run(dataclasses.replace(config, model=str(loud), languages=("cc",), states=("0",)))
    assert summary.done == 0
    for reason in summary.failed.values():
        assert "in neurons of block 1" in reason
        assert "--dtype=float32" in reason


def test_a_bucket_has_the_same_objects(made, config, s3):
    bucket = dataclasses.replace(config, store=place.parse(f"{s3.bucket()}/store"), languages=("cc",))
    assert extract.run(bucket).done == 6
    assert extract.run(bucket).skipped == 6
    grown, local = (activation_store.open_store(root, "cc") for root in (bucket.store, made[0].store))
    for mine, theirs in zip(grown.read_neurons(range(6)), local.read_neurons(range(6)), strict=True):
        np.testing.assert_array_equal(mine, theirs)
