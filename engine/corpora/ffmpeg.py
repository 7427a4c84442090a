"""Recordings that libsndfile can't read, such as M4A, WMA or WebM, decoded by ffmpeg where it is installed.

About 0.1 s a recording, which is decoded whole into memory. Versions of ffmpeg may decode to other last bits,
so the log names the version that was used.
"""

import functools
import io
import logging
import re
import shutil
import subprocess
import tempfile

from isogloss.engine.corpora.audio_error import AudioError

_LOG = logging.getLogger(__name__)


def decoded(name: str, file: io.BufferedReader) -> io.BytesIO:
    """WAV in float32 at the recording's own rate and channels; AudioError if there is none.

    Args:
      name: of the recording, for messages.
      file: recording; it is copied, because an M4A may have its index at the end and a pipe can't go back.
    """
    if not (program := shutil.which("ffmpeg")):
        raise AudioError(
            f"{name}: not audio that libsndfile reads. Install ffmpeg, or convert it to WAV, FLAC, OGG, MP3."
        )
    with tempfile.NamedTemporaryFile(prefix="isogloss-") as copy:
        file.seek(0)
        shutil.copyfileobj(file, copy)
        copy.flush()
        # -xerror: a damaged recording is an error, not a shorter one.
        command = f"-nostdin -v error -xerror -i file:{copy.name} -map 0:a:0 -c:a pcm_f32le -f wav pipe:1"
        done = subprocess.run([program, *command.split()], capture_output=True, check=False)
    if done.returncode or not done.stdout:
        reason = (done.stderr.decode(errors="replace").strip() or "no audio in it").splitlines()[-1]
        # Without the copy's name and addresses in memory, so that runs report the same.
        reason = re.sub(r"\[.*?\] ", "", reason).removeprefix(f"file:{copy.name}: ")
        raise AudioError(
            f"{name}: not audio that libsndfile or ffmpeg reads ({reason}). Copy the file again, or "
            "convert it to WAV, FLAC, OGG or MP3."
        )
    _log_once(program)
    return io.BytesIO(done.stdout)


@functools.cache
def _log_once(program: str) -> None:
    done = subprocess.run([program, "-version"], capture_output=True, check=True, text=True)
    _LOG.info("%s decodes recordings that libsndfile can't read", " ".join(done.stdout.split()[:3]))
