"""The neurons job: table, shares, resume, refusals, damaged files."""

import dataclasses
import math

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from dictionary import described

from isogloss.engine.activations import extract, store_languages
from isogloss.engine.activations.activation_store import LanguageStore
from isogloss.engine.activations.language_states import open_languages
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.similarity import neuron_alignment, neurons, similarity
from isogloss.engine.similarity.neurons_config import NeuronsConfig
from isogloss.engine.similarity.similarity_config import SimilarityConfig


@pytest.fixture(scope="module")
def store(tmp_path_factory, extract_config):
    root = tmp_path_factory.mktemp("neurons") / "store"
    config = extract_config(store=root, states=("final",), neurons=True)
    assert extract.run(config).complete
    return root


@pytest.fixture(scope="module")
def made(store, tmp_path_factory):
    config = NeuronsConfig(store=store, out=tmp_path_factory.mktemp("made") / "out")
    return config, neurons.run(config)


def test_rows_equal_what_xarray_reads(made, store):
    config, summary = made
    table = pd.read_parquet(config.out / "neurons.parquet")
    opened = {code: xr.open_zarr(store / f"{code}.zarr").load() for code in ("aa", "bb", "cc")}
    blocks = opened["aa"].block.values.tolist()
    assert blocks == [str(k + 1) for k in range(len(blocks))]
    assert summary.done == 3
    assert summary.rows == len(table) == 3 * 4 * 2 * (len(blocks) + 1)
    common = [f"s{i}" for i in range(7) if i != 4]
    for removed in (False, True):
        for statistic in ("rate", "maximum"):
            expected = []
            for block in blocks:
                sides = []
                for code in ("aa", "cc"):
                    of = opened[code].neurons.sel(block=block, statistic=statistic).astype(np.float64)
                    of = of - of.mean("utterance") if removed else of
                    sides.append(of.values[[opened[code].sentence.values.tolist().index(s) for s in common]])
                expected.append(neuron_alignment.alignment(*sides))
            rows = table[
                (table.language_a == "aa")
                & (table.language_b == "cc")
                & (table.statistic == statistic)
                & (table.language_mean == ("removed" if removed else "kept"))
            ].set_index("block")
            found = rows[list(neuron_alignment.Alignment._fields)]
            np.testing.assert_allclose(found.loc[blocks], expected)
            np.testing.assert_allclose(found.loc["mean"], np.mean(expected, axis=0))
            assert set(rows.n) == {6}
    n, m = (
        np.log([opened[code].frames.values[opened[code].sentence.values.tolist().index(s)] for s in common])
        for code in ("aa", "cc")
    )
    by_length = neuron_alignment.of_scores(-np.abs(n[:, None] - m))
    of_pair = table[(table.language_a == "aa") & (table.language_b == "cc")]
    columns = [f"duration_{field}" for field in neuron_alignment.Alignment._fields]
    assert (of_pair[columns] == list(by_length)).all(axis=None)
    assert set(table[table["index"] != ""].statistic + table[table["index"] != ""]["index"]) == {
        "rateNASCA",
        "magnitudeNAVCA",
    }


def test_shares_and_resume_give_the_same_table(made, store, tmp_path):
    config = NeuronsConfig(store=store, out=tmp_path / "out")
    first = neurons.run(dataclasses.replace(config, num_shards=2, shard_index=1))
    assert (first.done, first.waiting, first.table) == (2, 1, None)
    dry = neurons.run(dataclasses.replace(config, dry_run=True))
    assert (dry.plan["pairs"], dry.skipped) == (1, 2)
    last = neurons.run(config)
    assert (last.done, last.skipped) == (1, 2)
    for name in ("neurons.parquet", "neurons.csv"):
        assert (config.out / name).read_bytes() == (made[0].out / name).read_bytes()
    assert neurons.run(config).done == 0
    similarity.run(SimilarityConfig(store=store, out=config.out))
    assert neurons.run(config).done == 0, "jobs of one room may share a folder"
    assert described(config.out) == {"similarity", "neurons"}
    assert neurons.run(dataclasses.replace(config, weights="depth")).done == 3


