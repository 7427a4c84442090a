"""Rooflines against arithmetic done by hand, and the command that prints them."""

import dataclasses
import itertools
import json
import pathlib
from unittest import mock

import numpy as np
import pytest

from isogloss.engine.activations import language_states
from isogloss.engine.bench import bench, bench_config, chips, roofline
from isogloss.engine.grid import grid_config, grid_plan, grid_work
from isogloss.engine.runtime import devices, refusal
from isogloss.kernels import operands

PAIR = roofline.GridWork(
    languages=2, states=1, utterances=10, frames=100, features=512
)  # 1,000 frames a language


def seconds(found):
    return {part.name: part.pair for part in found.parts}


def test_one_pair_by_hand_on_an_h100():
    """A million cosines, 1.024 MB a language; every quotient is written out."""
    found = roofline.roofline("h100", PAIR)
    assert seconds(found) == pytest.approx(
        {
            "product": 1.024e9 / 989.4e12,  # 2 * 512 * 1e6 FLOP: 1.03 us
            "maxima": 12e6 / 3.35e12,  # 3.6 us; 2e6 comparisons at 33.5e12 a second would take 0.06 us
            "distances": 4e6 / 3.35e12,
            "DTW": 8e6 / 3.35e12,
            "DTW launches": 255 * 10e-6,  # 255 anti-diagonals of one scan of 128 padded frames
            "uploads": 2 * 16 * 128 * 1024 / 64e9,  # of 16 rows of 128 frames, filled up: 66 us
            "disk": (2.048e6 + 3 * 400) / 2e9,  # both languages in, three score matrices of 400 bytes out
        }
    )
    assert found.fused == pytest.approx(1.024e9 / 989.4e12)
    assert (found.uploads, found.bound) == (2, "DTW launches")
    # 2.55 ms of launches, 7.2 us of memory and 1 us of products
    assert found.pair_seconds == pytest.approx(2.5582e-3, rel=1e-3)


def test_all_of_fleurs_by_hand():
    """22 EFLOP; 352 rows of 704 frames a language at a state, 634 MB, or 1.27 GB in two parts.

    Beside two uploads and three languages two blocks of 30 fit the 41.5 GB of an H100, of 1 the 9.6 GB of a
    TPU v5e.
    """
    assert roofline.FLEURS.units == 5151 * 34
    assert 2 * 1280 * roofline.FLEURS.cells * roofline.FLEURS.units == pytest.approx(22.4e18, rel=1e-3)
    h100, v5e = roofline.roofline("h100"), roofline.roofline("tpu-v5e")
    assert roofline.FLEURS.padded == 352 * 704
    blocks = {name: roofline.block_size(roofline.FLEURS, chip) for name, chip in chips.CHIPS.items()}
    assert blocks == {"h100": 30, "h200": 62, "a100": 30, "tpu-v5e": 1, "tpu-v6e": 5}
    assert roofline.roofline("h200").uploads == 102 * 34  # two blocks are all languages
    hours = {part.name: part.all / 3600 for part in h100.parts}
    assert hours["product"] == pytest.approx(22.416e18 / 989.4e12 / 3600, rel=1e-3)  # 6.3 hours
    four = {part.name: part.all / 3600 for part in v5e.parts}  # products of bfloat16 for one of float16
    assert four["product"] == pytest.approx(4 * 22.416e18 / 197e12 / 3600, rel=1e-3)
    assert h100.all_hours == pytest.approx(sum(hours[name] for name in roofline.ON_DEVICE))
    # 0.129 s / 0.65 and 5e10 cells / 3e11 a second: 0.366 s a pair, 175,134 of them
    assert h100.wanted_hours == pytest.approx(0.3657 * 175134 / 3600, rel=1e-3)


@pytest.mark.parametrize("name", chips.CHIPS)
def test_blocks_are_those_of_the_job(name, monkeypatch):
    """With its defaults, where JAX offers three quarters of a GPU's memory, or all of a TPU's."""
    work, chip, tpu = roofline.FLEURS, chips.CHIPS[name], name.startswith("tpu")
    monkeypatch.setattr(devices, "memory", lambda: int(chip.memory * (1 if tpu else 0.75)))
    monkeypatch.setattr(operands, "form_for", lambda *_: "split" if tpu else "stored")
    member = mock.create_autospec(language_states.GridLanguage, instance=True)
    member.frames = np.full(work.utterances, work.frames, np.int32)
    member.store = mock.Mock(features=work.features, dtype=np.dtype(np.float16))
    config = grid_config.GridConfig(store=pathlib.Path("store"), grid=pathlib.Path("grid.zarr"))
    assert grid_plan.block_size(config, {"aa": member}, "xla") == roofline.block_size(work, chip)


