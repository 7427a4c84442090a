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
      frame_samples: samples that the first frame needs; 1 if a part of a frame counts as one.
    """

    samples_per_frame: int
    window_frames: int
    frame_samples: int = 1

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
        """Frames of real audio, (samples - frame_samples) // samples_per_frame + 1, at most the window's.

        With frame_samples 1 it is ceil(samples / samples_per_frame).
        """
        frames = (samples - self.frame_samples) // self.samples_per_frame + 1
        return max(0, min(frames, self.window_frames))

    def attributes(self) -> dict[str, float]:
        """Attributes of a store that has these frames."""
        first = {"first_frame_seconds": self.frame_samples / SAMPLE_RATE} if self.frame_samples > 1 else {}
        return {"frame_seconds": self.frame_seconds, "window_seconds": self.window_seconds, **first}
