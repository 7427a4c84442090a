"""A proxy before an HTTP server that breaks some requests: resets, 503, lost and cut answers, outages."""

import collections
import http.client
import http.server
import random
import socket
import struct
import threading
import time

FAULTS = {"reset": 0.06, "slow down": 0.04, "lost answer": 0.03, "cut answer": 0.03}
"""Shares of the requests; 16% in all."""
_BUSY = b"<?xml version='1.0'?><Error><Code>SlowDown</Code><Message>Reduce your rate.</Message></Error>"


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def pass_on(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = self.server.draw(chunk=self.command == "PUT" and "/c." in self.path)
        if fault in {"down", "reset"}:
            return self.abort()
        if fault == "slow down":
            return self.answer(503, [("Content-Type", "application/xml")], _BUSY, len(_BUSY))
        upstream = http.client.HTTPConnection(self.server.upstream)
        upstream.request(self.command, self.path, body, dict(self.headers))
        found = upstream.getresponse()
        content = found.read()
        upstream.close()
        if fault == "lost answer":
            return self.abort()  # the server did it, nobody is told
        length = found.headers.get("Content-Length", len(content))
        sent = content[: len(content) * 2 // 3] if fault == "cut answer" else content
        self.answer(found.status, found.headers.items(), sent, length)
        if fault == "cut answer":
            self.abort()

    do_GET = do_PUT = do_HEAD = do_DELETE = pass_on  # noqa: N815

    def answer(self, status, headers, content, length):
        self.send_response_only(status)
        for name, value in headers:
            if name.lower() not in {"connection", "content-length", "transfer-encoding"}:
                self.send_header(name, value)
        self.send_header("Content-Length", str(length))
        self.end_headers()
        if self.command != "HEAD":  # a client would take a body for the next answer's first line
            self.wfile.write(content)

    def abort(self):
        self.wfile.flush()
        self.close_connection = True
        # A reset, and not an orderly end.
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    def log_message(self, *args):
        pass


class Proxy(http.server.ThreadingHTTPServer):
    """The proxy, in a thread of this process.

    Attributes:
      endpoint: its address.
      upstream: address of the server behind it.
      counts: number of requests by what happened to them.
    """

    def __init__(self, upstream, outage, seed=0):
        """With an outage, (chunks, seconds): after so many written chunks every connection is reset."""
        super().__init__(("127.0.0.1", 0), _Handler)
        self.upstream = upstream.removeprefix("http://")
        self.counts = collections.Counter()
        self._chunks, self._seconds = outage
        self._up_again = 0.0
        self._random, self._lock = random.Random(seed), threading.Lock()
        self.endpoint = f"http://127.0.0.1:{self.server_port}"
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        pass  # a client that was killed

    def draw(self, *, chunk):
        """What happens to a request, which may write a chunk."""
        with self._lock:
            fault, at = "passed", self._random.random()
            for name, share in FAULTS.items():
                at -= share
                if at < 0:
                    fault = name
                    break
            self._chunks -= chunk
            if chunk and self._chunks == -1:
                self._up_again = time.monotonic() + self._seconds
            fault = "down" if time.monotonic() < self._up_again else fault
            self.counts[fault] += 1
            return fault

    def close(self):
        self.shutdown()
        self.server_close()