@pytest.mark.parametrize(("memory_gb", "reads"), [(8.0, 3), (None, 4)])
def test_a_language_is_read_once_for_a_pair_of_blocks(made, store, tmp_path, monkeypatch, memory_gb, reads):
    """All three in memory: each once. Two, with room to read: aa-bb, aa-cc and bb-cc read four."""
    counted = []
    read = LanguageStore.read_neurons

    def counting(self, rows):
        counted.append(self.language)
        return read(self, rows)

    monkeypatch.setattr(LanguageStore, "read_neurons", counting)
    shape = xr.open_zarr(store / "aa.zarr").neurons
    of_two = 3.5 * shape.nbytes / 1e9
    config = NeuronsConfig(store=store, out=tmp_path / "out", memory_gb=memory_gb or of_two)
    plan = neurons.run(dataclasses.replace(config, dry_run=True)).plan
    assert not counted
    assert neurons.run(config).done == 3
    assert len(counted) == reads
    utterances = {
        code: xr.open_zarr(store / f"{code}.zarr").sizes["utterance"] for code in ("aa", "bb", "cc")
    }
    # Rows of recordings that no comparison uses aren't read.
    assert 0 < plan["bytes"] <= sum(utterances[code] for code in counted) * shape[0].nbytes
    assert (config.out / "neurons.parquet").read_bytes() == (made[0].out / "neurons.parquet").read_bytes()


def test_memory_for_less_than_two_languages_is_refused(store, tmp_path):
    with pytest.raises(ValueError, match=r"--memory_gb=1e-06 is too little: two languages .* give at least"):
        neurons.run(NeuronsConfig(store=store, out=tmp_path / "out", memory_gb=1e-6))
    with pytest.raises(ValueError, match="--memory_gb must be above 0"):
        NeuronsConfig(store=store, out=tmp_path / "out", memory_gb=0.0)
    assert not (tmp_path / "out").exists()


def test_memory_is_asked_for_by_the_pairs_that_are_left(made, store):
    config = dataclasses.replace(made[0], memory_gb=1e-6)
    again = neurons.run(config)
    assert (again.done, again.skipped, again.complete) == (0, 3, True)
    dry = neurons.run(dataclasses.replace(config, dry_run=True))
    assert (dry.plan["pairs"], dry.plan["bytes"]) == (0, 0)
    members = open_languages(list(store_languages.compared(store, (), "neurons").values()))
    pairs = [("aa", "bb"), ("aa", "cc")]
    of_one = (
        max(len(member.rows) for member in members.values())
        * math.prod(xr.open_zarr(store / "aa.zarr").neurons.shape[1:])
        * xr.open_zarr(store / "aa.zarr").neurons.dtype.itemsize
    )
    for languages, size in ((3.1, 1), (4.9, 1), (5.1, 2)):
        given = dataclasses.replace(config, memory_gb=languages * of_one / 1e9)
        assert neurons.block_size(given, members, pairs) == size
    with pytest.raises(Refusal, match="and as much again to read one"):
        neurons.block_size(dataclasses.replace(config, memory_gb=2.9 * of_one / 1e9), members, pairs)


def test_a_damaged_file_is_named_and_the_rest_goes_on(store, tmp_path):
    file = store / "cc.zarr" / "neurons" / "c.1.0.0.0"
    whole = file.read_bytes()
    try:
        file.write_bytes(whole[:10] + bytes([whole[10] ^ 255]) + whole[11:])
        summary = neurons.run(NeuronsConfig(store=store, out=tmp_path / "out"))
        assert (summary.done, summary.complete) == (1, False)
        assert set(summary.failed) == {"aa-cc", "bb-cc"}
    finally:
        file.write_bytes(whole)
    again = neurons.run(NeuronsConfig(store=store, out=tmp_path / "out"))
    assert (again.done, again.complete) == (2, True)


def test_a_store_without_neurons_is_refused(spoken, tmp_path):
    with pytest.raises(ValueError, match=r"has no neurons of aa; extract .* --neurons"):
        neurons.run(NeuronsConfig(store=spoken / "store", out=tmp_path / "out"))
    assert not (tmp_path / "out").exists()
