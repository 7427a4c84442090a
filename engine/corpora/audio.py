"""Waveforms of recordings, float32 mono at 16 kHz, and their exact lengths before decoding.

`samples` reads a header (about 0.3 ms), `decode` the samples; both raise AudioError for an unusable
recording, `decode` also if the two lengths differ. The result is that of `librosa.load(path, sr=16000)`:
soundfile reads the file, so that a long recording is read only up to the window, and `librosa.resample`
changes the rate. libsndfile reads a truncated WAV, AIFF, AU or OGG without an error, so we compare the file's
size with these containers' own lengths; decoding finds a truncated MP3, FLAC or CAF; other containers (W64,
NIST, ...) are not checked. What libsndfile can't read, such as M4A, is decoded by ffmpeg where it is
installed, whole, even for its length.
"""

import abc
import dataclasses
import hashlib
import io
import math
import pathlib
import stat

import numpy as np
import soundfile
from jaxtyping import Float

from isogloss.engine.corpora import ffmpeg
from isogloss.engine.corpora.audio_error import AudioError
from isogloss.engine.runtime import disk_faults, json_values, librosa_modules
from isogloss.engine.runtime.refusal import WriteError
from isogloss.engine.time_axis import SAMPLE_RATE

_CHANNELS = 2
_MARGIN = 1_600  # samples read beyond a window, so that the resampling filter doesn't see the cut
_PIECES, _PIECE = 16, 1024  # of a file, in its fingerprint; bytes
_BLOCK = 1 << 20  # bytes read at a time
_UNKNOWN = 0x7FFFF000  # an encoder that writes to a pipe doesn't know the size and states at least this
_OGG_PAGE = 65_307  # bytes of the longest possible page


@dataclasses.dataclass(frozen=True, kw_only=True)
class AudioSource(abc.ABC):
    """Location of one recording's bytes.

    Attributes:
      name: relative path or member name, for messages and stores; the same on every machine.
      size: size in bytes; None if the file is missing, or unknown before it is read.
      promised: number of samples at 16 kHz stated by the corpus; None if only the header has it.
    """

    name: str
    size: int | None
    promised: int | None = None

    def require(self) -> None:  # noqa: B027 (most sources are files that are here)
        """Refuse a recording that would have to be fetched and can't be."""

    @abc.abstractmethod
    def open(self) -> io.BufferedReader:
        """Seekable file with the recording; raises OSError or AudioError."""

    def fingerprint(self) -> str:
        """Short hash that another recording doesn't have, of what the corpus states: no audio is read."""
        return json_values.fingerprint([self.name, self.size, self.promised])

    def changed(self) -> float | None:
        """Seconds since 1970 at which the file changed last; None where a fingerprint needs no file."""
        return None


