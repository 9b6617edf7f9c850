"""A checkpoint from a hub: the real client against a loopback endpoint that serves one."""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from quantbench.catalog.models import find_model
from tests.sources.test_hubs import fetched_from_the_hub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

COMMIT = "c" * 40
FILES = "#file=config.json&file=*.safetensors&file=tokenizer*"


Answer = tuple[int, dict[str, str], bytes]


def answer(folder: Path, path: str, *, logged_in: bool) -> Answer:
    """`tests/tiny` is the folder, with code beside it; `meta-llama/...` is behind a licence."""
    if "meta-llama" in path:
        return 403 if logged_in else 401, {"X-Error-Code": "GatedRepo"}, b""
    names = sorted(file.name for file in folder.iterdir())
    if path.startswith("/api/models/tests/tiny/tree"):
        sizes = [(name, (folder / name).stat().st_size) for name in names] + [("run_me.py", 3)]
        files = [{"type": "file", "path": n, "size": s, "oid": "0" * 40} for n, s in sizes]
        return 200, {"Content-Type": "application/json"}, json.dumps(files).encode()
    if path.startswith("/api/models/tests/tiny"):
        siblings = [{"rfilename": name} for name in [*names, "run_me.py"]]
        about = {"id": "tests/tiny", "sha": COMMIT, "siblings": siblings}
        return 200, {"Content-Type": "application/json"}, json.dumps(about).encode()
    name = path.rpartition("/")[2].partition("?")[0]
    if "/resolve/" not in path or name not in names:
        return 404, {}, b""
    body = (folder / name).read_bytes()
    etag = f'"{hashlib.sha256(body).hexdigest()}"'
    return 200, {"ETag": etag, "X-Repo-Commit": COMMIT}, body


@pytest.fixture
def endpoint(tiny_checkpoint: Path) -> Iterator[str]:
    """A hub on the loopback interface."""

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.reply()

        def do_GET(self) -> None:
            self.wfile.write(self.reply())

        def reply(self) -> bytes:
            logged_in = bool(self.headers.get("authorization"))
            status, headers, body = answer(tiny_checkpoint, self.path, logged_in=logged_in)
            self.send_response(status)
            for header, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(header, value)
            self.end_headers()
            return body

        def log_message(self, *arguments: object) -> None:
            del arguments

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_checkpoint_is_fetched_by_pattern_and_then_found_offline(
    endpoint: str, tmp_path: Path
) -> None:
    source = f"hf:tests/tiny=={COMMIT}{FILES}"
    plain = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    expected = "['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json']\n"
    assert fetched_from_the_hub(tmp_path, source, HF_ENDPOINT=endpoint, **plain) == expected
    (tmp_path / "into").rename(tmp_path / "first")
    again = fetched_from_the_hub(tmp_path, source, HF_HUB_OFFLINE="1", **plain)
    assert again == expected
    fetched = tmp_path / "into" / "model.safetensors"
    assert fetched.read_bytes() == (tmp_path / "first" / "model.safetensors").read_bytes()
    assert not (tmp_path / "into" / "run_me.py").exists(), "code of a repository is never fetched"


def test_a_hub_that_hangs_up_is_explained(tmp_path: Path) -> None:
    """It answers with something that is no HTTP, and closes."""

    class Rude(BaseHTTPRequestHandler):
        def handle(self) -> None:
            self.request.sendall(b"no")

    server = ThreadingHTTPServer(("127.0.0.1", 0), Rude)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    source = f"hf:tests/tiny=={COMMIT}{FILES}"
    said = fetched_from_the_hub(tmp_path, source, HF_ENDPOINT=endpoint)
    server.shutdown()
    server.server_close()
    assert said.startswith("FetchError could not fetch tests/tiny")


@pytest.mark.parametrize("token", ["", "hf_none"])
def test_a_model_behind_a_licence_says_what_to_do(
    endpoint: str, tmp_path: Path, token: str
) -> None:
    source = find_model("llama_3.2_3b").source
    variables = {"HF_ENDPOINT": endpoint, **({"HF_TOKEN": token} if token else {})}
    said = fetched_from_the_hub(tmp_path, source, **variables)
    assert said.startswith("FetchError could not fetch meta-llama/Llama-3.2-3B==main")
    assert "accept its licence on the model's page" in said
    assert "HF_TOKEN" in said
