"""Rows of a step of the encoder's program."""

import pytest

from isogloss.engine.bench.encoder import SIZES, dimensions
from isogloss.engine.runtime import devices
from isogloss.engine.whisper import encoder_program

GB = 10**9


@pytest.mark.parametrize(
    ("model", "memory", "dense", "blocks", "cudnn"),
    [
        ("base", None, 16, 16, 16),
        ("large-v2", None, 16, 16, 16),
        ("large-v2", 140 * GB, 16, 16, 16),
        ("large-v2", 12 * GB, 8, 16, 16),  # 2.5 GB of weights; of a row 0.7, 0.55 or 0.52 GB
        ("large-v2", 6 * GB, 4, 4, 4),
        ("large-v2", 3 * GB, 1, 1, 1),
        ("large-v2", 1 * GB, 1, 1, 1),
        ("base", 1 * GB, 4, 8, 16),  # 0.08 GB; 0.12, 0.061 or 0.049 GB
    ],
)
def test_rows_follow_the_memory_of_a_device(model, memory, dense, blocks, cudnn):
    sizes = dimensions(*SIZES[model])
    for form, rows in (("dense", dense), ("blocks", blocks), ("cudnn", cudnn)):
        assert encoder_program.rows_per_device("gpu", sizes, memory, form) == rows
    assert encoder_program.rows_per_device("gpu", sizes, memory) == blocks
    assert encoder_program.rows_per_device("cpu", sizes, memory) == 1


@pytest.mark.parametrize(
    ("form", "base", "large"), [("dense", 2.0, 11.2), ("blocks", 0.98, 8.84), ("cudnn", 0.79, 8.36)]
)
def test_bytes_of_a_step(form, base, large):
    """Figures of BUILD.md: weights, and what 16 rows take."""
    for model, weights, rows in (("base", 0.08, base), ("large-v2", 2.5, large)):
        sizes = dimensions(*SIZES[model])
        none, full = (encoder_program.step_bytes(sizes, count, form) for count in (0, 16))
        assert (none / GB, (full - none) / GB) == pytest.approx((weights, rows), rel=0.05)
        assert none == encoder_program.weight_bytes(sizes)


def test_form_of_attention_follows_the_platform_or_the_name():
    of = encoder_program.precision_for
    assert [of(platform).attention for platform in ("cpu", "gpu", "tpu")] == ["chunked", "blocks", "blocks"]
    assert of("gpu", "auto", "cudnn").attention == "cudnn"
    assert of("cpu", "auto", "dense") == encoder_program.Precision(compute="float32", attention="dense")
    for platform, compute in (("cpu", "bfloat16"), ("tpu", "auto"), ("gpu", "float32")):
        with pytest.raises(ValueError, match=r"--attention=cudnn needs an NVIDIA GPU and 16-bit"):
            of(platform, compute, "cudnn")


def test_a_cpu_does_not_say_its_memory():
    assert devices.memory() is None


def test_the_smallest_device_counts(monkeypatch):
    class Device:
        def __init__(self, stats):
            self.memory_stats = lambda: stats

    sizes = [{"bytes_limit": 5}, {"bytes_limit": 3}, None, {}]
    monkeypatch.setattr(devices.jax, "local_devices", lambda: [Device(stats) for stats in sizes])
    assert devices.memory() == 3
