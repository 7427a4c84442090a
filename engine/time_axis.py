"""How seconds become samples and frames: 16 kHz, and 20 ms of encoder output, counted up."""

SAMPLE_RATE = 16_000
FRAME_SECONDS = 0.02
SAMPLES_PER_FRAME = int(FRAME_SECONDS * SAMPLE_RATE)


def frame_count(samples: int, positions: int) -> int:
    """Frames of real audio, ceil(samples / 320), at most the `positions` of the window."""
    return min(-(-samples // SAMPLES_PER_FRAME), positions)
