"""`--quant-cache`: a folder, a team's store, or both; never a credential."""

from __future__ import annotations

from pathlib import Path

import pytest

from quantbench.core.places import Place, parse_place
from quantbench.errors import UsageError


@pytest.mark.parametrize(
    ("text", "folder", "remote"),
    [
        (None, None, None),
        ("", None, None),
        ("/var/cache", "/var/cache", None),
        ("here", str(Path("here").absolute()), None),
        ("with,comma", str(Path("with,comma").absolute()), None),
        ("s3://bucket", None, "s3://bucket"),
        ("s3://bucket/some/prefix/", None, "s3://bucket/some/prefix"),
        ("gs://bucket/p", None, "gs://bucket/p"),
        ("az://container/p", None, "az://container/p"),
        ("file:///mnt/team", None, "file:///mnt/team"),
        ("memory://", None, "memory://"),
        ("/var/cache,s3://bucket/p", "/var/cache", "s3://bucket/p"),
        ("/var/a,b,s3://bucket/p", "/var/a,b", "s3://bucket/p"),
    ],
)
def test_a_place_is_a_folder_a_url_or_both(
    text: str | None, folder: str | None, remote: str | None
) -> None:
    assert parse_place(text) == Place(None if folder is None else Path(folder), remote)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ftp://host/folder", "no kind of store"),
        ("S3://bucket", "did you mean 's3'"),
        ("s3://", "no place in a store"),
        ("s3:///folder", "no place in a store"),
        ("file://relative", "no place in a store"),
        ("file:///", "no place in a store"),
    ],
)
def test_what_is_no_place_is_refused(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_place(text)


@pytest.mark.parametrize(
    "text",
    [
        "s3://AKIAKEY:hush@bucket/prefix",
        "az://container/prefix?sv=2024&sig=hush",
        "gs://bucket/prefix#hush",
        "/cache,s3://KEY:hush@bucket",
        "s3://bucket/prefix\nhush",
    ],
)
def test_a_credential_in_the_url_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        parse_place(text)
    assert "hush" not in str(refused.value)
    assert "credentials are no part of it" in str(refused.value)
