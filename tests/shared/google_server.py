"""What TensorStore uses of Google Cloud Storage's JSON API, on this machine, for one bucket."""

import http.server
import json
import re
import threading
import urllib.parse


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def answer(self, status, content=b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def handled(self):
        url = urllib.parse.urlsplit(self.path)
        given = dict(urllib.parse.parse_qsl(url.query))
        content = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        name = given.get("name") or urllib.parse.unquote(url.path.partition("/o/")[2])
        if self.command == "GET" and not name:
            self.list(given.get("startOffset", ""), given.get("endOffset", "\U0010ffff"))
        elif self.command == "POST":
            self.write(name, content, given.get("ifGenerationMatch"))
        elif name not in self.server.held:
            self.answer(404)
        elif self.command == "DELETE":
            del self.server.held[name]
            self.answer(204)
        elif given.get("alt") == "media":
            self.send(self.server.held[name])
        else:
            self.describe(name)

    def list(self, start, end):
        names = [{"name": name} for name in sorted(self.server.held) if start <= name < end]
        self.answer(200, json.dumps({"items": names}).encode())

    def write(self, name, content, generation):
        if generation == "0" and name in self.server.held:
            self.answer(412)
        else:
            self.server.held[name] = content
            self.describe(name)

    def describe(self, name):
        size = str(len(self.server.held[name]))
        described = {"name": name, "generation": "1", "metageneration": "1", "size": size}
        self.answer(200, json.dumps(described).encode())

    def send(self, held):
        span = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
        if not span:
            return self.answer(200, held, x_goog_generation="1")
        first = int(span[1]) if span[1] else len(held) - int(span[2])
        last = int(span[2]) + 1 if span[1] and span[2] else len(held)
        part = held[first:last]
        where = f"bytes {first}-{first + len(part) - 1}/{len(held)}"
        return self.answer(206, part, x_goog_generation="1", Content_Range=where)

    do_GET = do_POST = do_DELETE = handled  # noqa: N815

    def log_message(self, *args):
        pass


class Google(http.server.ThreadingHTTPServer):
    """A server in a thread of this process.

    Attributes:
      endpoint: its address.
      held: bytes of all objects by name.
    """

    def __init__(self):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.held = {}
        self.endpoint = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def close(self):
        self.shutdown()
        self.server_close()
