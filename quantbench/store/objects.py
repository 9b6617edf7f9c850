"""An object store as plain calls: S3, Google Cloud, Azure, a shared folder, or this memory.

obstore's client does the work; it takes credentials from its usual places (environment, instance
and workload identities). What it raises may quote requests and answers, keys among them, so a
message here is put together from a status, a code and words of this module alone.
"""

from __future__ import annotations

import os
import re
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

from quantbench.errors import RemoteStoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_PART_BYTES = 5 << 20  # the least that S3 takes as a part of an upload
_MOST_PARTS = 9000  # it takes 10,000
_DENIED = {"401", "403"}
_NOWHERE = {"NoSuchBucket", "ContainerNotFound", "AccountNotFound"}
_REFUSED_HERE = re.compile(r"\(os error (?:1|13|30)\)")  # EPERM, EACCES, EROFS
_RIGHTS = "see that the credentials are right and may list, get and put there"
_CONNECT = "check the connection, the endpoint and the region, or leave the URL out"


@dataclass(frozen=True)
class Patience:
    """How long a team's store is waited for.

    Attributes:
        answer_s: for one request: a small file, or 5 MiB of a large one.
        connect_s: for a connection.
        retries: of a request that was cut, came to nothing or met a busy server.
        retry_s: after which none is tried again.
    """

    answer_s: float = 30
    connect_s: float = 5
    retries: int = 3
    retry_s: float = 40


@dataclass(frozen=True)
class Object:
    """One that the store lists."""

    path: str
    size_bytes: int
    written: datetime


class Objects:
    """What a URL names; every call raises `RemoteStoreError` where it fails."""

    def __init__(self, url: str, patience: Patience) -> None:
        """Open nothing that answers yet, but a folder must be there."""
        self.url, self._patience = url, patience
        with self._explained():
            self._store = _opened(url, patience)

    def get(self, path: str) -> bytes | None:
        """A small object; None where there is none."""
        import obstore

        with self._explained():
            try:
                return bytes(obstore.get(self._store, path).bytes())
            except FileNotFoundError as error:
                _check_place(error)
                return None

    def has(self, path: str) -> bool:
        """Whether there is such an object."""
        import obstore

        with self._explained():
            try:
                obstore.head(self._store, path)
            except FileNotFoundError as error:
                _check_place(error)
                return False
            return True

    def read(self, path: str, most_bytes: int) -> Iterator[bytes]:
        """An object in parts; nothing where there is none, or where it is larger."""
        import obstore

        with self._explained():
            try:
                found = obstore.get(self._store, path)
            except FileNotFoundError as error:
                _check_place(error)
                return
            size = found.meta["size"]
            if size > most_bytes:
                return
            if size <= _PART_BYTES:
                yield bytes(found.bytes())
                return
            del found
            for start in range(0, size, _PART_BYTES):
                length = min(_PART_BYTES, size - start)
                yield bytes(obstore.get_range(self._store, path, start=start, length=length))

    def put(self, path: str, file: Path) -> None:
        """Write an object, in the place of one that may be there."""
        import obstore

        part = max(_PART_BYTES, -(-file.stat().st_size // _MOST_PARTS))
        with self._explained():
            obstore.put(self._store, path, file, chunk_size=part, max_concurrency=2)

    def create(self, path: str, content: bytes) -> bool:
        """Write an object unless there is one already: of several writers, one is told True."""
        import obstore
        from obstore.exceptions import AlreadyExistsError

        with self._explained():
            try:
                obstore.put(self._store, path, content, mode="create")
            except AlreadyExistsError:
                return False
            return True

    def list(self, prefix: str | None = None) -> Iterator[Object]:
        """All objects under a prefix."""
        import obstore

        with self._explained():
            for found in obstore.list(self._store, prefix):
                for each in found:
                    yield Object(each["path"], each["size"], each["last_modified"])

    def delete(self, path: str) -> None:
        """Remove an object, or nothing where there is none."""
        import obstore

        with self._explained():
            try:
                obstore.delete(self._store, path)
            except FileNotFoundError as error:
                _check_place(error)

    @contextmanager
    def _explained(self) -> Iterator[None]:
        from obstore.exceptions import BaseError

        try:
            yield
        except (BaseError, FileNotFoundError, ValueError) as error:
            raise _told(self.url, str(error), self._patience) from None


@cache
def _memory(_name: str) -> Any:
    from obstore.store import MemoryStore

    return MemoryStore()


def _opened(url: str, patience: Patience) -> Any:
    from obstore.store import from_url

    scheme, _, rest = url.partition("://")
    if scheme == "memory":
        return _memory(rest)
    if scheme == "file":
        return from_url(url)
    # Given options replace those of the environment: this one decides whether http:// may be used.
    names = {"s3": "AWS", "gs": "GOOGLE", "az": "AZURE"}
    plain = os.environ.get(f"{names[scheme]}_ALLOW_HTTP", "").lower() in {"1", "true", "yes"}
    return from_url(
        url,
        client_options={
            "timeout": timedelta(seconds=patience.answer_s),
            "connect_timeout": timedelta(seconds=patience.connect_s),
            "allow_http": plain,
        },
        retry_config={
            "max_retries": patience.retries,
            "retry_timeout": timedelta(seconds=patience.retry_s),
        },
    )


def _check_place(error: FileNotFoundError) -> None:
    """An object that is not there is no failure; a bucket that is not there is one."""
    if _code(str(error)) in _NOWHERE:
        raise error


def _code(text: str) -> str:
    """The word in which a store says what is wrong."""
    found = re.search(r"<Code>(\w{1,40})</Code>", text)
    return found[1] if found else ""


def _told(url: str, text: str, patience: Patience) -> RemoteStoreError:
    """What went wrong; of the client's text nothing is repeated but a status and a code."""
    found = re.search(r"status code: (\d{3})", text)
    status, code = found[1] if found else "", _code(text)
    asked = text.partition("status code")[0]  # before the server's own words
    got, remedy = "the client reports an error", _CONNECT
    answered = " ".join(filter(None, [status, code]))
    if code in _NOWHERE or "canonicalize" in text:
        got = f"there is no such place ({code or 'no such folder'})"
        remedy = "create it, or mend the URL"
    elif re.search(r"Missing \w+|token request|//169\.254\.169\.254", asked):
        got = "no credentials were found"
        remedy = "set those that the client reads (docs/how-to/shared_store.md)"
    elif status in _DENIED or _REFUSED_HERE.search(text):
        got, remedy = f"access is denied ({answered or 'no permission'})", _RIGHTS
    elif "timed out" in text or "kind: Timeout" in text:
        got = f"no answer within {patience.answer_s:g} s"
    elif status:
        got = f"the server answers {answered}"
    elif "redirect" in text:
        got, remedy = "the server redirects", "set the region of the bucket, e.g. AWS_REGION"
    elif "HTTP error" in text:
        got = "no connection, or one that was cut"
    told = RemoteStoreError(f"the team's store {url} cannot be used", got=got, remedy=remedy)
    told.denied = remedy == _RIGHTS
    return told
