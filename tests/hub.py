"""A model hub on the loopback interface, for the real client."""

from __future__ import annotations

import hashlib
import json
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

COMMIT = "c" * 40
PLAIN = {"HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
_JSON = {"Content-Type": "application/json"}
Answer = tuple[int, dict[str, str], bytes]


@contextmanager
def hub(
    repositories: Mapping[str, Path], *, gated: tuple[str, ...] = (), besides: tuple[str, ...] = ()
) -> Iterator[str]:
    """Serve folders as repositories; yields the value of HF_ENDPOINT.

    Args:
        repositories: `owner/name` of a model, `datasets/owner/name` of a data set, to its folder.
        gated: owners whose repositories are behind a licence.
        besides: names of files that each repository lists and does not have.
    """

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.reply()

        def do_GET(self) -> None:
            self.wfile.write(self.reply())

        def reply(self) -> bytes:
            path = unquote(self.path.partition("?")[0])
            if any(f"/{owner}/" in path for owner in gated):
                logged_in = bool(self.headers.get("authorization"))
                found: Answer = 403 if logged_in else 401, {"X-Error-Code": "GatedRepo"}, b""
            else:
                found = answer(repositories, besides, path)
            status, headers, body = found
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
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def answer(repositories: Mapping[str, Path], besides: tuple[str, ...], path: str) -> Answer:
    """What the hub's interface says: a repository's description, its files, one of them."""
    for name, folder in repositories.items():
        files = {
            file.relative_to(folder).as_posix(): file
            for file in sorted(folder.rglob("*"))
            if file.is_file()
        }
        kind = "" if name.startswith("datasets/") else "models/"
        if path.startswith(f"/api/{kind}{name}/tree"):
            sizes = [(each, file.stat().st_size) for each, file in files.items()]
            listed = [
                {"type": "file", "path": each, "size": size, "oid": "0" * 40}
                for each, size in [*sizes, *((each, 3) for each in besides)]
            ]
            return 200, _JSON, json.dumps(listed).encode()
        if path.startswith(f"/api/{kind}{name}"):
            siblings = [{"rfilename": each} for each in [*files, *besides]]
            identity = name.removeprefix("datasets/")
            about = {"id": identity, "sha": COMMIT, "siblings": siblings}
            return 200, _JSON, json.dumps(about).encode()
        if path.startswith(f"/{name}/resolve/"):
            asked = path.removeprefix(f"/{name}/resolve/").partition("/")[2]
            if asked in files:
                body = files[asked].read_bytes()
                etag = f'"{hashlib.sha256(body).hexdigest()}"'
                return 200, {"ETag": etag, "X-Repo-Commit": COMMIT}, body
    return 404, {}, b""
