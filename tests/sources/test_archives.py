"""Archives that mean harm are refused; nothing is written outside the folder."""

from __future__ import annotations

import gzip
import io
import stat
import struct
import tarfile
import zipfile
from typing import TYPE_CHECKING, Any

import pytest

from quantbench.errors import IntegrityError
from quantbench.sources.archives import most_bytes, untar, unzip

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CONTENT = b"weights" * 100


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "in" / "files"
    made.mkdir(parents=True)
    return made


def zipped(path: Path, *members: tuple[str | zipfile.ZipInfo, bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members:
            archive.writestr(name, content)
    return path


def tarred(path: Path, *members: tuple[str, dict[str, Any], bytes]) -> Path:
    with tarfile.open(path, "w:gz", format=tarfile.PAX_FORMAT) as archive:
        for name, fields, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            for field, value in fields.items():
                setattr(info, field, value)
            archive.addfile(info, io.BytesIO(content))
    return path


def written(root: Path) -> set[str]:
    return {path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir()}


def special(name: str, kind: int) -> zipfile.ZipInfo:
    info = zipfile.ZipInfo(name)
    info.create_system = 3
    info.external_attr = (kind | 0o777) << 16
    return info


def lying(name: str, size: int) -> Callable[[Path], Path]:
    """A member that declares another size than it has, in both of its headers."""

    def write(path: Path) -> Path:
        zipped(path, (name, CONTENT))
        content = path.read_bytes()
        true, said = struct.pack("<I", len(CONTENT)), struct.pack("<I", size)
        assert content.count(true) == 2
        path.write_bytes(content.replace(true, said))
        return path

    return write


def encrypted(path: Path) -> Path:
    content = bytearray(zipped(path, ("a", CONTENT)).read_bytes())
    for signature, at in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(signature) + at] |= 1
    path.write_bytes(content)
    return path


def overlapping(path: Path) -> Path:
    """Two entries of the directory point at the same bytes (Fifield's bomb)."""
    content = bytearray(zipped(path, ("a", CONTENT), ("b", CONTENT)).read_bytes())
    second = content.index(b"PK\1\2", content.index(b"PK\1\2") + 1)
    content[second + 42 : second + 46] = bytes(4)
    path.write_bytes(content)
    return path


def other_packing(path: Path) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_LZMA) as archive:
        archive.writestr("a", CONTENT)
    return path


def cut_short(path: Path) -> Path:
    content = zipped(path, ("a", CONTENT), ("b", b"")).read_bytes()
    at = content.index(b"PK\3\4") + 33
    path.write_bytes(content[:at] + b"\xff" * 9 + content[at + 9 :])
    return path


ZIPS: dict[str, Callable[[Path], object]] = {
    "traversal": lambda path: zipped(path, ("../../out", CONTENT)),
    "inner traversal": lambda path: zipped(path, ("a/../../out", CONTENT)),
    "absolute": lambda path: zipped(path, ("/tmp/out", CONTENT)),  # noqa: S108 - refused
    "drive": lambda path: zipped(path, ("C:/out", CONTENT)),
    "backslashes": lambda path: zipped(path, ("..\\..\\out", CONTENT)),
    "link": lambda path: zipped(path, (special("a", stat.S_IFLNK), b"/etc/passwd")),
    "device": lambda path: zipped(path, (special("a", stat.S_IFCHR), b"")),
    "pipe": lambda path: zipped(path, (special("a", stat.S_IFIFO), b"")),
    "bomb": lambda path: zipped(path, ("a", bytes(80 << 20))),
    "declared bomb": lying("a", 0xFFFFFFF0),
    "undeclared bytes": lying("a", 1),
    "encrypted": encrypted,
    "overlapping": overlapping,
    "other packing": other_packing,
    "broken": cut_short,
    "no archive": lambda path: path.write_bytes(b"PK\3\4"),
    "empty": lambda path: path.touch(),
}


