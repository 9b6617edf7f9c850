"""A team's store in a process of its own: moto's S3, and a proxy before it that spoils answers."""

from __future__ import annotations

import http.client
import importlib.util
import os
import subprocess
import sys
import threading
import time
import uuid
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

ACCESS, SECRET, TOKEN = "AKIAQUANTBENCHTEST00", "sEcReT/of-the-team", "tOkEn.of.the.session"

# One request at a time: moto looks and then writes, and two creates at once would both be first.
SERVER = """
from moto.moto_server.werkzeug_app import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import make_server
server = make_server("127.0.0.1", 0, DomainDispatcherApplication(create_backend_app))
print(server.port, flush=True)
server.serve_forever()
"""


@dataclass
class Fault:
    """What the proxy does to the answers that it is for.

    Attributes:
        on: whether it is for a method and a path.
        times: how often; negative for always.
        status: answered instead of the server's own.
        code: word of the answer's XML.
        cut: bytes of the answer's body that come before the connection ends.
        flip: turn a bit in the middle of the body.
        wait_s: before the body, and again after each byte of it.
    """

    on: Callable[[str, str], bool] = lambda _method, _path: True
    times: int = -1
    status: int | None = None
    code: str = ""
    cut: int | None = None
    flip: bool = False
    wait_s: float = 0


class Proxy:
    """Stands before a server; what it was asked is in `asked`."""

    def __init__(self, port: int) -> None:
        self.faults: list[Fault] = []
        self.asked: list[tuple[str, str]] = []
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def handle_one_request(self) -> None:
                with suppress(ConnectionError):
                    super().handle_one_request()

            def pass_on(self) -> None:
                proxy.pass_on(self, port)

            do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = pass_on  # noqa: N815

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.port = self._server.server_port

    def pass_on(self, request: BaseHTTPRequestHandler, port: int) -> None:
        """Ask the server, and answer as the first fault says that is for the request."""
        body = request.rfile.read(int(request.headers.get("Content-Length") or 0))
        self.asked.append((request.command, request.path))
        fault = next(
            (each for each in self.faults if each.times and each.on(request.command, request.path)),
            None,
        )
        if fault is None:
            fault = Fault()
        fault.times -= 1
        if fault.status is None:
            connection = http.client.HTTPConnection("127.0.0.1", port)
            connection.request(request.command, request.path, body, dict(request.headers))
            answer = connection.getresponse()
            status, headers, content = answer.status, answer.getheaders(), answer.read()
            connection.close()
        else:
            text = f"<Error><Code>{fault.code}</Code><AWSAccessKeyId>{ACCESS}</AWSAccessKeyId>"
            sent = request.headers.get("x-amz-security-token")
            status, headers = fault.status, []
            content = f"{text}<Sent>{sent}</Sent><Key>{SECRET}</Key></Error>".encode()
        self._answer(request, fault, status, headers, content)

    def _answer(
        self,
        request: BaseHTTPRequestHandler,
        fault: Fault,
        status: int,
        headers: list[tuple[str, str]],
        content: bytes,
    ) -> None:
        request.send_response_only(status)
        for name, value in headers:
            if name.lower() not in {"connection", "transfer-encoding", "content-length"}:
                request.send_header(name, value)
        length = {name.lower(): value for name, value in headers}.get("content-length")
        request.send_header("Content-Length", length or str(len(content)))
        request.end_headers()
        if fault.flip and content:
            middle = len(content) // 2
            content = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
        if fault.wait_s:
            for byte in content:
                time.sleep(fault.wait_s)
                request.wfile.write(bytes([byte]))
                request.wfile.flush()
        elif request.command != "HEAD":
            request.wfile.write(content[: fault.cut])
        if fault.cut is not None:
            request.close_connection = True

    def close(self) -> None:
        """Take no more requests."""
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Team:
    """A bucket of its own behind a proxy of its own."""

    url: str
    proxy: Proxy
    environment: dict[str, str] = field(default_factory=dict)

    def asked(self, method: str, part: str = "") -> int:
        """How many requests there were."""
        return sum(one == method and part in path for one, path in self.proxy.asked)


@pytest.fixture(scope="session")
def s3_port() -> Iterator[int]:
    """Of a server process."""
    if importlib.util.find_spec("moto") is None or importlib.util.find_spec("flask") is None:
        if "extras" in os.environ.get("QUANTBENCH_REQUIRE", ""):
            pytest.fail('needs moto: pip install "quantbench[test]"')
        pytest.skip('needs moto: pip install "quantbench[test]"')
    with subprocess.Popen(
        [sys.executable, "-c", SERVER],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as server:
        assert server.stdout is not None
        yield int(server.stdout.readline())
        server.kill()


@pytest.fixture
def team(s3_port: int, monkeypatch: pytest.MonkeyPatch) -> Iterator[Team]:
    """An empty bucket that this process and its children may use."""
    bucket = f"team-{uuid.uuid4().hex[:12]}"
    connection = http.client.HTTPConnection("127.0.0.1", s3_port)
    connection.request("PUT", f"/{bucket}")
    assert connection.getresponse().status == http.client.OK
    connection.close()
    proxy = Proxy(s3_port)
    environment = {
        "AWS_ACCESS_KEY_ID": ACCESS,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_SESSION_TOKEN": TOKEN,
        "AWS_ENDPOINT_URL": f"http://127.0.0.1:{proxy.port}",
        "AWS_ALLOW_HTTP": "true",
        "NO_PROXY": "127.0.0.1",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    yield Team(f"s3://{bucket}/quantbench", proxy, environment)
    proxy.close()
