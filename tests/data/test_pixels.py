"""What a file stores is what a detector sees, or the file is refused."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from PIL import Image

from quantbench.core.digests import digest_of
from quantbench.data.samples import Photo
from quantbench.errors import DataError

if TYPE_CHECKING:
    from pathlib import Path

RAMP = np.linspace(0, 65535, 256).reshape(16, 16)  # each 257 more than the one before


def photo(path: Path, annotated: tuple[int, int] | None = None) -> Photo:
    return Photo("1", path, (), annotated)


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_grey_of_16_bits_keeps_its_shades(tmp_path: Path, suffix: str) -> None:
    """They came out all white."""
    path = tmp_path / f"grey.{suffix}"
    Image.fromarray(RAMP.astype(np.uint16)).save(path)
    image = photo(path).image
    assert image.dtype == np.uint8
    assert (image == np.arange(256).reshape(16, 16, 1)).all()
    Image.fromarray(np.full((2, 2), 65534, np.uint16)).save(path)
    assert (photo(path).image == 255).all(), "to the nearest"


@pytest.mark.parametrize(
    ("dtype", "scale", "kind"),
    [
        (np.int32, 1, "32-bit integers"),
        (np.int32, 2**15, "32-bit integers"),
        (np.float32, 1 / 65535, "floating-point numbers"),
    ],
)
def test_numbers_without_a_range_are_refused(
    tmp_path: Path, dtype: Any, scale: float, kind: str
) -> None:
    """They came out all white, and black."""
    path = tmp_path / "numbers.tif"
    Image.fromarray((RAMP * scale).astype(dtype)).save(path)
    with pytest.raises(DataError, match=f"(?s){kind}.*numbers.tif.*convert it to 8-bit RGB"):
        _ = photo(path).image


def test_transparency_is_dropped_and_a_palette_looked_up(tmp_path: Path) -> None:
    colours = np.zeros((4, 4, 4), np.uint8)
    colours[..., 0], colours[2:, :, 1], colours[:2, :, 3] = 200, 100, 255
    see_through = Image.fromarray(colours)
    see_through.save(tmp_path / "alpha.png")
    palette = see_through.convert("RGB").quantize(4)
    palette.save(tmp_path / "palette.png", transparency=b"\x00\x80")
    palette.save(tmp_path / "palette.gif")
    for name in ("alpha.png", "palette.png", "palette.gif"):
        assert (photo(tmp_path / name).image == colours[..., :3]).all(), name


def oriented(path: Path, orientation: int, size: tuple[int, int] = (6, 4)) -> None:
    """A picture whose top left quarter is bright, stored with this (height, width)."""
    pixels = np.zeros((*size, 3), np.uint8)
    pixels[: size[0] // 2, : size[1] // 2] = 255
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(pixels).save(path, exif=exif)


@pytest.mark.parametrize(
    ("orientation", "annotated", "bright"),
    [
        (6, (4, 6), (0, 5)),  # annotated as viewers show it: a quarter turn to the right
        (8, (4, 6), (3, 0)),
        (6, (6, 4), (0, 0)),  # annotated as stored
        (6, None, (0, 0)),  # nobody says
        (3, (6, 4), (0, 0)),  # upside down, and nothing tells
    ],
)
def test_a_picture_is_turned_where_its_annotations_are(
    tmp_path: Path, orientation: int, annotated: tuple[int, int] | None, bright: tuple[int, int]
) -> None:
    path = tmp_path / "photo.png"
    oriented(path, orientation)
    seen = photo(path, annotated)
    assert seen.size == seen.image.shape[:2] == (annotated or (6, 4))
    assert (seen.image[bright] == 255).all()


def test_a_square_picture_is_taken_as_stored(tmp_path: Path) -> None:
    oriented(tmp_path / "photo.png", 6, (6, 6))
    assert (photo(tmp_path / "photo.png", (6, 6)).image[0, 0] == 255).all()


def test_a_turned_size_without_orientation_is_another_picture(tmp_path: Path) -> None:
    oriented(tmp_path / "photo.png", 1)
    with pytest.raises(DataError, match="another size than its annotations say"):
        _ = photo(tmp_path / "photo.png", (4, 6)).image


def test_a_fingerprint_tells_how_a_picture_is_read(tmp_path: Path) -> None:
    """Evidence of a picture that was read wrongly is not served; all other evidence is."""
    oriented(tmp_path / "photo.png", 6)
    stored, turned = (photo(tmp_path / "photo.png", size) for size in ((6, 4), (4, 6)))
    assert stored.fingerprint == digest_of([stored.digest, ()])
    assert turned.fingerprint != stored.fingerprint
    Image.fromarray(RAMP.astype(np.uint16)).save(tmp_path / "grey.png")
    deep = photo(tmp_path / "grey.png")
    assert deep.fingerprint != digest_of([deep.digest, ()])
