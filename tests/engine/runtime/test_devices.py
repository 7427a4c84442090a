"""engine.runtime.devices: the same bits on 1, 2 and 8 devices, whatever shares a step."""

import concurrent.futures
import time

import jax
import numpy as np
import pytest
from flax import nnx

from isogloss.engine.runtime.devices import DataParallel, Replicas
from isogloss.engine.whisper import encoder_program

STATES = ("0", "1", "2", "final")
SAMPLES = 32_000


@pytest.fixture(scope="module")
def waves():
    return np.random.default_rng(3).standard_normal((11, SAMPLES)).astype(np.float32)


FRAMES = np.arange(5, 100, 9, dtype=np.int32)


def program(checkpoint, rows=1, devices=2, dtype="float32", states=STATES):
    precision = encoder_program.precision_for("cpu")
    return encoder_program.load(checkpoint, states, dtype, precision, rows_per_device=rows, devices=devices)


def encoded(checkpoint, waves, frames, rows=1, devices=1, dtype="float32"):
    run = program(checkpoint, rows, devices, dtype)
    stored, peaks = [], []
    for i in range(0, len(waves), run.capacity):
        step = slice(i, min(i + run.capacity, len(waves)))
        for one, peak in run.rows(run(waves[step], frames[step]), step.stop - step.start):
            stored.append(one)
            peaks.append(peak)
    return np.stack(stored), np.stack(peaks)


@pytest.mark.parametrize("devices", [2, 8])
def test_devices_do_not_change_a_bit(checkpoint, waves, devices):
    assert jax.local_device_count() == 8
    alone, _ = encoded(checkpoint, waves, FRAMES)
    shared, _ = encoded(checkpoint, waves, FRAMES, devices=devices)
    assert shared.shape == (11, 4, 100, 16)
    np.testing.assert_array_equal(shared, alone)


def test_place_in_a_step_does_not_change_a_bit(checkpoint, waves):
    forwards, _ = encoded(checkpoint, waves, FRAMES, rows=3, devices=2)
    backwards, _ = encoded(checkpoint, waves[::-1], FRAMES[::-1], rows=3, devices=2)
    np.testing.assert_array_equal(forwards, backwards[::-1])


def test_a_bad_utterance_does_not_spoil_its_neighbours(checkpoint, waves):
    spoilt = waves.copy()
    spoilt[1] = np.nan
    clean, _ = encoded(checkpoint, waves, FRAMES, rows=2, devices=2)
    dirty, peaks = encoded(checkpoint, spoilt, FRAMES, rows=2, devices=2)
    others = [0, *range(2, 11)]
    np.testing.assert_array_equal(dirty[others], clean[others])
    assert np.isnan(peaks[1]).all()
    assert np.isfinite(peaks[others]).all()


def test_nan_beyond_the_frames_and_peak_within(checkpoint, waves):
    stored, peaks = encoded(checkpoint, waves, FRAMES, dtype="float16")
    assert stored.dtype == np.float16
    for states, peak, frames in zip(stored, peaks, FRAMES, strict=True):
        assert np.isnan(states[:, frames:]).all()
        assert np.isfinite(states[:, :frames]).all()
        used = np.abs(states[:, :frames].astype(np.float32)).max(axis=(1, 2))
        np.testing.assert_allclose(peak, used, rtol=2.0**-10)  # float16 rounding


def test_subset_of_states(checkpoint, waves):
    every, _ = encoded(checkpoint, waves[:2], FRAMES[:2])
    run = program(checkpoint, states=("1", "final"))
    some = np.stack([stored for stored, _ in run.rows(run(waves[:2], FRAMES[:2]), 2)])
    np.testing.assert_array_equal(some, every[:, [1, 3]])


def test_steps_in_turn_are_computed_one_at_a_time(waves):
    """Of different programs, too; and their rows are those of a step by itself."""
    under_way = []

    def watched(rows):
        under_way.append(rows)
        time.sleep(0.05)
        assert under_way == [rows]
        under_way.clear()
        return rows

    def program(factor):
        def run(_, rows):
            return (factor * jax.pure_callback(watched, jax.ShapeDtypeStruct(rows.shape, rows.dtype), rows),)

        return DataParallel(run, Replicas(nnx.State({}), 1), rows_per_device=2)

    steps = [(factor, waves[at : at + 2, :100]) for at in range(0, 10, 2) for factor in (2.0, 3.0)]
    programs = {2.0: program(2.0), 3.0: program(3.0)}
    with concurrent.futures.ThreadPoolExecutor(4) as threads:
        made = threads.map(lambda step: programs[step[0]].in_turn(step[1]), steps)
        for (factor, rows), found in zip(steps, made, strict=True):
            np.testing.assert_array_equal(np.stack([row for (row,) in found]), factor * rows)


@pytest.mark.parametrize("count", [0, 3])
def test_steps_of_impossible_size(checkpoint, waves, count):
    with pytest.raises(ValueError, match="1 to 2 rows"):
        program(checkpoint)(waves[:count], FRAMES[:count])


def test_needs_a_row():
    with pytest.raises(ValueError, match="at least 1, got 0"):
        DataParallel(lambda p, x: (x,), Replicas(nnx.State({})), rows_per_device=0)
