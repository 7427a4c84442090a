"""Audio against librosa, and every way in which a recording can be broken."""

import dataclasses
import errno
import io
import pathlib
import shutil
import struct
import subprocess

import librosa
import numpy as np
import pytest
import soundfile

from isogloss.engine.corpora import audio, durations, ffmpeg, listing
from isogloss.engine.runtime import disk_faults
from isogloss.engine.runtime.refusal import UnreachableError

# librosa.load imports audioread, which imports what Python 3.13 dropped.
pytestmark = pytest.mark.filterwarnings("ignore:.*slated for removal:DeprecationWarning")

RATES = (8000, 11025, 16000, 22050, 44100, 48000)
FORMATS = (
    ("wav", "PCM_16"),
    ("wav", "PCM_24"),
    ("wav", "FLOAT"),
    ("wav", "ULAW"),
    ("rf64", "PCM_16"),
    ("aiff", "PCM_16"),
    ("au", "PCM_16"),
    ("flac", "PCM_16"),
    ("ogg", "VORBIS"),
    ("ogg", "OPUS"),
    ("mp3", "MPEG_LAYER_III"),
)


def encoded(kind="wav", subtype="PCM_16", frames=4001, rate=16000, channels=1) -> bytes:
    wave = np.random.default_rng(frames).uniform(-0.5, 0.5, (frames, channels))
    buffer = io.BytesIO()
    soundfile.write(buffer, wave, rate, format=kind, subtype=subtype)
    return buffer.getvalue()


@pytest.fixture
def put(tmp_path):
    """Write bytes to a file and return its source."""

    def write(content: bytes, name: str = "a.wav") -> audio.FileSource:
        (tmp_path / name).write_bytes(content)
        return audio.FileSource.at(tmp_path / name, name)

    return write


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("frames", [1, 2, 319, 4001])
def test_decode_equals_librosa(put, rate, channels, frames):
    source = put(encoded(rate=rate, channels=channels, frames=frames))
    wave = audio.decode(source)
    expected, _ = librosa.load(source.path, sr=16000)
    np.testing.assert_array_equal(wave, expected)
    assert wave.dtype == np.float32
    assert audio.samples(source) == len(wave)


@pytest.mark.parametrize(("kind", "subtype"), FORMATS)
def test_every_format_keeps_its_promised_length(put, kind, subtype):
    rate = 48000 if subtype == "OPUS" else 16000
    source = put(encoded(kind, subtype, 48000, rate), f"a.{kind}")
    wave = audio.decode(source)
    np.testing.assert_array_equal(wave, librosa.load(source.path, sr=16000)[0])
    assert audio.samples(source) == len(wave) == 48000 * 16000 // rate


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 22050, 24000, 37800, 44100, 48000, 96000])
def test_length_rounds_up_as_in_librosa(rate):
    for frames in (1, 2, 441, 882, 11025, 44100, 48000 * 30, 44100 * 159):
        assert audio._resampled(frames, rate) == int(np.ceil(frames * (16000 / rate)))


@pytest.mark.parametrize(("kind", "subtype"), FORMATS)
@pytest.mark.parametrize("keep", [0.5, 0.9])
def test_truncated(put, kind, subtype, keep, capfd):
    content = encoded(kind, subtype, 48000, 48000 if subtype == "OPUS" else 16000)
    source = put(content[: int(len(content) * keep)], f"a.{kind}")
    with pytest.raises(audio.AudioError, match=rf"^a\.{kind}: .*Copy the file again"):
        audio.decode(source)
    capfd.readouterr()  # libsndfile's MP3 decoder complains on its own


@pytest.mark.parametrize("kind", ["wav", "rf64", "aiff", "au", "ogg"])
def test_one_missing_byte_is_found_by_the_header_alone(put, kind):
    subtype = "VORBIS" if kind == "ogg" else "PCM_16"
    with pytest.raises(audio.AudioError, match="truncated"):
        audio.samples(put(encoded(kind, subtype, 4000)[:-1]))


def test_ogg_cut_between_pages(put):
    content = encoded("ogg", "VORBIS", 480_000)
    with pytest.raises(audio.AudioError, match="the end of the stream"):
        audio.samples(put(content[: content.rindex(b"OggS")]))