@pytest.mark.parametrize(("block", "states"), [(1, 1), (2, 3), (3, 2), (9, 2)])
def test_uploads_are_the_visits_of_the_job(block, states, monkeypatch):
    monkeypatch.setattr(roofline, "block_size", lambda *_: block)
    codes = "abcdefg"
    pairs = tuple(itertools.combinations(codes, 2))
    units = list(itertools.product(range(states), range(len(pairs))))
    visited = sum(len(visit.arriving) for visit in grid_work.visits(units, pairs, block))
    work = dataclasses.replace(PAIR, languages=len(codes), states=states)
    assert roofline.uploads(work, chips.CHIPS["h100"]) == visited
    assert visited >= states * len(codes)


def test_work_that_a_chip_is_too_small_for_is_refused():
    """2,000 utterances are 7.2 GB of bfloat16 parts a language; the grid job would refuse them, too."""
    work = dataclasses.replace(roofline.FLEURS, utterances=2000)
    assert roofline.block_size(work, chips.CHIPS["h100"]) > 1
    with pytest.raises(refusal.Refusal, match=r"TPU v5e: 9\.\d GB .* of 7\.\d GB .* give GridWork fewer"):
        roofline.roofline("tpu-v5e", work)


def test_what_jax_takes_of_a_memory_is_told_and_not_inferred():
    h100 = chips.CHIPS["h100"]
    assert roofline._memory(dataclasses.replace(h100, parts=2)) == 60e9
    assert roofline._memory(dataclasses.replace(h100, offered=0.5)) == 40e9


def test_uploads_are_counted_once(monkeypatch):
    counted = mock.create_autospec(roofline.uploads, return_value=7)
    monkeypatch.setattr(roofline, "uploads", counted)
    found = roofline.roofline("h100", PAIR)
    [uploads] = [part for part in found.parts if part.name == "uploads"]
    assert found.uploads == 7
    assert uploads.all == pytest.approx(7 * PAIR.upload_bytes / 64e9)
    counted.assert_called_once_with(PAIR, chips.CHIPS["h100"])


def test_steps_of_a_pair_by_hand():
    """Of 344 utterances six groups of 704 padded frames: 36 scans, or 72 of half as many pairs in 2.6 GB."""
    assert roofline.steps(roofline.FLEURS, chips.CHIPS["h100"]) == 36 * 1407
    small = dataclasses.replace(chips.CHIPS["h100"], memory=16e9, offered=1.0)
    scans = {min(64, u) * min(64, v) * 704 * 704 * 4 / 4.8e9 for u in (64, 32) for v in (64, 32)}
    assert max(scans) == pytest.approx(1.69, abs=0.01)
    assert roofline.steps(roofline.FLEURS, small) == (25 * 2 + 11) * 1407


def test_a_scan_of_full_groups_by_hand():
    """Of 64 x 64 pairs of 704 padded frames on a GPU; launches allow 123 GCUPS of cells in use."""
    lanes, gcups = roofline.full_scan(roofline.FLEURS, chips.CHIPS["h100"])
    assert lanes == 64 * 64 * 704
    assert gcups == pytest.approx(64 * 64 * 650 * 650 / (1407 * 10e-6) / 1e9)


@pytest.mark.parametrize("name", chips.CHIPS)
def test_every_chip_has_its_source_and_stands_in_the_flag(name, capsys):
    chip = chips.CHIPS[name]
    assert chip.source
    assert chip.note or (chip.vector and chip.link)
    summary = bench.run(bench_config.BenchConfig(suite=("roofline",), device=name))
    [found] = summary.rooflines
    assert found.chip == name
    printed = capsys.readouterr().err
    assert chip.label in printed
    assert chip.source in printed
    assert f"bounded by {found.bound}" in printed


def test_all_chips_and_their_file(tmp_path):
    config = bench_config.BenchConfig(suite=("roofline",), json=tmp_path / "new" / "roofline.json")
    summary = bench.run(config)
    written = json.loads((tmp_path / "new" / "roofline.json").read_text())
    assert [each["chip"] for each in written["rooflines"]] == list(chips.CHIPS)
    assert "nothing was measured" in summary.sentence(config)


def test_a_chip_goes_with_the_roofline_only():
    with pytest.raises(ValueError, match=r"--device=h100: a chip's name goes with --suite=roofline"):
        bench_config.BenchConfig(suite=("dtw",), device="h100")
    with pytest.raises(ValueError, match=r"--device=gpu: .* auto, cpu and gpu with the others"):
        bench_config.BenchConfig(suite=("roofline",), device="gpu")
    with pytest.raises(ValueError, match="or one of rehearsal, roofline, acceptance alone; got roofline"):
        bench_config.BenchConfig(suite=("roofline", "dtw"))
