"""TensorFlow SavedModels become ONNX models through tf2onnx."""

from __future__ import annotations

import logging
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from quantbench.diagnosis.tensorflow import (
    saved_model_answers,
    saved_model_folder,
    start_tensorflow,
)
from quantbench.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from quantbench.study import Model

_SIGNATURE = "serving_default"
_OPSET = 17


class SavedModelImporter:
    """A SavedModel of one float32 input becomes `model.onnx`.

    The input keeps its name and layout, the outputs their names and order. tf2onnx puts
    transpositions around convolutions where channels come last; ONNX Runtime folds most of them.
    """

    tools = ("tensorflow", "tf2onnx", "onnx")
    version = 1

    def build(self, model: Model, source: Path, folder: Path) -> None:
        """Write `model.onnx`.

        Raises:
            BuildError: no SavedModel with `serving_default`, not one float32 input, a size that
                nobody says, or ops that ONNX lacks.
        """
        with _quiet():
            start_tensorflow()
            import tensorflow as tf
            from tf2onnx.convert import from_function

            serve = _signature(source)
            name, spec = _input(serve, model)
            run = tf.function(lambda given: dict(serve(**{name: given})), autograph=False)
            made, _ = from_function(run, input_signature=[spec], opset=_OPSET)
        _check_ops(made)
        (folder / "model.onnx").write_bytes(made.SerializeToString(deterministic=True))

    def answers(
        self, source: Path, samples: Sequence[NDArray[np.float32]]
    ) -> list[dict[str, NDArray[Any]]]:
        """What TensorFlow itself answers to each sample, by output name."""
        return saved_model_answers(saved_model_folder(source), samples)


def _signature(source: Path) -> Any:
    import tensorflow as tf

    loaded = tf.saved_model.load(str(saved_model_folder(source)))
    if _SIGNATURE not in loaded.signatures:
        raise BuildError(
            "the SavedModel has no signature to serve by",
            where=source,
            expected=_SIGNATURE,
            got=sorted(loaded.signatures),
        )
    serve = loaded.signatures[_SIGNATURE]
    serve.owner = loaded  # it holds its variables weakly
    return serve


def _input(serve: Any, model: Model) -> tuple[str, Any]:
    """Name of the one input, and its specification with a size."""
    inputs = serve.structured_input_signature[1]
    if len(inputs) != 1:
        raise BuildError("expected one input", where=model.source, got=sorted(inputs))
    ((name, spec),) = inputs.items()
    import tensorflow as tf

    if spec.dtype != tf.float32:
        raise BuildError(
            "expected a float32 input",
            where=model.source,
            got=spec.dtype.name,
            remedy="make it convertible first: Model(importer='saved_model')",
        )
    shape, size = spec.shape, getattr(model.interface, "size", None)
    if not shape.is_fully_defined() and size is not None:
        first = model.interface.layout == "nchw"
        wanted = (1, 3, *size) if first else (1, *size, 3)
        if not shape.is_compatible_with(wanted):
            raise BuildError(
                "the model's input has another size than its description",
                where=model.source,
                expected=str(shape),
                got=wanted,
            )
        shape = shape.merge_with(wanted)
    if not shape.is_fully_defined():
        raise BuildError(
            f"{model.name} has no input size",
            where=model.source,
            expected="Model(interface=Detector(size=...))",
            got=str(spec.shape),
        )
    return name, tf.TensorSpec(shape, tf.float32, name=name)


def _check_ops(made: Any) -> None:
    """tf2onnx leaves in the graph what it has no conversion for."""
    import onnx

    strange = Counter(
        node.op_type for node in made.graph.node if not onnx.defs.has(node.op_type, node.domain)
    )
    if strange:
        raise BuildError(
            "TensorFlow ops that tf2onnx has no conversion for",
            expected="ops that ONNX has too",
            got=", ".join(f"{kind} ({n})" for kind, n in sorted(strange.items())),
            remedy="choose outputs before them (Detector(outputs=...) with "
            "Model(importer='saved_model')), or save the model without them",
        )


@contextmanager
def _quiet() -> Iterator[None]:
    """tf2onnx logs each step; what fails is an error of ours."""
    logger = logging.getLogger("tf2onnx")
    before = logger.disabled
    logger.disabled = True
    try:
        yield
    finally:
        logger.disabled = before
