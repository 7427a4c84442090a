"""engine.recipe: limits and sizes of published models, nothing run."""

import dataclasses

import jax
import pytest

from isogloss.engine.activations import settings
from isogloss.engine.checkpoints import stored_tensors
from isogloss.engine.checkpoints.checkpoint import Checkpoint
from isogloss.engine.checkpoints.dimensions import Dimensions
from isogloss.engine.whisper import encoder_program

BASE = Dimensions(
    mels=80,
    features=512,
    heads=8,
    encoder_layers=6,
    decoder_layers=6,
    positions=1500,
    text_positions=448,
    vocabulary=51865,
    ffn=2048,
)
LARGE = dataclasses.replace(BASE, features=1280, heads=20, encoder_layers=32, decoder_layers=32, ffn=5120)


def of(dimensions, *, rows, dtype="float16"):
    return settings.ExtractionSettings(
        checkpoint=Checkpoint(
            name="sized", weights=stored_tensors.Weights(dimensions=dimensions, tensors={}, files=())
        ),
        states=tuple(map(str, range(dimensions.encoder_layers + 2))),
        dtype=dtype,
        precision=encoder_program.precision_for("gpu"),
        rows_per_device=rows,
        recordings="first",
        long="truncate",
    )


@pytest.mark.parametrize("dimensions", [BASE, LARGE])
@pytest.mark.parametrize("dtype", ["float16", "float32"])
@pytest.mark.parametrize(("platform", "rows"), [("cpu", 1), ("gpu", 16)])
@pytest.mark.parametrize("devices", [1, 8])
def test_left_to_the_job_every_model_fits(monkeypatch, dimensions, dtype, platform, rows, devices):
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    monkeypatch.setattr(jax, "local_device_count", lambda: devices)
    limits = of(dimensions, rows=rows, dtype=dtype).limits(0)
    assert limits.rows_ahead >= rows * devices
    assert limits.rows_writing >= rows * devices


def test_bytes_of_large(monkeypatch):
    """A whole window of large-v2 is 34 states of 1500 frames and 1280 features at 2 bytes."""
    row = 34 * 1500 * 1280 * 2
    assert row < of(LARGE, rows=1).shard_bytes([1500]) < 1.001 * row


def test_the_least_that_is_named_is_enough(monkeypatch):
    monkeypatch.setattr(jax, "local_device_count", lambda: 1)
    made = of(LARGE, rows=2)
    with pytest.raises(ValueError, match="too little for 2 rows a step: give at least") as error:
        made.limits(10)
    least = int(str(error.value).split("at least ")[1].split(",")[0])
    assert made.limits(least).rows_writing == 1
    with pytest.raises(ValueError, match="too little"):
        made.limits(least - 1)