@dataclasses.dataclass(frozen=True, kw_only=True)
class FileSource(AudioSource):
    """Recording in a file of its own."""

    path: pathlib.Path

    @classmethod
    def at(cls, path: pathlib.Path, name: str) -> "FileSource":
        """Source at `path`, which may be missing: `samples` then raises AudioError."""
        return cls(path=path, name=name, size=_size(path))

    def open(self) -> io.BufferedReader:
        """Open file."""
        return self.path.open("rb")

    def fingerprint(self) -> str:
        """Short hash of the file's size and of 16 pieces of it, whatever its name: 0.1 ms a file."""
        if not self.size:
            return super().fingerprint()
        try:
            with self.open() as file:
                pieces = hashlib.sha256(str(self.size).encode())
                for piece in range(_PIECES):
                    file.seek(piece * max(0, self.size - _PIECE) // (_PIECES - 1))
                    pieces.update(file.read(_PIECE))
        except OSError as error:
            if disk_faults.passing(error):  # another fingerprint would pass for another recording
                raise disk_faults.unread(f"{self.path}: can't be read", error, "") from error
            return super().fingerprint()
        return pieces.hexdigest()[:16]

    def changed(self) -> float | None:
        """Seconds since 1970 at which the file changed last, even if its date was set back."""
        return None if self.size is None else self.path.stat().st_ctime


def _size(path: pathlib.Path) -> int | None:
    """Bytes of a file; None if there is none, or none that may be looked at."""
    try:
        found = path.stat()
    except OSError as error:
        if disk_faults.passing(error):  # or the recording would count as missing
            raise disk_faults.unread(f"{path}: can't be found", error, "") from error
        return None
    return found.st_size if stat.S_ISREG(found.st_mode) else None


def samples(source: AudioSource) -> int:
    """Number of samples that `decode` returns, as the corpus states it, else from the header.

    Raises:
      AudioError: the recording is broken.
      Refusal: it would have to be fetched and can't be; the whole corpus is then of no use.
    """
    source.require()
    if source.promised is not None:
        if source.promised < 1:
            raise AudioError(f"{source.name}: the corpus states {source.promised} samples. Record it again.")
        return source.promised
    with _open(source) as file, _header(source, file) as sound:
        return _resampled(sound.frames, sound.samplerate)


def decode(source: AudioSource, window: int | None = None) -> Float[np.ndarray, " time"]:
    """Waveform at 16 kHz, channels averaged; raises AudioError for a broken recording.

    Args:
      source: where the recording is.
      window: largest number of samples returned; the rest isn't read, so memory is bounded for any length.
    """
    with _open(source) as file, _header(source, file) as sound:
        rate, whole = sound.samplerate, sound.frames
        frames = whole if window is None else min(whole, -(-(window + _MARGIN) * rate // SAMPLE_RATE))
        try:
            wave = sound.read(frames, dtype="float32", always_2d=True)
        except soundfile.LibsndfileError as error:
            _read_through(source, file)
            raise AudioError(
                f"{source.name}: decoding stops with an error ({error}). Copy the file again."
            ) from error
        if len(wave) != frames:
            _read_through(source, file)
            raise AudioError(
                f"{source.name}: holds {len(wave)} of the {frames} samples that its header states. "
                "Copy the file again, or re-encode it as WAV or FLAC."
            )
    length = _resampled(whole, rate)
    if source.promised not in (None, length):
        raise AudioError(
            f"{source.name}: holds {length} samples at 16 kHz, but the corpus states {source.promised}. "
            "Fetch the corpus again."
        )
    if bad := np.count_nonzero(~np.isfinite(wave)):
        raise AudioError(f"{source.name}: {bad} samples are NaN or infinite. Export the recording again.")
    return resample(wave.mean(axis=1), rate)[:window]


def resample(wave: Float[np.ndarray, " before"], rate: int) -> Float[np.ndarray, " after"]:
    """Waveform resampled from `rate` to 16 kHz."""
    if rate == SAMPLE_RATE:
        return wave
    return librosa_modules.load("librosa.core.audio").resample(wave, orig_sr=rate, target_sr=SAMPLE_RATE)


def _resampled(frames: int, rate: int) -> int:
    """Length at 16 kHz, rounded up in floating point exactly as in `librosa.resample`."""
    return math.ceil(frames * (SAMPLE_RATE / rate))


def _open(source: AudioSource) -> io.BufferedReader:
    try:
        return source.open()
    except WriteError:
        raise  # an OSError too, but of the disk that a download goes to
    except FileNotFoundError as error:
        raise AudioError(f"{source.name}: the file is missing. Restore it, or leave it out.") from error
    except OSError as error:
        raise _unreadable(source, "opened", error) from error


def _unreadable(source: AudioSource, what: str, error: OSError) -> AudioError:
    remedy = ". Check the file's permissions."
    return AudioError(str(disk_faults.unread(f"{source.name}: can't be {what}", error, remedy)))


def _read_through(source: AudioSource, file: io.BufferedReader) -> None:
    """Raise the error of a disk that fails, which libsndfile takes for the end of a file."""
    try:
        file.seek(0)
        while file.read(_BLOCK):
            pass
    except OSError as error:
        raise _unreadable(source, "read", error) from error


def _header(source: AudioSource, file: io.BufferedReader) -> soundfile.SoundFile:
    """Recording opened by libsndfile, with a checked header."""
    size = file.seek(0, io.SEEK_END)
    if size == 0:
        raise AudioError(f"{source.name}: the file is empty (0 bytes). Copy it again, or take it out.")
    try:
        missing = _missing_part(file, size)
    except OSError as error:
        raise _unreadable(source, "read", error) from error
    if missing:
        raise AudioError(f"{source.name}: truncated, {missing} is missing. Copy the file again.")
    sound = _by_libsndfile(file)
    if sound is None:
        _read_through(source, file)
        sound = soundfile.SoundFile(ffmpeg.decoded(source.name, file))
    rule = ""
    if not 1 <= sound.channels <= _CHANNELS:
        rule = f"{sound.channels} channels; at most {_CHANNELS} are averaged. Mix the recording down first."
    elif sound.frames < 1:
        rule = "zero seconds of audio. Record it again, or take it out of the corpus."
    if rule:
        sound.close()
        raise AudioError(f"{source.name}: {rule}")
    return sound


def _by_libsndfile(file: io.BufferedReader) -> soundfile.SoundFile | None:
    file.seek(0)
    try:
        return soundfile.SoundFile(file)
    except (soundfile.LibsndfileError, TypeError):  # TypeError: name.raw, whose rate is unknown
        return None


def through_ffmpeg(source: AudioSource) -> bool:
    """True if libsndfile can't read a recording, so that it must be decoded by ffmpeg.

    False if it can't be opened any more.
    """
    try:
        opened = _open(source)
    except AudioError:
        return False
    with opened as file:
        sound = _by_libsndfile(file)
        if sound is not None:
            sound.close()
        return sound is None


def _missing_part(file: io.BufferedReader, size: int) -> str:
    """Description of the part that is missing by the container's own length; "" if the file is whole."""
    file.seek(0)
    magic = file.read(4)
    if magic in (b"RIFF", b"RIFX", b"RF64", b"FORM"):
        promised = _data_end(file, size, magic)
    elif magic == b".snd":
        start, length = (int.from_bytes(file.read(4), "big") for _ in range(2))
        promised = start + length if length < _UNKNOWN else 0
    elif magic == b"OggS":
        return _missing_ogg(file, size)
    else:
        return ""
    return f"{promised - size} of {promised} bytes" if promised > size else ""


def _data_end(file: io.BufferedReader, size: int, magic: bytes) -> int:
    """Offset at which the samples end by their chunk's header; 0 if the header doesn't state it.

    WAV's `data` and AIFF's `SSND` are chunks of (name, 32-bit size, content, pad byte); RF64 has the 64-bit
    size of `data` in an earlier chunk, `ds64`.
    """
    order = "big" if magic in (b"RIFX", b"FORM") else "little"
    position, long_size = 12, 0
    while position + 8 <= size:
        file.seek(position)
        name, length = file.read(4), int.from_bytes(file.read(4), order)
        if name == b"ds64":
            file.seek(8, io.SEEK_CUR)
            long_size = int.from_bytes(file.read(8), "little")
        elif name in (b"data", b"SSND"):
            if magic == b"RF64" and length == 0xFFFFFFFF:
                return position + 8 + long_size
            return position + 8 + length if length < _UNKNOWN else 0
        position += 8 + length + length % 2  # a chunk of odd length is followed by a pad byte
    return 0


def _missing_ogg(file: io.BufferedReader, size: int) -> str:
    """Description of the missing part; "" if the last page is complete and marked as the last."""
    start = max(0, size - _OGG_PAGE)
    file.seek(start)
    tail = file.read()
    page = tail.rfind(b"OggS")
    # A page: "OggS", version, flags at byte 5, ..., number of segments at byte 26, their lengths, content.
    flags, segments = tail[page + 5 : page + 6], tail[page + 26 : page + 27]
    whole = (
        page >= 0
        and segments
        and page + 27 + segments[0] + sum(tail[page + 27 :][: segments[0]]) <= len(tail)
    )
    return "" if whole and flags[0] & 4 else "the end of the stream"
