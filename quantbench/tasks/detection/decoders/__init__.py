"""Output tensors to boxes: one family of detectors a file.

A decoder takes the outputs by role or name and the detector's description, and returns `Found`
(`found.py`). A name of the table below, or `module:function` for one of your own.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from pkgutil import resolve_name
from typing import TYPE_CHECKING, Any

from quantbench.core.digests import sha256_of
from quantbench.errors import UsageError, meant

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from numpy.typing import NDArray

    from quantbench.tasks.detection.decoders.found import Found
    from quantbench.tasks.detection.detector import Detector

    Decoder = Callable[[Mapping[str, NDArray[Any]], Detector], Found]

_HERE = "quantbench.tasks.detection.decoders"
DECODERS = {
    "centernet": f"{_HERE}.centernet:decode",
    "centernet_sides": f"{_HERE}.centernet:decode_sides",
    "detr": f"{_HERE}.detr:decode",
    "efficientdet": f"{_HERE}.efficientdet:decode",
    "nanodet": f"{_HERE}.nanodet:decode",
    "nanodet_plus": f"{_HERE}.nanodet:decode_plus",
    "tf2_detection": f"{_HERE}.ssd:decode_tf2",
    "tf2_detection_pixels": f"{_HERE}.ssd:decode_tf2_pixels",
    "tflite_postprocess": f"{_HERE}.ssd:decode_postprocess",
    "yolox": f"{_HERE}.yolox:decode",
}


def find_decoder(name: str) -> Decoder:
    """The decoder of this name.

    Raises:
        UsageError: no such decoder, or no such function where a module is named.
    """
    if name not in DECODERS and ":" not in name:
        raise UsageError(
            f"unknown decoder {name!r}",
            expected=", ".join(DECODERS) + ", or module:function for your own",
            remedy=meant(name, DECODERS),
        )
    try:
        found: Decoder = resolve_name(DECODERS.get(name, name))
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(
            f"the decoder {name!r} cannot be imported",
            got=error,
            remedy="put its folder on the path (pytest's option pythonpath)",
        ) from error
    return found


def decoder_digest(name: str) -> str | None:
    """Sha256 of the file that holds a decoder of one's own; None for those of the table."""
    if ":" not in name:
        return None
    found = find_spec(name.partition(":")[0])
    return sha256_of(Path(found.origin)) if found and found.origin else None
