"""PyTorch models of pictures become float `.tflite` files through litert-torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.litert.check import check_build
from quantbench.errors import BuildError

if TYPE_CHECKING:
    from pathlib import Path

    from quantbench.study import Model


class TorchExportImporter:
    """A program saved by `torch.export.save`, whose outputs are a dictionary of tensors.

    Loading one can run code that it brings (PyTorch unpickles parts of it), so only local files
    are taken: look at where yours came from.
    """

    tools = ("torch", "litert-torch", "ai-edge-litert")
    version = 1

    def build(self, model: Model, source: Path, folder: Path) -> None:
        """Write `model.tflite`; it answers as PyTorch does, to 1e-4, on the example input.

        Raises:
            BuildError: not one local `.pt2` file, not one input, or the conversion changes answers.
        """
        import torch

        if not (model.source.startswith("file:") or model.has_random_weights):
            raise BuildError(
                "a PyTorch program from elsewhere is not opened",
                where=model.source,
                expected="file:...",
                remedy="it can run code when it is loaded; fetch it yourself if you trust it",
            )

        files = list(source.glob("*.pt2"))
        if len(files) != 1:
            raise BuildError("expected one .pt2 file", where=source, got=len(files))
        program = torch.export.load(files[0])
        positional, named = program.example_inputs
        if len(positional) + len(named) != 1:
            raise BuildError(
                "expected one input", where=files[0].name, got=len(positional) + len(named)
            )
        _convert(program.module(), tuple(positional), dict(named), folder, model.tolerance)


class DETRImporter:
    """A Hugging Face DETR checkpoint (Carion et al., 2020) at the detector's fixed size.

    No padding mask goes in: it is all ones and folds away, and padding is looked at like picture.
    """

    tools = ("torch", "transformers", "litert-torch", "ai-edge-litert")
    version = 1

    def build(self, model: Model, source: Path, folder: Path) -> None:
        """Write `model.tflite` with outputs `logits` and `boxes`; checked as a `.pt2` is.

        Raises:
            BuildError: the description has no size, or the conversion changes answers.
        """
        import torch
        from transformers import DetrForObjectDetection

        if model.interface is None:
            raise BuildError(f"{model.name} has no input size")

        class Heads(torch.nn.Module):  # type: ignore[misc]
            """The checkpoint with its outputs named."""

            def __init__(self) -> None:
                super().__init__()
                self.detr = DetrForObjectDetection.from_pretrained(
                    source, local_files_only=True, use_safetensors=True
                )

            def forward(self, pixel_values: Any) -> dict[str, Any]:
                said = self.detr(pixel_values=pixel_values)
                return {"logits": said.logits, "boxes": said.pred_boxes}

        torch.manual_seed(0)
        pixels = torch.randn(1, 3, *model.interface.size)
        _convert(Heads().eval(), (), {"pixel_values": pixels}, folder, model.tolerance)


class ImageClassifierImporter:
    """A checkpoint of one of transformers' image classifiers, at its description's fixed size."""

    tools = ("torch", "transformers", "litert-torch", "ai-edge-litert")
    version = 1

    def build(self, model: Model, source: Path, folder: Path) -> None:
        """Write `model.tflite` with the output `logits`; checked as a `.pt2` is.

        Raises:
            BuildError: the description has no size or puts channels last, or the conversion
                changes answers.
        """
        import torch
        from transformers import AutoModelForImageClassification

        if model.interface is None or model.interface.layout != "nchw":
            raise BuildError(
                f"{model.name} does not say how transformers' classifiers are fed",
                expected='Model(interface=Classifier(size=..., layout="nchw"))',
                got=model.interface,
            )

        class Answers(torch.nn.Module):  # type: ignore[misc]
            """The checkpoint with its output named."""

            def __init__(self) -> None:
                super().__init__()
                self.classifier = AutoModelForImageClassification.from_pretrained(
                    source, local_files_only=True, use_safetensors=True
                )

            def forward(self, pixel_values: Any) -> dict[str, Any]:
                return {"logits": self.classifier(pixel_values=pixel_values).logits}

        torch.manual_seed(0)
        pixels = torch.randn(1, 3, *model.interface.size)
        _convert(Answers().eval(), (), {"pixel_values": pixels}, folder, model.tolerance)


def _convert(
    module: Any,
    positional: tuple[Any, ...],
    named: dict[str, Any],
    folder: Path,
    tolerance: float,
) -> None:
    import litert_torch
    import torch

    # Folded: masks and position embeddings of a fixed size are constants.
    converted = litert_torch.convert(
        module, positional or None, named or None, runtime_constant_folding=True
    )
    path = folder / "model.tflite"
    converted.export(str(path))
    with torch.no_grad():
        said = module(*positional, **named)
    if not isinstance(said, dict):
        raise BuildError(
            "a model's outputs must have names",
            expected="forward() returns a dictionary of tensors",
            got=type(said).__name__,
        )
    (example,) = [*positional, *named.values()]
    meant = {name: value.numpy() for name, value in said.items()}
    example_input = np.asarray(example.numpy(), dtype=np.float32)
    difference = check_build(path, [example_input], "float32", [meant])["float_difference"]
    if difference > tolerance:
        raise BuildError(
            "the converted model does not answer as PyTorch's to the example",
            expected=f"answers within {tolerance:g} of the largest",
            got=f"a difference of {difference:.3g}",
            remedy="compare both on pictures of your own; where the difference does no harm, say "
            "so: Model(tolerance=...)",
        )
