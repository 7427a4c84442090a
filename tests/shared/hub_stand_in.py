"""A hub on this machine that counts what it is asked and what it sends, and files as they are published."""

import contextlib
import hashlib
import http.server
import io
import json
import os
import sys
import threading
import urllib.parse

import numpy as np
import processes
import pyarrow as pa
import pyarrow.parquet as pq
import soundfile


def wav(samples: int, rate: int = 16000) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, np.random.default_rng(samples).uniform(-1, 1, samples), rate, format="wav")
    return buffer.getvalue()


def table(columns: dict, sounds: list, audio: str = "audio", labels: dict | None = None) -> bytes:
    """Parquet as `datasets` writes it: audio of (bytes, path), features in the schema."""
    features = {
        audio: {"sampling_rate": 16000, "_type": "Audio"},
        **{name: {"names": names, "_type": "ClassLabel"} for name, names in (labels or {}).items()},
    }
    made = pa.table({**columns, audio: [{"bytes": sound, "path": name} for name, sound in sounds]})
    made = made.replace_schema_metadata({"huggingface": json.dumps({"info": {"features": features}})})
    buffer = io.BytesIO()
    pq.write_table(made, buffer, row_group_size=8)
    return buffer.getvalue()


class Hub(http.server.ThreadingHTTPServer):
    """As much of the hub as its client needs: commits, trees, files and parts of files.

    Attributes:
      files: content by repository and path.
      commit: of all branches.
      asked: (method, path, bytes sent) of each request.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, dict[str, bytes]] = {}
        self.commit = "0123456789" * 4
        self.asked: list[tuple[str, str, int]] = []

    def sent(self):
        return sum(size for _, _, size in self.asked)

    def downloads(self):
        """Whole files that were sent."""
        return [
            path.partition("/resolve/")[2]
            for method, path, size in self.asked
            if method == "GET" and size > 1e5
        ]

    def python(self, home, code, *arguments, **environment):
        """Process with this hub and this cache."""
        given = {"HF_ENDPOINT": f"http://127.0.0.1:{self.server_port}", "HF_HOME": str(home), **environment}
        command = [sys.executable, *(code.split() if code.startswith("-m") else ("-c", code)), *arguments]
        return processes.piped(command, env=os.environ | given)


class Handler(http.server.BaseHTTPRequestHandler):
    server: Hub

    def do_HEAD(self):
        self.do_GET()

    def do_POST(self):
        fields = urllib.parse.parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        repository = self.path.removeprefix("/api/datasets/").partition("/paths-info/")[0]
        files = self.server.files[repository]
        self.answer(json.dumps([entry(files, path) for path in fields["paths"] if path in files]).encode())

    def do_GET(self):
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        kind, _, rest = path.removeprefix("/").partition("/")
        if kind == "api":
            _, _, rest = rest.partition("/")
        elif kind != "datasets":
            kind, rest = "models", path.removeprefix("/")
        repository = "/".join(rest.split("/")[:2])
        files, what = self.server.files.get(repository, {}), rest.removeprefix(repository).strip("/")
        if kind == "api" and what.startswith("tree/"):
            folder = what.split("/", 2)[2] if what.count("/") > 1 else ""
            found = tree(files, folder, "recursive=True" in self.path or "recursive=true" in self.path)
            self.answer(json.dumps(found).encode() if found else None)
        elif kind == "api" and files:
            siblings = [{"rfilename": name, "size": len(content)} for name, content in files.items()]
            made = {"id": repository, "sha": self.server.commit, "siblings": siblings}
            self.answer(json.dumps(made).encode())
        else:
            _, _, file = what.removeprefix("resolve/").partition("/")
            self.answer(files.get(file))

    def answer(self, whole):
        if whole is None:
            self.server.asked.append((self.command, self.path, 0))
            self.send_response(404)
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("X-Repo-Commit", self.server.commit)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        start, stop = 0, len(whole)
        if part := self.headers.get("Range"):
            first, last = part.removeprefix("bytes=").split("-")
            start, stop = int(first), min(int(last or stop) + 1, stop)
        head = self.command == "HEAD"
        self.server.asked.append((self.command, self.path, 0 if head else stop - start))
        self.send_response(206 if part else 200)
        self.send_header("Content-Length", str(stop - start))
        self.send_header("Content-Range", f"bytes {start}-{stop - 1}/{len(whole)}")
        self.send_header("Accept-Ranges", "bytes")
        self.send_header("ETag", f'"{hashlib.sha256(whole).hexdigest()}"')
        self.send_header("X-Repo-Commit", self.server.commit)
        self.end_headers()
        self.wfile.write(b"" if head else whole[start:stop])

    def log_message(self, *_):
        pass


def entry(files, path):
    return {"type": "file", "path": path, "size": len(files[path]), "oid": "0"}


def tree(files, folder, recursive):
    prefix = f"{folder}/" if folder else ""
    inside = [path for path in files if path.startswith(prefix)]
    if recursive:
        return [entry(files, path) for path in inside]
    folders = {path[len(prefix) :].partition("/")[0] for path in inside if "/" in path[len(prefix) :]}
    return [
        *({"type": "directory", "path": prefix + name, "oid": "0", "size": 0} for name in sorted(folders)),
        *(entry(files, path) for path in inside if "/" not in path[len(prefix) :]),
    ]


@contextlib.contextmanager
def running():
    """A hub while it runs."""
    server = Hub()
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def finish(process, code=0):
    """Output of a process that ends with this exit code."""
    output, errors = process.communicate(timeout=processes.PATIENCE)
    assert process.returncode == code, errors
    return output, errors