@pytest.mark.parametrize("kind", ZIPS)
def test_a_hostile_zip_is_refused(kind: str, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    ZIPS[kind](path)
    with pytest.raises(IntegrityError, match=r"x\.zip is not unpacked"):
        unzip(path, "x.zip", folder)
    assert written(tmp_path) <= {"x.zip", "in/files/a"}
    assert not any(path.is_symlink() for path in tmp_path.rglob("*"))


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_a_name_that_stands_twice_is_refused(folder: Path, tmp_path: Path) -> None:
    path = zipped(tmp_path / "x.zip", ("a", b"shown"), ("a", b"taken"))
    with pytest.raises(IntegrityError, match="stands in it twice"):
        unzip(path, "x.zip", folder)
    path = tarred(tmp_path / "x.tgz", ("a", {}, b"shown"), ("a", {}, b"taken"))
    with pytest.raises(IntegrityError, match="stands in it twice"):
        untar(path, "x.tgz", folder, ["a"])
    assert written(folder) == set()


def test_nothing_is_written_over(folder: Path, tmp_path: Path) -> None:
    (folder / "a").write_bytes(b"first")
    with pytest.raises(IntegrityError, match="is there already"):
        unzip(zipped(tmp_path / "x.zip", ("a", CONTENT)), "x.zip", folder)
    with pytest.raises(IntegrityError, match="is there already"):
        untar(tarred(tmp_path / "x.tgz", ("b/a", {}, CONTENT)), "x.tgz", folder, ["b/a"])
    assert (folder / "a").read_bytes() == b"first"


def raw(path: Path, *headers: bytes) -> Path:
    path.write_bytes(gzip.compress(b"".join(headers) + bytes(1024)))
    return path


def header(name: str, size: int, kind: bytes = tarfile.REGTYPE) -> bytes:
    """A header whose size may be negative, in base 256."""
    info = tarfile.TarInfo(name)
    info.type = kind
    content = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    content[124:136] = (size % (1 << 96) | (0 if size < 0 else 1 << 95)).to_bytes(12, "big")
    content[148:156] = b" " * 8
    content[148:156] = b"%06o\0 " % sum(content)
    return bytes(content)


LINK = {"linkname": "/etc/passwd"}
TARS: dict[str, Callable[[Path], object]] = {
    "symbolic link": lambda path: tarred(path, ("a", {"type": tarfile.SYMTYPE, **LINK}, b"")),
    "hard link": lambda path: tarred(path, ("a", {"type": tarfile.LNKTYPE, **LINK}, b"")),
    "device": lambda path: tarred(path, ("a", {"type": tarfile.CHRTYPE}, b"")),
    "pipe": lambda path: tarred(path, ("a", {"type": tarfile.FIFOTYPE}, b"")),
    "folder": lambda path: tarred(path, ("a", {"type": tarfile.DIRTYPE}, b"")),
    "bomb": lambda path: tarred(path, ("a", {}, bytes(80 << 20))),
    "bomb beside it": lambda path: tarred(path, ("b", {}, bytes(80 << 20)), ("a", {}, CONTENT)),
    "declared bomb": lambda path: raw(path, header("a", 1 << 60)),
    "long header": lambda path: raw(path, header("a", 1 << 40, tarfile.XHDTYPE)),
    "long name": lambda path: raw(path, header("a", 1 << 40, tarfile.GNUTYPE_LONGNAME)),
    "backwards": lambda path: raw(path, header("a", 0), header("b", -1024)),
    "negative header": lambda path: raw(path, header("a", -512, tarfile.XHDTYPE)),
    "no tar": lambda path: path.write_bytes(gzip.compress(b"weights" * 999)),
    "no gzip": lambda path: path.write_bytes(CONTENT),
    "cut": lambda path: path.write_bytes(gzip.compress(header("a", 9) + bytes(99))[:-12]),
}


@pytest.mark.parametrize("kind", TARS)
def test_a_hostile_tarball_is_refused(kind: str, folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "x.tgz"
    TARS[kind](path)
    with pytest.raises(IntegrityError, match=r"x\.tgz (is not unpacked|holds no file a)"):
        untar(path, "x.tgz", folder, ["a"])
    assert written(tmp_path) == {"x.tgz"}


def test_what_is_beside_the_files_that_are_asked_for_is_not_unpacked(
    folder: Path, tmp_path: Path
) -> None:
    link = {"type": tarfile.SYMTYPE}
    hostile: Any = (
        ("../../out", {}, CONTENT),
        ("/abs", {}, b""),
        ("l", link, b""),
    )
    path = tarred(tmp_path / "x.tgz", *hostile, ("package/m/a", {}, CONTENT))
    untar(path, "x.tgz", folder, ["package/m/a"])
    assert written(tmp_path) == {"x.tgz", "in/files/a"}
    assert (folder / "a").read_bytes() == CONTENT


def test_annotations_pack_well_and_are_no_bomb(folder: Path, tmp_path: Path) -> None:
    text = b'{"iscrowd": 0, "category_id": 17, "bbox": [1.5, 2.25, 30.0, 40.75]},\n' * 300_000
    path = zipped(tmp_path / "x.zip", ("annotations.json", text))
    assert len(text) < most_bytes(path)
    unzip(path, "x.zip", folder)
    assert (folder / "annotations.json").stat().st_size == len(text)
