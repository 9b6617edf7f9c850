"""Servers that misbehave: the file comes whole, or an error says what went wrong. None hangs."""

from __future__ import annotations

import hashlib
from contextlib import suppress
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import TYPE_CHECKING, Any

import pytest

from quantbench.errors import FetchError, IntegrityError
from quantbench.sources.downloads import Download
from quantbench.sources.transfers import Patience

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

CONTENT = bytes(range(256)) * 40
SHA256 = hashlib.sha256(CONTENT).hexdigest()


class Server(ThreadingHTTPServer):
    """Answers the requests one after the other by its `faults`, and by the file once they end."""

    faults: list[Callable[[Handler], None]]
    asked: list[str | None]
    over: Event

    def download(self, path: str, sha256: str = SHA256, **patience: Any) -> Download:
        given = {"tries": 5, "wait_s": 0.0, "stalled_s": 10.0, "sleep": self.waits.append}
        url = f"http://127.0.0.1:{self.server_port}{path}"
        return Download(url, sha256, patience=Patience(**{**given, **patience}))

    waits: list[float]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        self.server.asked.append(self.headers.get("Range"))
        if self.server.faults:
            self.server.faults.pop(0)(self)
        else:
            self.send()

    @property
    def start(self) -> int:
        return int((self.headers.get("Range") or "bytes=0-").removeprefix("bytes=").rstrip("-"))

    def send(self, n: int | None = None, length: int | str | None = None) -> None:
        """The file from where it is asked, or `n` bytes of it, with its length or another."""
        rest = CONTENT[self.start :]
        self.send_response(206 if self.start else 200)
        if self.start:
            self.send_header("Content-Range", f"bytes {self.start}-{len(CONTENT) - 1}/*")
        self.send_header("Content-Length", str(len(rest) if length is None else length))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(rest[:n])

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def cut(n: int) -> Callable[[Handler], None]:
    return lambda handler: handler.send(n)


def says_length(length: int | str) -> Callable[[Handler], None]:
    return lambda handler: handler.send(length=length)


def moved(to: str, status: int = 302) -> Callable[[Handler], None]:
    def answer(handler: Handler) -> None:
        handler.send_response(status)
        handler.send_header("Location", to)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def busy(status: int, retry_after: str | None = None) -> Callable[[Handler], None]:
    def answer(handler: Handler) -> None:
        handler.send_response(status)
        if retry_after is not None:
            handler.send_header("Retry-After", retry_after)
        handler.send_header("Content-Length", "0")
        handler.end_headers()

    return answer


