"""Rows of a step of the encoder's program."""

import pytest

from isogloss.engine.bench.encoder import SIZES, dimensions
from isogloss.engine.runtime import devices
from isogloss.engine.whisper import encoder_program

GB = 10**9


@pytest.mark.parametrize(
    ("model", "memory", "rows"),
    [
        ("base", None, 16),
        ("large-v2", None, 16),
        ("large-v2", 140 * GB, 16),
        ("large-v2", 12 * GB, 8),  # 2.5 GB of weights, 0.7 GB a row
        ("large-v2", 6 * GB, 4),
        ("large-v2", 3 * GB, 1),
        ("large-v2", 1 * GB, 1),
        ("base", 1 * GB, 4),  # 0.08 GB and 0.12 GB
    ],
)
def test_rows_follow_the_memory_of_a_device(model, memory, rows):
    sizes = dimensions(*SIZES[model])
    assert encoder_program.rows_per_device("gpu", sizes, memory) == rows
    assert encoder_program.rows_per_device("cpu", sizes, memory) == 1


def test_bytes_of_a_step():
    """Figures of BUILD.md."""
    for model, weights, of_16_rows in (("base", 0.08, 2.0), ("large-v2", 2.5, 11)):
        none, full = (encoder_program.step_bytes(dimensions(*SIZES[model]), rows) for rows in (0, 16))
        assert (none / GB, (full - none) / GB) == pytest.approx((weights, of_16_rows), rel=0.05)


def test_a_cpu_does_not_say_its_memory():
    assert devices.memory() is None


def test_the_smallest_device_counts(monkeypatch):
    class Device:
        def __init__(self, stats):
            self.memory_stats = lambda: stats

    sizes = [{"bytes_limit": 5}, {"bytes_limit": 3}, None, {}]
    monkeypatch.setattr(devices.jax, "local_devices", lambda: [Device(stats) for stats in sizes])
    assert devices.memory() == 3
