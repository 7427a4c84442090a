"""Encoder states of recordings as labelled arrays, for notebooks: no corpus, no store.

The first call loads and compiles a model, which is kept for the next calls. States are float32: a minute of
speech takes 49 MB for base, 0.5 GB for large-v2.
"""

import functools
import itertools
import os
import pathlib
import warnings
from collections.abc import Iterator, Sequence
from typing import overload

import numpy as np
import xarray as xr
from jaxtyping import Float

from isogloss.engine.activations import encoders
from isogloss.engine.activations.encoders import EncoderModel, LoadedEncoder
from isogloss.engine.corpora import audio
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.time_axis import SAMPLE_RATE

Recording = str | os.PathLike | np.ndarray
_LOUDEST = 2.0  # a waveform in [-1, 1] stays below this, even after resampling


@overload
def encode(  # pyright: ignore[reportOverlappingOverload]  (a str is a sequence of str, but one file)
    recordings: Recording,
    *,
    model: str | os.PathLike,
    revision: str | None = None,
    sample_rate: int = SAMPLE_RATE,
) -> xr.DataArray: ...


@overload
def encode(
    recordings: Sequence[Recording],
    *,
    model: str | os.PathLike,
    revision: str | None = None,
    sample_rate: int = SAMPLE_RATE,
) -> list[xr.DataArray]: ...


def encode(
    recordings: Recording | Sequence[Recording],
    *,
    model: str | os.PathLike,
    revision: str | None = None,
    sample_rate: int = SAMPLE_RATE,
) -> xr.DataArray | list[xr.DataArray]:
    """All encoder states of recordings, each an array (state, frame, feature) without frames of padding.

    A recording longer than the encoder's window of 30 s is cut, with a warning. The coordinate `state` names
    the states ("0" to "final"), `seconds` is the start of each frame. Attributes hold the name of the model
    and the SHA-256 of its weights.

    Args:
      recordings: audio file, or mono waveform of floats in [-1, 1]; a list of these gives a list.
      model: folder, .pt file or hub id of a Whisper model, or torch:FOLDER_OR_HUB_ID.
      revision: commit, tag or branch of a hub id.
      sample_rate: sample rate of waveforms, in Hz; that of a file is in the file.

    Raises:
      Refusal: a recording or the model can't be used.
    """
    given = [recordings] if isinstance(recordings, Recording) else list(recordings)
    opened, run = _encoder(os.path.expanduser(model), revision)
    made: list[xr.DataArray] = []
    for first in range(0, len(given), run.capacity):
        waves = [
            _waveform(recording, f"recording {i}", sample_rate)
            for i, recording in enumerate(given[first : first + run.capacity], first)
        ]
        made += _encoded(waves, opened, run)
    return made[0] if isinstance(recordings, Recording) else made


@functools.lru_cache(maxsize=1)
def _encoder(model: str, revision: str | None) -> tuple[EncoderModel, LoadedEncoder]:
    """Model and its encoder in memory with all states; the last one used stays there."""
    opened = encoders.open_model(model, revision)
    return opened, opened.load(opened.states, "float32")


def _waveform(recording: Recording, name: str, rate: int) -> tuple[str, Float[np.ndarray, " time"]]:
    """Name and whole waveform at 16 kHz."""
    if isinstance(recording, (str, os.PathLike)):
        path = pathlib.Path(recording).expanduser()
        return path.name, audio.decode(audio.FileSource.at(path, str(path)))
    wave = np.asarray(recording)
    rule = ""
    if wave.ndim != 1 or not wave.size:
        rule = f"a waveform has one axis, time, and at least one sample; this has the shape {wave.shape}"
    elif not np.issubdtype(wave.dtype, np.floating):
        rule = f"samples must be floats in [-1, 1], but are {wave.dtype}; divide int16 by 32768"
    elif not np.isfinite(wave).all():
        rule = f"{np.count_nonzero(~np.isfinite(wave))} samples are NaN or infinite"
    elif np.abs(wave).max() > _LOUDEST:
        rule = f"samples must lie in [-1, 1], but one is {wave[np.abs(wave).argmax()]:g}"
    elif rate < 1:
        rule = f"sample_rate must be at least 1 Hz, got {rate}"
    if rule:
        raise Refusal(f"{name}: {rule}")
    return name, audio.resample(wave.astype(np.float32), rate)


def _encoded(
    waves: Sequence[tuple[str, Float[np.ndarray, " _"]]], opened: EncoderModel, run: LoadedEncoder
) -> Iterator[xr.DataArray]:
    """States of the waveforms, in steps of recordings that may share one."""
    for _, alike in itertools.groupby(
        waves, lambda named: opened.step_key(opened.axis.frame_count(len(named[1])))
    ):
        yield from _step(list(alike), opened, run)


def _step(
    waves: Sequence[tuple[str, Float[np.ndarray, " _"]]], opened: EncoderModel, run: LoadedEncoder
) -> Iterator[xr.DataArray]:
    """States of the waveforms of one step."""
    axis = opened.axis
    for name, wave in waves:
        if not axis.frame_count(len(wave)):
            raise Refusal(f"{name}: {len(wave)} samples, but the first frame needs {axis.frame_samples}")
        if len(wave) > axis.window_samples:
            seconds = len(wave) / SAMPLE_RATE
            warnings.warn(
                f"{name}: {seconds:.1f} s; only the first {axis.window_seconds:g} s are encoded", stacklevel=4
            )
    frames = [axis.frame_count(len(wave)) for _, wave in waves]
    prepared = [run.prepare(wave[: axis.window_samples]) for _, wave in waves]
    output = run.rows(run(prepared, np.asarray(frames, np.int32)), len(waves))
    for (name, wave), count, (states, peak) in zip(waves, frames, output, strict=True):
        if not np.isfinite(peak).all():
            raise Refusal(f"{name}: states aren't finite. Check the recording")
        starts = np.arange(count) * axis.frame_seconds
        truncated = int(len(wave) > axis.window_samples)
        yield xr.DataArray(
            states[:, :count].copy(),  # a view would keep the whole window in memory
            dims=("state", "frame", "feature"),
            coords={
                "state": list(opened.states),
                "seconds": ("frame", starts, {"long_name": "start of the frame", "units": "s"}),
            },
            name=name,
            attrs={"model": opened.name, "weights_sha256": opened.sha256, "truncated": truncated},
        )