def test_riff_with_chunks_around_the_data(put):
    """A chunk of odd length has a pad byte; what follows the data does not matter."""
    content = encoded(frames=100)
    at = content.index(b"data")
    extra = b"note" + struct.pack("<I", 3) + b"abc\0"
    content = content[:at] + extra + content[at:] + extra
    content = content[:4] + struct.pack("<I", len(content) - 8) + content[8:]
    source = put(content)
    assert audio.samples(source) == len(audio.decode(source)) == 100


@pytest.mark.parametrize(("riff", "data"), [(8, 0), (0x7FFFF024, 0x7FFFF000), (2**32 - 1,) * 2])
def test_streamed_wav_passes(put, riff, data):
    """A program that writes WAV into a pipe doesn't know the length beforehand."""
    content = encoded(frames=100)
    at = content.index(b"data") + 4
    header = content[:4] + struct.pack("<I", riff) + content[8:at] + struct.pack("<I", data)
    source = put(header + content[at + 4 :])
    assert audio.samples(source) == len(audio.decode(source)) == 100


BROKEN = {
    "empty": (b"", "empty (0 bytes)"),
    "zero seconds": (encoded(frames=0), "zero seconds"),
    "text": (b"not a sound\n" * 100, "not audio"),
    "header only": (encoded()[:20], "not audio"),
    "eight channels": (encoded(channels=8), "8 channels"),
    "three channels": (encoded(channels=3), "3 channels"),
}


@pytest.mark.parametrize("case", BROKEN)
@pytest.mark.parametrize("use", [audio.samples, audio.decode])
def test_broken(put, case, use):
    content, rule = BROKEN[case]
    with pytest.raises(audio.AudioError) as caught:
        use(put(content))
    assert str(caught.value).startswith("a.wav: ")
    assert rule in str(caught.value)
    assert str(caught.value).endswith(".")  # the remedy


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_not_finite(put, value):
    wave = np.zeros((50, 2), np.float32)
    wave[49, 1] = value
    buffer = io.BytesIO()
    soundfile.write(buffer, wave, 16000, format="wav", subtype="FLOAT")
    with pytest.raises(audio.AudioError, match="1 samples are NaN or infinite"):
        audio.decode(put(buffer.getvalue()))


def test_raw_name_and_folder_and_missing(put, tmp_path):
    with pytest.raises(audio.AudioError, match="not audio"):
        audio.samples(put(b"\1" * 100, "a.raw"))
    for name, rule in (("gone.wav", "missing"), (".", "can't be opened")):
        source = audio.FileSource.at(tmp_path / name, name)
        assert source.size is None
        with pytest.raises(audio.AudioError, match=rule):
            audio.samples(source)


class FailingFile(io.RawIOBase):
    """File of a disk that can't read behind some bytes now."""

    def __init__(self, content, sound):
        self.content, self.sound = io.BytesIO(content), sound

    def readable(self):
        return True

    def seekable(self):
        return True

    def seek(self, offset, whence=0, /):
        return self.content.seek(offset, whence)

    def readinto(self, buffer, /):
        if self.content.tell() + len(buffer) > self.sound:
            raise OSError(errno.EIO, "Input/output error")
        return self.content.readinto(buffer)


@dataclasses.dataclass(frozen=True, kw_only=True)
class FailingSource(audio.AudioSource):
    content: bytes
    sound: int

    def open(self):
        return io.BufferedReader(FailingFile(self.content, self.sound), 16)


@pytest.mark.parametrize("sound", [0, 44, 3000])
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # libsndfile's read prints it
def test_a_disk_that_fails_is_no_fault_of_a_recording(sound):
    """In the header and behind it, where libsndfile takes it for the file's end."""
    source = FailingSource(name="a.wav", size=None, content=encoded(frames=4001), sound=sound)
    with pytest.raises(audio.AudioError, match=r"a\.wav: can't be read \(Input/output error\); the") as found:
        audio.decode(source)
    assert disk_faults.may_pass(str(found.value))
    if sound == 0:
        utterance = listing.Utterance(
            name="a", language="en", sentence="1", rank=0, transcription="", gender="", source=source
        )
        with pytest.raises(UnreachableError, match="run the same command again"):
            durations.lengths_of([utterance])


