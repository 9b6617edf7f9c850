"""One file over HTTP: resumed where it stops, patient within limits. Its digest is checked later.

A connection that was cut is taken up again by a range request. A busy server (429, 503) is given
the time that it asks for. Redirects are followed to web addresses alone, a loop ends. A server
that sends next to nothing is left.
"""

from __future__ import annotations

import errno
import http.client
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import urljoin, urlsplit

from quantbench.core.jsons import MALFORMED
from quantbench.errors import FetchError

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_CHUNK_BYTES = 1 << 20
_BUSY = (http.client.TOO_MANY_REQUESTS, http.client.SERVICE_UNAVAILABLE)
_ALREADY_WHOLE = http.client.REQUESTED_RANGE_NOT_SATISFIABLE


@dataclass(frozen=True)
class Patience:
    """How long a server is waited for.

    Attributes:
        tries: requests for one file, in one run.
        wait_s: before going on, where the server does not say how long.
        longest_wait_s: of what a server may ask for.
        stalled_s: of silence, or of fewer bytes than `least_bytes`, until a server is left.
        least_bytes: that must come in that time.
        sleep: how to wait.
    """

    tries: int = 10
    wait_s: float = 1
    longest_wait_s: float = 60
    stalled_s: float = 60
    least_bytes: int = 60_000
    sleep: Callable[[float], None] = time.sleep


def transfer(url: str, partial: Path, patience: Patience) -> None:
    """Have the whole file at `partial`, going on from what is there.

    Raises:
        FetchError: the server did not answer, stopped before the end, or asks to wait too long.
    """
    for tried in range(1, patience.tries + 1):
        before, wait_s = _size(partial), patience.wait_s
        try:
            _receive(url, partial, patience)
        except urllib.error.HTTPError as error:
            error.close()
            if error.code == _ALREADY_WHOLE and before:
                return  # a killed process had it; the digest says whether it is right
            wait_s = _asked_wait_s(error.headers, patience.wait_s)
            hopeless = error.code not in _BUSY or wait_s > patience.longest_wait_s
            if hopeless or tried == patience.tries:
                raise _unfinished(url, partial, error, wait_s) from error
        except (OSError, http.client.HTTPException, *MALFORMED) as error:
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise  # the store explains it
            if _size(partial) <= before or tried == patience.tries:  # nothing came: no use asking
                raise _unfinished(url, partial, error) from error
        else:
            return
        patience.sleep(wait_s)


class _ToTheWeb(urllib.request.HTTPRedirectHandler):
    """Follows redirects to http and https; the standard library's would go to ftp as well."""

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: Any) -> Any:
        try:
            to = urljoin(req.full_url, headers.get("Location") or "")
            if urlsplit(to).scheme not in {"http", "https"}:
                raise urllib.error.HTTPError(req.full_url, code, f"redirected to {to}", headers, fp)
        except ValueError:
            fp.close()
            raise
        return super().http_error_302(req, fp, code, msg, headers)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _receive(url: str, partial: Path, patience: Patience) -> None:
    """One request, for what is missing.

    Raises:
        OSError, HTTPException, ValueError: as the client's own, or the answer ended too early.
    """
    from tqdm import tqdm

    done = _size(partial)
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={done}-"} if done else {})
    request = urllib.request.Request(url, headers=headers)  # noqa: S310 - http and https only (parse_source)
    opener = urllib.request.build_opener(_ToTheWeb)
    with opener.open(request, timeout=patience.stalled_s) as answer:
        resumed = answer.status == http.client.PARTIAL_CONTENT
        part = answer.headers.get("Content-Range")
        if resumed and part and not part.startswith(f"bytes {done}-"):
            raise ConnectionError(f"asked for bytes from {done}, the server sent {part[:80]}")
        done = done if resumed else 0
        total = None if answer.length is None else done + answer.length
        with (
            partial.open("ab" if resumed else "wb") as file,
            tqdm(
                desc=urlsplit(url).path.rpartition("/")[2], initial=done, total=total,
                unit="B", unit_scale=True, disable=None,
            ) as bar,
        ):  # fmt: skip
            since, seen = time.monotonic(), done
            while chunk := answer.read1(_CHUNK_BYTES):
                file.write(chunk)
                bar.update(len(chunk))
                done += len(chunk)
                if (took := time.monotonic() - since) > patience.stalled_s:
                    if done - seen < patience.least_bytes:
                        raise TimeoutError(f"only {done - seen} bytes came in {took:.0f} s")
                    since, seen = time.monotonic(), done
    if total is not None and done < total:
        raise ConnectionError("the connection closed")


def _asked_wait_s(headers: Any, otherwise: float) -> float:
    """Seconds of `Retry-After`: a number, or a date (RFC 9110, 10.2.3)."""
    asked = (headers.get("Retry-After") or "").strip()
    if asked.isascii() and asked.isdecimal():
        return float(asked[:9])
    try:
        until = parsedate_to_datetime(asked)
        return max(0.0, (until - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError, OverflowError):  # of a date without a zone, or none at all
        return otherwise


def _size(partial: Path) -> int:
    return partial.stat().st_size if partial.exists() else 0


def _unfinished(
    url: str, partial: Path, error: Exception, wait_s: float | None = None
) -> FetchError:
    busy = isinstance(error, urllib.error.HTTPError) and error.code in _BUSY
    asked = f", which asks to wait {wait_s:,.0f} s" if busy else ""
    return FetchError(
        f"could not fetch {url}",
        got=f"{error}{asked}, after {_size(partial):,} bytes",
        remedy="wait that long, then run again: it goes on where it stopped"
        if busy
        else "check the connection and run again: it goes on where it stopped",
    )
