"""Downloads from a web server on loopback that can stop in the middle."""

from __future__ import annotations

import hashlib
import io
import zipfile
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from quantbench.errors import FetchError, IntegrityError, UsageError
from quantbench.sources.downloads import Download
from quantbench.sources.parsing import Several, parse_source
from quantbench.sources.transfers import Patience
from quantbench.store.artifacts import Store
from quantbench.store.upkeep import clear, collect

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def archive() -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as members:
        members.writestr("annotations/instances_val2017.json", b"{}")
        members.writestr("annotations/captions_val2017.json", b"[]")
    return packed.getvalue()


FILES = {"/archive.zip": archive(), "/model.bin": bytes(range(256)) * 40}


class Server(ThreadingHTTPServer):
    """Serves `FILES`; sends only `limit` bytes of an answer, and may ignore ranges."""

    limit: int | None = None
    ranges = True
    asked: list[str]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        content = FILES.get(self.path)
        asked = self.headers.get("Range", "bytes=0-")
        self.server.asked.append(asked)
        start = int(asked.removeprefix("bytes=").rstrip("-")) if self.server.ranges else 0
        if content is None:
            self.send_error(404)
            return
        if start >= len(content):
            self.send_error(416)
            return
        self.send_response(206 if self.server.ranges else 200)
        self.send_header("Content-Length", str(len(content) - start))
        self.end_headers()
        self.wfile.write(content[start:][: self.server.limit])

    def log_message(self, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        running.asked = []
        thread = Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def download(server: Server, path: str, *files: str, sha256: str | None = None) -> Download:
    digest = sha256 or hashlib.sha256(FILES.get(path, b"")).hexdigest()
    url = f"http://127.0.0.1:{server.server_port}{path}"
    return Download(url, digest, files, Patience(tries=1))


def test_a_file_is_fetched_and_an_archive_unpacked(server: Server, folder: Path) -> None:
    download(server, "/model.bin").fetch(folder)
    download(server, "/archive.zip", "annotations/instances_val2017.json").fetch(folder)
    found = {p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file()}
    assert found == {"model.bin", "annotations/instances_val2017.json"}
    assert (folder / "model.bin").read_bytes() == FILES["/model.bin"]
    assert list(folder.parents[1].glob("*.part")) == []


def test_a_download_goes_on_where_it_stopped(server: Server, folder: Path) -> None:
    server.limit = 4000
    with pytest.raises(FetchError, match=r"after 4,000 bytes[^$]*goes on where it stopped"):
        download(server, "/model.bin").fetch(folder)
    server.limit = None
    download(server, "/model.bin").fetch(folder)
    assert server.asked == ["bytes=0-", "bytes=4000-"]
    assert (folder / "model.bin").read_bytes() == FILES["/model.bin"]


def test_a_server_that_ignores_ranges_is_read_from_the_start(server: Server, folder: Path) -> None:
    server.limit = 4000
    with pytest.raises(FetchError):
        download(server, "/model.bin").fetch(folder)
    server.limit, server.ranges = None, False
    download(server, "/model.bin").fetch(folder)
    assert (folder / "model.bin").read_bytes() == FILES["/model.bin"]


def test_a_killed_process_may_have_left_the_whole_file(server: Server, folder: Path) -> None:
    source = download(server, "/model.bin")
    (folder.parents[1] / f"{source.sha256}.part").write_bytes(FILES["/model.bin"])
    source.fetch(folder)
    assert (folder / "model.bin").read_bytes() == FILES["/model.bin"]


def test_other_bytes_are_refused_and_thrown_away(server: Server, folder: Path) -> None:
    with pytest.raises(IntegrityError, match="is not the pinned file"):
        download(server, "/model.bin", sha256="0" * 64).fetch(folder)
    assert list(folder.parents[1].glob("*.part")) == []


def test_what_is_not_there_is_explained(server: Server, folder: Path) -> None:
    with pytest.raises(FetchError, match="404"):
        download(server, "/nothing").fetch(folder)
    with pytest.raises(IntegrityError, match=r"holds no file labels\.txt"):
        download(server, "/archive.zip", "labels.txt").fetch(folder)
    server.server_close()
    with pytest.raises(FetchError, match="refused"):
        Download("http://127.0.0.1:9/model.bin", "0" * 64).fetch(folder)


def test_several_downloads_share_a_folder(server: Server, folder: Path) -> None:
    texts = [
        f"{one.url}#sha256={one.sha256}"
        for one in (download(server, "/model.bin"), download(server, "/archive.zip"))
    ]
    source = parse_source(" ".join(texts))
    assert isinstance(source, Several)
    source.fetch(folder)
    assert (folder / "model.bin").is_file()
    assert (folder / "annotations").is_dir()


def test_one_download_twice_in_a_source_is_refused() -> None:
    one = f"https://example.org/archive.zip#sha256={'0' * 64}&file="
    with pytest.raises(UsageError, match="one download stands twice"):
        parse_source(f"{one}a {one}b")


def test_a_download_that_stopped_stays_to_go_on_until_the_store_is_tidied(
    server: Server, tmp_path: Path
) -> None:
    server.limit, store = 4000, Store(tmp_path)
    for tidy in (clear, lambda store: collect(store, 10**9)):
        source = download(server, "/model.bin")
        with pytest.raises(FetchError):
            store.get("source", source.ingredients(), source.fetch)
        store.sweep()  # what an interrupted run does
        assert len(list((tmp_path / "building").iterdir())) == 1
        tidy(store)
        assert list((tmp_path / "building").iterdir()) == []


def test_a_download_is_left_to_who_is_at_it(server: Server, tmp_path: Path) -> None:
    """Also between the last byte and the unpacking, while another archive is fetched."""
    archive, model = download(server, "/archive.zip"), download(server, "/model.bin")

    class Watched(Several):
        def fetch(self, folder: Path) -> None:
            with archive.at_hand(folder), model.at_hand(folder):
                clear(Store(tmp_path))
                collect(Store(tmp_path), 0)
                archive.unpack(folder)
                model.unpack(folder)

    source = Watched((archive, model))
    made = Store(tmp_path).get("source", source.ingredients(), source.fetch)
    assert (made.path / "model.bin").read_bytes() == FILES["/model.bin"]
    assert (made.path / "annotations").is_dir()


def test_two_processes_that_want_the_same_downloads_do_not_wait_for_each_other(
    server: Server, tmp_path: Path
) -> None:
    archive, model = download(server, "/archive.zip"), download(server, "/model.bin")
    store = Store(tmp_path)

    def fetch(source: Several) -> None:
        store.get("source", source.ingredients(), source.fetch)

    with ThreadPoolExecutor(2) as pool:
        pairs = Several((archive, model)), Several((model, archive))
        for done in [pool.submit(fetch, pair) for pair in pairs]:
            done.result(timeout=60)


def test_a_download_without_a_digest_is_refused() -> None:
    with pytest.raises(UsageError, match="not a pinned download"):
        parse_source("https://example.org/archive.zip")


def test_two_downloads_of_one_name_do_not_hide_each_other(server: Server, folder: Path) -> None:
    (folder / "model.bin").write_bytes(b"the other")
    with pytest.raises(IntegrityError, match=r"are named model\.bin"):
        download(server, "/model.bin").fetch(folder)
    assert (folder / "model.bin").read_bytes() == b"the other"
