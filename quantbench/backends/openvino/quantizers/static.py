"""`ov_int8_static`: int8 weights per channel, activations in calibrated ranges, by NNCF."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from typing import TYPE_CHECKING, Any

from quantbench.backends.openvino.check import check_build
from quantbench.backends.openvino.files import float_file, read, save

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from quantbench.study import Scheme


class StaticQuantizer:
    """NNCF's post-training quantization with its defaults for processors.

    Minimum and maximum averaged over the samples, fast bias correction. `ov_int8_static` is preset
    `performance`: symmetric activations; `ov_int8_static_mixed` preset `mixed`: asymmetric ones.
    """

    tools = ("openvino", "nncf")
    version = 1
    calibrated = True

    def build(
        self,
        float_model: Path,
        scheme: Scheme,
        samples: Sequence[NDArray[np.float32]],
        folder: Path,
    ) -> Mapping[str, Any]:
        """Calibrate on all samples, write the model and check it.

        Raises:
            BuildError: the model is quantized already, or the result does not check.
            PredictionError: OpenVINO cannot run the result.
        """
        preset = "mixed" if scheme.name.endswith("_mixed") else "performance"
        model = read(float_file(float_model, scheme.name))
        path = save(quantized(model, samples, preset), folder)
        return {"preset": preset, **check_build(path, samples, scheme.weights)}


def quantized(
    model: Any,
    samples: Sequence[NDArray[np.float32]],
    preset: str,
    kept: Iterable[str] = (),
) -> Any:
    """A float model of OpenVINO, quantized; the one given is left as it is.

    Args:
        model: of OpenVINO.
        samples: that calibrate, all of them.
        preset: "performance" or "mixed".
        kept: friendly names of ops that stay in float (`ignored_scope`).
    """
    import nncf

    kept = list(kept)
    with redirect_stdout(io.StringIO()):  # its bars
        return nncf.quantize(
            model.clone(),
            nncf.Dataset(samples),
            preset=nncf.QuantizationPreset(preset),
            subset_size=len(samples),
            ignored_scope=nncf.IgnoredScope(names=kept) if kept else None,
        )
