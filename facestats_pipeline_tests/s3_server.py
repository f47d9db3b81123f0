"""A real S3 server on loopback (moto), and a proxy before it that fails in the ways that networks do."""

import http.client
import itertools
import random
import socket
import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest

BUCKET = "faces"
KEYS = {"AWS_ACCESS_KEY_ID": "loopback", "AWS_SECRET_ACCESS_KEY": "not-a-secret", "AWS_DEFAULT_REGION": "us-east-1"}
FAULTS = ("500", "503", "drop", "cut off", "lost answer", "short")
"""Error pages; a connection that ends without an answer, in the middle of a body, or after the server has done what was asked; and a body
that is shorter than the object though its length is declared so."""


@contextmanager
def s3_server() -> Iterator[str]:
    """Address of an S3 server with an empty bucket; it ends with the block. One at a time in a process."""
    server_module = pytest.importorskip("moto.server", reason="moto is not installed: no S3 server to test against")
    server = server_module.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        # All of moto's servers in a process share what they hold: without the first request, what another file's tests have put there.
        for method, path in (("POST", "/moto-api/reset"), ("PUT", f"/{BUCKET}")):
            connection = http.client.HTTPConnection(host, port)
            connection.request(method, path)
            assert connection.getresponse().status == 200
        yield f"http://{host}:{port}"
    finally:
        server.stop()


class FaultyProxy:
    """Passes requests on to an S3 server, and fails one in `every`, in turn in each of FAULTS; how often is in `injected`.

    Each answer is kept back for `delay` seconds: the latency of a network.
    """

    def __init__(self, upstream: str, every: float, seed: int = 0) -> None:
        self.upstream = urlsplit(upstream)
        self.every = every
        self.delay = 0.0
        self.injected: Counter[str] = Counter()
        self.requests: Counter[str] = Counter()
        self._draw, self._kinds = random.Random(seed), itertools.cycle(FAULTS)
        self._guard = threading.Lock()
        proxy = self

        class Handler(_Handler):
            owner = proxy

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"http://127.0.0.1:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def fault(self, method: str, body: bytes) -> str:
        """The fault of a request that got the answer `body`; empty for most."""
        with self._guard:
            self.requests[method] += 1
            if self._draw.random() * self.every >= 1:
                return ""
            kind = next(self._kinds)
            if kind in ("cut off", "short") and (method != "GET" or len(body) < 2):
                kind = "drop"
            self.injected[kind] += 1
            return kind

    def close(self) -> None:
        """Stop."""
        self._server.shutdown()
        self._server.server_close()


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    owner: FaultyProxy

    def _pass_on(self) -> None:
        body = self._body()
        upstream = self.owner.upstream
        connection = http.client.HTTPConnection(str(upstream.hostname), upstream.port)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "transfer-encoding"}
        connection.request(self.command, self.path, body or None, headers)
        answer = connection.getresponse()
        data = answer.read()
        time.sleep(self.owner.delay)
        kind = self.owner.fault(self.command, data)
        if kind in ("500", "503"):
            text = (
                b"<Error><Code>InternalError</Code></Error>"
                if kind == "500"
                else b"<Error><Code>SlowDown</Code></Error>"
            )
            self._answer(int(kind), {"Content-Type": "application/xml"}, text, len(text))
        elif kind in ("drop", "lost answer"):
            self._hang_up()
        elif kind == "cut off":
            self._answer(answer.status, dict(answer.getheaders()), data[: len(data) // 2], len(data))
            self._hang_up()
        elif kind == "short":
            self._answer(answer.status, dict(answer.getheaders()), data[: len(data) // 2], len(data) // 2)
        else:
            self._answer(
                answer.status, dict(answer.getheaders()), data, int(answer.getheader("Content-Length") or len(data))
            )
        connection.close()

    do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _pass_on

    def _body(self) -> bytes:
        if self.headers.get("Expect", "").lower() == "100-continue":
            self.send_response_only(100)
            self.end_headers()
        return self.rfile.read(int(self.headers.get("Content-Length") or 0))

    def _answer(self, status: int, headers: Mapping[str, str], data: bytes, declared: int) -> None:
        self.send_response_only(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(declared))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _hang_up(self) -> None:
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def environment(address: str) -> dict[str, str]:
    """What the AWS SDK finds the server by."""
    return KEYS | {"AWS_ENDPOINT_URL": address, "AWS_EC2_METADATA_DISABLED": "true"}
