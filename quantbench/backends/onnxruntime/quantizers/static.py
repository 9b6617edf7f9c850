"""`ort_int8_static`: int8 weights per channel, activations in calibrated ranges, as QDQ."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantbench.backends.onnxruntime.check import check_build, float_graph
from quantbench.backends.onnxruntime.quantizers.prepared import prepared_graph

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy as np
    from numpy.typing import NDArray

    from quantbench.study import Scheme

_CHUNK = 8  # samples whose tensors are in memory at once
_METHODS = {"entropy": "Entropy", "percentile": "Percentile"}


class StaticQuantizer:
    """ONNX Runtime's QDQ quantization of all ops that it has integer kernels for.

    Weights are signed, one scale a channel; activations unsigned, one scale and zero point a
    tensor. Ranges are minimum and maximum of the calibration samples (Jacob et al., 2018), or, by
    the suffix, those of least Kullback-Leibler divergence (`entropy`, as TensorRT's) or of the
    middle 99.999 % (`percentile`).
    """

    tools = ("onnx", "onnxruntime")
    version = 1
    calibrated = True

    def build(
        self,
        float_model: Path,
        scheme: Scheme,
        samples: Sequence[NDArray[np.float32]],
        folder: Path,
    ) -> Mapping[str, Any]:
        """Calibrate, write `model.onnx` and check it.

        Raises:
            BuildError: the model is quantized already, or the result does not check.
            PredictionError: ONNX Runtime cannot run the result.
        """
        path = folder / "model.onnx"
        method = _METHODS.get(scheme.name.rpartition("_")[2], "MinMax")
        with prepared_graph(float_graph(float_model, scheme.name)) as graph:
            content = quantized(graph.read_bytes(), calibrated_ranges(graph, samples, method))
        path.write_bytes(content)
        return {"calibration": method, **check_build(path, samples, scheme.weights)}


class _Reader:
    """A few samples at a time: the tool keeps all tensors of those that it reads."""

    def __init__(self, name: str, samples: Iterable[NDArray[np.float32]]) -> None:
        self._samples = iter([{name: sample} for sample in samples])

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        return next(self._samples, None)


def calibrated_ranges(graph: Path, samples: Sequence[NDArray[np.float32]], method: str) -> Any:
    """Ranges of all tensors (ONNX Runtime's `TensorsData`).

    Args:
        graph: prepared.
        samples: inputs of the model.
        method: `MinMax`, `Entropy` or `Percentile`.
    """
    from onnxruntime.quantization.calibrate import CalibrationMethod, create_calibrator

    with tempfile.TemporaryDirectory() as folder:
        calibrator = create_calibrator(
            graph,
            None,
            augmented_model_path=str(Path(folder) / "augmented.onnx"),
            calibrate_method=CalibrationMethod[method],
        )
        name = calibrator.model.graph.input[0].name
        for start in range(0, len(samples), _CHUNK):
            calibrator.collect_data(_Reader(name, samples[start : start + _CHUNK]))
            if method == "MinMax":  # or it keeps every tensor of every sample
                calibrator.compute_data()
                calibrator.clear_collected_data()
        found = calibrator.compute_data()
        del calibrator
    return found


def quantized(content: bytes, ranges: Any, kept: Iterable[str] = ()) -> bytes:
    """A prepared graph in QDQ form.

    Args:
        content: of the prepared graph.
        ranges: of its tensors.
        kept: names of nodes that stay in float (`nodes_to_exclude`).
    """
    import onnx
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization.qdq_quantizer import QDQQuantizer
    from onnxruntime.quantization.registry import QDQRegistry

    tool = QDQQuantizer(
        onnx.load_model_from_string(content),
        True,  # per channel
        False,  # the whole range of 8 bits
        QuantType.QInt8,
        QuantType.QUInt8,
        ranges,
        [],
        list(kept),
        list(QDQRegistry),
        {},
    )
    tool.quantize_model()
    built: bytes = tool.model.model.SerializeToString(deterministic=True)
    return built
