"""FLEURS from a hub on this machine: what is asked of it, how many bytes it sends, and once only."""

import hashlib
import http.server
import io
import json
import os
import subprocess
import sys
import threading

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import soundfile

from isogloss.engine.corpora import corpus, fleurs_hub

FILE = "fr_fr/test-00000-of-00001.parquet"
ROOT = f"/datasets/{fleurs_hub.REPOSITORY}"
API = f"/api{ROOT}"
ROWS, SAMPLES = 24, 120_000
PROGRAM = """
import sys
from isogloss.engine.corpora import audio, corpus
listing = corpus.open_corpus("fleurs:test").listing("fr_fr", "all")
print(*(utterance.name for utterance in listing.utterances))
print(*(audio.samples(utterance.source) for utterance in listing.utterances))
if "decode" in sys.argv:
    print(sum(len(audio.decode(utterance.source)) for utterance in listing.utterances))
"""


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of the hub as its client needs: commit, tree, files and parts of files."""

    def do_HEAD(self):
        self.answer(b"", head=True)

    def do_GET(self):
        if self.path.startswith(f"{API}/tree/"):
            entry = {"type": "file", "path": FILE, "size": len(self.server.content), "oid": "0"}
            self.answer(json.dumps([entry]).encode())
        elif self.path.startswith(f"{API}/revision/"):
            self.answer(json.dumps({"id": fleurs_hub.REPOSITORY, "sha": fleurs_hub.REVISION}).encode())
        elif self.path.startswith(f"{ROOT}/resolve/{fleurs_hub.REVISION}/{FILE}"):
            self.answer(self.server.content)
        else:  # what the client wants to know besides
            self.send_error(404)

    def answer(self, content, head=False):
        whole = self.server.content if head else content
        start, stop = 0, len(whole)
        if part := self.headers.get("Range"):
            first, last = part.removeprefix("bytes=").split("-")
            start, stop = int(first), min(int(last or stop) + 1, stop)
        self.server.asked.append((self.command, self.path, 0 if head else stop - start))
        self.send_response(206 if part else 200)
        self.send_header("Content-Length", str(stop - start))
        self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(whole)}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{hashlib.sha256(whole).hexdigest()}"')
        self.send_header("X-Repo-Commit", fleurs_hub.REVISION)
        self.end_headers()
        self.wfile.write(whole[start:stop] if not head else b"")

    def log_message(self, *_):
        pass


def parquet() -> bytes:
    """A file of three row groups with 240 kB of audio a row, as FLEURS's columns stand."""
    draw = np.random.default_rng(0)
    sounds = []
    for row in range(ROWS):
        buffer = io.BytesIO()
        soundfile.write(buffer, draw.uniform(-1, 1, SAMPLES + row), 16000, format="wav")
        sounds.append({"bytes": buffer.getvalue(), "path": f"{row:02}.wav"})
    table = pa.table(
        {
            "id": pa.array(range(ROWS), pa.int32()),
            "num_samples": pa.array([SAMPLES + row for row in range(ROWS)], pa.int32()),
            "audio": sounds,
            "transcription": [f"texte {row}" for row in range(ROWS)],
            "gender": pa.array([row % 2 for row in range(ROWS)], pa.int64()),
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer, row_group_size=8)
    return buffer.getvalue()


@pytest.fixture
def hub():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    server.content, server.asked = parquet(), []
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def start(hub, home, *arguments):
    environment = os.environ | {"HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}", "HF_HOME": str(home)}
    return subprocess.Popen(
        [sys.executable, "-c", PROGRAM, *arguments],
        env=environment,
        stdout=subprocess.PIPE,
        text=True,
    )


def finish(process):
    output, _ = process.communicate(timeout=120)
    assert process.returncode == 0
    return output.splitlines()


def test_a_listing_reads_no_audio_and_processes_download_a_file_once(hub, tmp_path):
    names = " ".join(f"{row}.0" for row in range(ROWS))
    lengths = " ".join(str(SAMPLES + row) for row in range(ROWS))
    audio_bytes = ROWS * 2 * SAMPLES
    assert finish(start(hub, tmp_path)) == [names, lengths]
    sent = sum(size for _, _, size in hub.asked)
    assert 0 < sent < audio_bytes / 10
    assert len(hub.asked) < 20
    del hub.asked[:]
    shards = [start(hub, tmp_path, "decode") for _ in range(2)]
    total = sum(SAMPLES + row for row in range(ROWS))
    assert [finish(shard) for shard in shards] == [[names, lengths, str(total)]] * 2
    files = [size for method, path, size in hub.asked if method == "GET" and "/resolve/" in path]
    assert files == [len(hub.content)]
    assert not [path for _, path, _ in hub.asked if "/tree/" in path]  # the first process kept the listing


def test_hub_out_of_reach(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", str(tmp_path / "assets"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(ValueError, match=r"mteb/fleurs.*fr_fr.*HF_HOME.*fleurs-dir:PATH"):
        corpus.open_corpus("fleurs").listing("fr_fr")
