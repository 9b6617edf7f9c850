"""What every LiteRT build must show about itself before it is stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.litert.interpreter import LiteRTModel, quantize
from quantbench.backends.litert.tflite import check_tflite, stored_types
from quantbench.diagnosis.answers import check_finite, difference
from quantbench.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

CHECKED = 3  # samples
_CUT_OFF = 0.05  # of the input's range
_NARROW = ("FLOAT16", "INT8", "UINT8", "INT4")
_NEXT_TO_NOTHING = 0.01


def check_build(
    path: Path,
    samples: Sequence[NDArray[np.float32]],
    weights: str | None = None,
    meant: Sequence[Mapping[str, NDArray[Any]]] | None = None,
) -> dict[str, Any]:
    """Run a model on up to three samples; returns delegation and stored types as facts.

    `float_difference` among them is how far the answers are from the framework's, in shares of its
    largest answer: the caller says how much is too much.

    Args:
        path: the `.tflite` file.
        samples: prepared for the model.
        weights: the type that its weights must be of (`Scheme.weights`), where that is known.
        meant: what the source framework answers, for a float32 model.

    Raises:
        BuildError: weights of another type, an input that its samples do not fit into, an answer
            that is not finite, or one of another shape than the framework's.
        PredictionError: it is broken, or the interpreter cannot load or run it.
    """
    check_tflite(path)
    stored = stored_types(path)
    if weights is not None:
        _check_stored(stored, weights, path)
    model = LiteRTModel(path, threads=1)
    _check_input(samples, model.input, path)
    reordered, relative = False, 0.0
    for i, sample in enumerate(samples[:CHECKED]):
        said = model(sample)
        check_finite(said, path.name)
        if meant is not None:
            differs, in_order = difference(said, meant[i], path.name)
            reordered |= not in_order
            relative = max(relative, differs)
    facts = {**model.delegation(), "stored": stored}
    model.close()
    if meant:
        facts["float_difference"] = relative
    return facts | ({"rows_reordered": True} if reordered else {})


def _check_stored(stored: Mapping[str, int], weights: str, path: Path) -> None:
    """The type of most constants is the scheme's; of float32, next to nothing is narrower."""
    wanted = weights.upper()
    narrow = sum(stored.get(kind, 0) for kind in _NARROW)
    mistaken = wanted not in stored
    if wanted == "FLOAT32":
        mistaken = narrow > _NEXT_TO_NOTHING * sum(stored.values())
    if mistaken:
        raise BuildError(
            f"the weights are not stored as {weights}",
            where=path.name,
            expected=f"constants of type {wanted}",
            got=", ".join(f"{size} bytes of {kind}" for kind, size in stored.items()),
            remedy="the tool left the model as it was, or its source is quantized already "
            "(then: reference=None, schemes=('as_shipped',))",
        )


def _check_input(
    samples: Sequence[NDArray[np.float32]], detail: Mapping[str, Any], path: Path
) -> None:
    """Inside its range an integer input gives back its samples to within half a step.

    Next to nothing lies outside, and together the samples use more than a twentieth of the range.
    Tools that average ranges over samples cut the brightest pixels off; a range made from other
    values than those that are fed (0 to 1 for 0 to 255) misses nearly all of them, or lets them
    fall into one step, and the model sees black.
    """
    dtype = np.dtype(detail["dtype"])
    if dtype.kind == "f" or not samples:
        return
    scale, zero_point = detail["quantization"]
    scale = float(scale) or 1.0
    limits = np.iinfo(dtype)
    lowest, highest = ((end - zero_point) * scale for end in (limits.min, limits.max))
    room = highest - lowest
    least = min(float(sample.min()) for sample in samples)
    most = max(float(sample.max()) for sample in samples)
    error = 0.0
    for sample in samples[:CHECKED]:
        stored = quantize(sample, detail).astype(np.float64)
        inside = (sample >= lowest) & (sample <= highest)
        back = np.abs((stored - zero_point) * scale - sample)
        error = max(error, float(back.max(initial=0.0, where=inside)))
    # Half a step, and the rounding of float32 at the end of the range.
    allowed = 0.5 * scale + 4e-7 * max(abs(lowest), abs(highest))
    cut_off = max(lowest - least, most - highest) > _CUT_OFF * room
    black = most - least < _CUT_OFF * room
    if error > allowed or cut_off or black:
        raise BuildError(
            "the quantized input "
            + ("is too coarse for" if black else "cuts off")
            + " its samples",
            where=path.name,
            expected=f"values over much of [{lowest:g}, {highest:g}], in steps of {scale:g}",
            got=f"values in [{least:g}, {most:g}]",
            remedy="feed and calibrate the model with what it was trained on "
            "(Detector(value_range=...), mean, std)",
        )