def in_chunks(*, whole: bool) -> Callable[[Handler], None]:
    def answer(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        half = len(CONTENT) // 2
        for part in (CONTENT[:half], CONTENT[half:] if whole else b""):
            if part:
                handler.wfile.write(f"{len(part):x}\r\n".encode() + part + b"\r\n")
        if whole:
            handler.wfile.write(b"0\r\n\r\n")

    return answer


def other_part(handler: Handler) -> None:
    handler.send_response(206)
    handler.send_header("Content-Range", f"bytes 7-{len(CONTENT) - 1}/*")
    handler.send_header("Content-Length", str(len(CONTENT) - 7))
    handler.end_headers()
    with suppress(OSError):
        handler.wfile.write(CONTENT[7:])


def garbage(handler: Handler) -> None:
    handler.wfile.write(b"\x00\xff" * 100 + b"\r\n\r\n")


def silence(handler: Handler) -> None:
    handler.server.over.wait(20)


def drip(handler: Handler) -> None:
    handler.send(0)
    for _ in range(2000):
        with suppress(OSError):
            handler.wfile.write(b"\0")
        if handler.server.over.wait(0.01):
            return


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        running.faults, running.asked, running.waits = [], [], []
        running.over = Event()
        running.daemon_threads = True
        thread = Thread(target=running.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        yield running
        running.over.set()
        running.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("faults", "asked"),
    [
        ([cut(4000)], [None, "bytes=4000-"]),
        ([cut(1), cut(1000), cut(9)], [None, "bytes=1-", "bytes=1001-", "bytes=1010-"]),
        ([in_chunks(whole=True)], [None]),
        ([in_chunks(whole=False)], [None, "bytes=5120-"]),
        ([says_length(20_000)], [None, "bytes=10240-"]),  # 206 of nothing: it was whole
        ([says_length("many")], [None]),
        ([says_length("-3")], [None]),
        ([moved("/elsewhere")], [None, None]),
        ([moved("/a", 301), moved("/b", 307), moved("/c", 308)], [None] * 4),
        ([cut(4000), moved("/elsewhere")], [None, "bytes=4000-", "bytes=4000-"]),
    ],
)
def test_the_file_comes_whole(
    server: Server, folder: Path, faults: list[Any], asked: list[str | None]
) -> None:
    server.faults = faults
    server.download("/model.bin").fetch(folder)
    assert (folder / "model.bin").read_bytes() == CONTENT
    assert server.asked == asked
    assert [path.name for path in folder.parents[1].glob("*.part")] == []


@pytest.mark.parametrize(
    ("faults", "says"),
    [
        ([cut(10)] * 5, "the connection closed, after 50 bytes"),
        ([cut(0)], "after 0 bytes"),
        ([cut(4000), other_part], "asked for bytes from 4000, the server sent bytes 7-"),
        ([moved("/model.bin")] * 50, "infinite loop"),
        ([moved(f"/{i}") for i in range(50)], "infinite loop"),
        ([moved("file:///etc/passwd")], "redirected to file:///etc/passwd"),
        ([moved("ftp://127.0.0.1/model.bin")], "redirected to ftp://127"),
        ([moved("data:,model")], "redirected to data:,model"),
        ([moved("http://[")], "could not fetch"),
        ([moved("http://127.0.0.1:99999999/")], "could not fetch"),
        ([garbage], "could not fetch"),
        ([busy(416)], "416"),
        ([busy(500)], "500"),
        ([busy(403, "1")], "403"),
    ],
)
def test_a_file_that_does_not_come_is_explained(
    server: Server, folder: Path, faults: list[Any], says: str
) -> None:
    server.faults = list(faults)
    with pytest.raises(FetchError) as caught:
        server.download("/model.bin").fetch(folder)
    assert says in str(caught.value)
    assert "goes on where it stopped" in str(caught.value)
    assert list(folder.iterdir()) == []


def test_a_short_length_is_refused_by_the_digest(server: Server, folder: Path) -> None:
    server.faults = [says_length(100)]
    with pytest.raises(IntegrityError, match=r"\(100 bytes\)"):
        server.download("/model.bin").fetch(folder)
    assert list(folder.parents[1].glob("*.part")) == []


def test_other_bytes_after_a_cut_are_refused_and_not_kept(server: Server, folder: Path) -> None:
    server.faults = [cut(4000)]
    with pytest.raises(IntegrityError, match="is not the pinned file"):
        server.download("/model.bin", "0" * 64).fetch(folder)
    assert server.asked == [None, "bytes=4000-"]
    assert list(folder.parents[1].glob("*.part")) == []


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize(
    ("asked", "waited"), [("7", 7.0), ("0", 0.0), (None, 0.0), ("soon", 0.0), ("-5", 0.0)]
)
def test_a_busy_server_is_given_its_time(
    server: Server, folder: Path, status: int, asked: str | None, waited: float
) -> None:
    server.faults = [busy(status, asked), busy(status, asked)]
    server.download("/model.bin").fetch(folder)
    assert server.waits == [waited] * 2
    assert (folder / "model.bin").read_bytes() == CONTENT


def test_a_busy_server_may_name_a_date(server: Server, folder: Path) -> None:
    from time import time

    server.faults = [busy(503, formatdate(time() + 30, usegmt=True)), busy(503, formatdate(0))]
    server.download("/model.bin").fetch(folder)
    first, second = server.waits
    assert 25 < first <= 30
    assert second == 0


@pytest.mark.parametrize(
    ("faults", "says"),
    [
        ([busy(429, "3600")], "asks to wait 3,600 s, after 0 bytes"),
        ([busy(429, "9" * 30)], "asks to wait 999,999,999 s"),
        ([cut(4000), busy(503, "61")], "asks to wait 61 s, after 4,000 bytes"),
        ([busy(429, "2")] * 5, "asks to wait 2 s"),
    ],
)
def test_a_wait_that_is_too_long_is_named(
    server: Server, folder: Path, faults: list[Any], says: str
) -> None:
    server.faults = list(faults)
    with pytest.raises(FetchError) as caught:
        server.download("/model.bin").fetch(folder)
    assert says in str(caught.value)
    assert "wait that long, then run again" in str(caught.value)


@pytest.mark.parametrize(
    ("fault", "says"), [(silence, "timed out"), (drip, "bytes came in"), (cut(0), "after 0 bytes")]
)
def test_a_slow_server_is_left(
    server: Server, folder: Path, fault: Callable[[Handler], None], says: str
) -> None:
    server.faults = [fault] * 5
    with pytest.raises(FetchError, match=says):
        server.download("/model.bin", stalled_s=0.2, tries=2).fetch(folder)


def test_an_empty_file_is_a_file(server: Server, folder: Path) -> None:
    server.faults = [busy(200)]
    server.download("/empty.bin", hashlib.sha256(b"").hexdigest()).fetch(folder)
    assert (folder / "empty.bin").read_bytes() == b""
