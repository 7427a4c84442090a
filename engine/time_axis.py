"""Time axis of an encoder: samples in, frames out.

Audio is decoded at one rate before the encoder is known, because a corpus is listed, measured and decoded
alike for all of them; 16 kHz is the rate of Whisper and of the wav2vec 2.0 line. Frames and window belong to
a family of encoders, see `activations.encoders`.
"""

import dataclasses

SAMPLE_RATE = 16_000


@dataclasses.dataclass(frozen=True, kw_only=True)
class TimeAxis:
    """Frames and window of an encoder.

    Attributes:
      samples_per_frame: samples at 16 kHz from one frame to the next.
      window_frames: frames that the encoder takes at once.
    """

    samples_per_frame: int
    window_frames: int

    @property
    def frame_seconds(self) -> float:
        """Length of a frame."""
        return self.samples_per_frame / SAMPLE_RATE

    @property
    def window_samples(self) -> int:
        """Samples of the window."""
        return self.window_frames * self.samples_per_frame

    @property
    def window_seconds(self) -> float:
        """Length of the window."""
        return self.window_samples / SAMPLE_RATE

    def frame_count(self, samples: int) -> int:
        """Frames of real audio, ceil(samples / samples_per_frame), at most those of the window."""
        return min(-(-samples // self.samples_per_frame), self.window_frames)
