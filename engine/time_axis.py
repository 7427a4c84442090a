"""Samples and frames of the Whisper family: 16 kHz, and 20 ms of encoder output, counted up.

The window of a model is its own number of positions, `Dimensions.positions`.
"""

SAMPLE_RATE = 16_000
SAMPLES_PER_FRAME = 320
FRAME_SECONDS = SAMPLES_PER_FRAME / SAMPLE_RATE
WINDOW_FRAMES = 1500
"""Positions of every published model, 30 s."""


def frame_count(samples: int, positions: int) -> int:
    """Frames of real audio, ceil(samples / 320), at most the `positions` of the window."""
    return min(-(-samples // SAMPLES_PER_FRAME), positions)