def test_a_fingerprint_is_not_taken_from_a_disk_that_fails(put, monkeypatch):
    source = put(encoded())

    def fail(number):
        def opened(*_):
            raise OSError(number, "no")

        monkeypatch.setattr(audio.FileSource, "open", opened)

    fail(errno.EACCES)
    assert source.fingerprint() == audio.AudioSource.fingerprint(source)
    fail(errno.ESTALE)
    with pytest.raises(UnreachableError, match="can't be read"):
        source.fingerprint()


@pytest.mark.parametrize("number", [errno.ENOENT, errno.EACCES, errno.EIO])
def test_a_file_is_missing_only_if_the_disk_says_so(put, monkeypatch, number):
    path = put(encoded()).path

    def fail(*_, **__):
        raise OSError(number, "no")

    monkeypatch.setattr(pathlib.Path, "stat", fail)
    if number == errno.EIO:
        with pytest.raises(UnreachableError, match=r"can't be found \(no\); the disk failed"):
            audio.FileSource.at(path, "a.wav")
    else:
        assert audio.FileSource.at(path, "a.wav").size is None


def test_promised_length_spares_the_file_and_is_checked(put, tmp_path):
    source = put(encoded(frames=8000, rate=8000))
    right = dataclasses.replace(source, promised=16000)
    assert audio.samples(right) == len(audio.decode(right)) == 16000
    wrong = dataclasses.replace(source, promised=15999)
    assert audio.samples(dataclasses.replace(wrong, path=tmp_path / "gone")) == 15999
    with pytest.raises(audio.AudioError, match="16000 samples at 16 kHz, but the corpus states 15999"):
        audio.decode(wrong)
    with pytest.raises(audio.AudioError, match="states 0 samples"):
        audio.samples(dataclasses.replace(source, promised=0))


@pytest.fixture
def m4a(tmp_path):
    """AAC of a second of noise at 44.1 kHz, in two channels; its index is at the end of the file."""
    program = shutil.which("ffmpeg")
    if program is None:
        pytest.skip("ffmpeg isn't installed; without it, an M4A is refused with the remedy")
    (tmp_path / "a.wav").write_bytes(encoded(rate=44100, frames=44100, channels=2))
    path = tmp_path / "a.m4a"
    run = [program, "-v", "error", "-i", str(tmp_path / "a.wav"), "-b:a", "256k", str(path)]
    subprocess.run(run, check=True)
    return path


def test_what_libsndfile_cannot_read_goes_through_ffmpeg(m4a, put, caplog):
    caplog.set_level("INFO")
    ffmpeg._log_once.cache_clear()
    source = audio.FileSource.at(m4a, "a.m4a")
    wave = audio.decode(source)
    assert wave.dtype == np.float32
    assert audio.samples(source) == len(wave)
    expected = audio.decode(put(encoded(rate=44100, frames=44100, channels=2)))
    assert len(expected) <= len(wave) <= len(expected) + 1024  # AAC fills its last frame
    middle = slice(2000, 14000)
    assert np.corrcoef(wave[middle], expected[middle])[0, 1] > 0.9
    np.testing.assert_array_equal(audio.decode(source, 5000), wave[:5000])
    assert caplog.text.count("ffmpeg version") == 1
    content = m4a.read_bytes()
    for kept in (100, len(content) // 2):
        with pytest.raises(audio.AudioError, match=r"cut\.m4a: not audio that libsndfile or ffmpeg reads"):
            audio.decode(put(content[:kept], "cut.m4a"))


def test_without_ffmpeg_the_remedy_names_it(put, monkeypatch):
    monkeypatch.setattr("shutil.which", lambda _: None)
    with pytest.raises(audio.AudioError, match=r"libsndfile reads\. Install ffmpeg, or convert"):
        audio.decode(put(b"\0\0\0\x20ftypM4A " + bytes(100), "a.m4a"))
