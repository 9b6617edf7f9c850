"""A checkpoint from a hub: the real client against a loopback endpoint that serves one."""

from __future__ import annotations

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING

import pytest

from quantbench.catalog.models import find_model
from tests.hub import COMMIT, PLAIN, hub
from tests.sources.test_hubs import fetched_from_the_hub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

FILES = "#file=config.json&file=*.safetensors&file=tokenizer*"


@pytest.fixture
def endpoint(tiny_checkpoint: Path) -> Iterator[str]:
    """`tests/tiny` with code beside it; `meta-llama/...` is behind a licence."""
    served = {"tests/tiny": tiny_checkpoint}
    with hub(served, gated=("meta-llama",), besides=("run_me.py",)) as address:
        yield address


def test_a_checkpoint_is_fetched_by_pattern_and_then_found_offline(
    endpoint: str, tmp_path: Path
) -> None:
    source = f"hf:tests/tiny=={COMMIT}{FILES}"
    expected = "['config.json', 'model.safetensors', 'tokenizer.json', 'tokenizer_config.json']\n"
    assert fetched_from_the_hub(tmp_path, source, HF_ENDPOINT=endpoint, **PLAIN) == expected
    (tmp_path / "into").rename(tmp_path / "first")
    again = fetched_from_the_hub(tmp_path, source, HF_HUB_OFFLINE="1", **PLAIN)
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
