"""Limits and sizes of a published model; nothing is run."""

import jax
import pytest

from isogloss.engine.activations import settings
from isogloss.engine.checkpoints import stored_tensors
from isogloss.engine.checkpoints.checkpoint import Checkpoint
from isogloss.engine.checkpoints.dimensions import Dimensions
from isogloss.engine.whisper import encoder_program
from isogloss.engine.whisper.encoder_model import WhisperEncoder

LARGE = Dimensions(
    mels=80,
    features=1280,
    heads=20,
    encoder_layers=32,
    decoder_layers=32,
    positions=1500,
    text_positions=448,
    vocabulary=51865,
    ffn=5120,
)


def of(dimensions, *, rows):
    return settings.ExtractionSettings(
        encoder=WhisperEncoder(
            checkpoint=Checkpoint(
                name="sized", weights=stored_tensors.Weights(dimensions=dimensions, tensors={}, files=())
            ),
            precision=encoder_program.precision_for("gpu"),
            rows_per_device=rows,
        ),
        states=tuple(map(str, range(dimensions.encoder_layers + 2))),
        dtype="float16",
        recordings="first",
        long="truncate",
    )


@pytest.mark.parametrize("rows", [1, 16])
@pytest.mark.parametrize("devices", [1, 8])
def test_rows_under_way_keep_the_devices_busy(monkeypatch, rows, devices):
    monkeypatch.setattr(jax, "local_device_count", lambda: devices)
    limits = of(LARGE, rows=rows).limits()
    assert limits.rows_ahead >= rows * devices
    assert limits.rows_writing >= rows * devices


def test_bytes_of_large():
    """A whole window of large-v2 is 34 states of 1500 frames and 1280 features at 2 bytes."""
    row = 34 * 1500 * 1280 * 2
    assert row < of(LARGE, rows=1).shard_bytes([1500]) < 1.001 * row
