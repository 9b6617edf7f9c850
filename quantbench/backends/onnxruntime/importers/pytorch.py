"""PyTorch programs become ONNX models through PyTorch's own exporter."""

from __future__ import annotations

import logging
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from quantbench.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from quantbench.study import Model

_OPSET = 18  # the exporter's own; it converts others down, or does not


class TorchExportImporter:
    """A program saved by `torch.export.save`, whose outputs are a dictionary of tensors.

    Loading one can run code that it brings (PyTorch unpickles parts of it), so only local files
    are taken: look at where yours came from.
    """

    tools = ("torch", "onnxscript", "onnx")
    version = 1

    def build(self, model: Model, source: Path, folder: Path) -> None:
        """Write `model.onnx`; the outputs have the dictionary's names, in its order.

        Raises:
            BuildError: not one local `.pt2` file, not one input, unnamed outputs, or ops that ONNX
                lacks.
        """
        import torch

        if not (model.source.startswith("file:") or model.has_random_weights):
            raise BuildError(
                "a PyTorch program from elsewhere is not opened",
                where=model.source,
                expected="file:...",
                remedy="it can run code when it is loaded; fetch it yourself if you trust it",
            )
        program, path = _program(source)
        positional, named = program.example_inputs
        if len(positional) + len(named) != 1:
            raise BuildError(
                "expected one input", where=path.name, got=len(positional) + len(named)
            )
        with torch.no_grad():
            said = program.module()(*positional, **named)
        if not isinstance(said, dict):
            raise BuildError(
                "a detector's outputs must have names",
                where=path.name,
                expected="forward() returns a dictionary of tensors",
                got=type(said).__name__,
            )
        with _quiet():
            try:
                exported = torch.onnx.export(
                    program,
                    dynamo=True,
                    opset_version=_OPSET,
                    output_names=list(said),
                    verbose=False,
                )
            except torch.onnx.errors.OnnxExporterError as error:
                raise _unconverted(path, error) from error
        made = exported.model_proto
        (folder / "model.onnx").write_bytes(made.SerializeToString(deterministic=True))

    def answers(
        self, source: Path, samples: Sequence[NDArray[np.float32]]
    ) -> list[dict[str, NDArray[Any]]]:
        """What PyTorch itself answers to each sample, by output name."""
        import torch

        program, _ = _program(source)
        module, named = program.module(), program.example_inputs[1]
        with torch.no_grad():
            said = [
                module(**dict.fromkeys(named, torch.from_numpy(sample)))
                if named
                else module(torch.from_numpy(sample))
                for sample in samples
            ]
        return [{name: value.numpy() for name, value in each.items()} for each in said]


def _program(source: Path) -> tuple[Any, Path]:
    import torch

    files = list(source.glob("*.pt2"))
    if len(files) != 1:
        raise BuildError("expected one .pt2 file", where=source, got=len(files))
    return torch.export.load(files[0]), files[0]


def _unconverted(path: Path, error: Exception) -> BuildError:
    """The exporter's report in one line: the last of its causes."""
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    return BuildError(
        "PyTorch's exporter makes no ONNX model of the program",
        where=path.name,
        expected="ops that ONNX has too",
        got=f"{type(cause).__name__}: {str(cause).strip()[:500]}",
        remedy="write the op that it names by others, or leave it out of what is exported",
    )


@contextmanager
def _quiet() -> Iterator[None]:
    """The exporter warns of packages that it could do with, such as torchvision."""
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        yield
    finally:
        logger.setLevel(before)
