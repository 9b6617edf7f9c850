"""From the name of a DETR to a PyTorch program with random weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from quantbench.backends.transformers.detectors import CLASSES, DETECTORS, WITHIN
from quantbench.errors import BuildError
from quantbench.sources.random_weights import RandomWeights

if TYPE_CHECKING:
    from pathlib import Path

    from quantbench.backends.transformers.detectors import Detr
    from quantbench.study import Model

_GAIN = 1.5  # of linear layers
_STEM = 64  # channels of a ResNet's first layer


class RandomDetrImporter:
    """A DETR of transformers' own code, with transformers' own ResNet in the place of timm's.

    Both compute the same. A dilated last stage is made as torchvision's: strides of 1, the first
    block not dilated yet, the others by 2. No padding mask goes in, as for a checkpoint.
    """

    tools = ("torch", "transformers")
    version = 1

    def build(self, model: Model, source: Path, folder: Path) -> None:
        """Write `model.pt2`: pixels [1, 3, height, width] to `logits` and `boxes`.

        Raises:
            BuildError: no such architecture, no input size, or not as many weights as were
                published.
        """
        import torch

        wanted = RandomWeights.read(source)
        shape = wanted.known(DETECTORS)
        if model.interface is None:
            raise BuildError(f"{model.name} has no input size")
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(wanted.seed)
            network = network_of(shape)
            pixels = torch.randn(1, 3, *model.interface.size)
        _check(wanted.architecture, shape, network)
        _normalize(network, pixels)

        class Heads(torch.nn.Module):  # type: ignore[misc]
            """The network with its outputs named."""

            def __init__(self) -> None:
                super().__init__()
                self.detr = network

            def forward(self, pixel_values: Any) -> dict[str, Any]:
                said = self.detr(pixel_values=pixel_values)
                return {"logits": said.logits, "boxes": said.pred_boxes}

        with torch.no_grad():
            program = torch.export.export(Heads().eval(), (), {"pixel_values": pixels})
        torch.export.save(program, folder / "model.pt2")


def network_of(shape: Detr) -> Any:
    """A `DetrForObjectDetection` of these sizes; PyTorch's generator decides its weights."""
    import torch
    from transformers import DetrConfig, DetrForObjectDetection, ResNetConfig

    backbone = ResNetConfig(
        embedding_size=_STEM,
        hidden_sizes=list(shape.widths),
        depths=list(shape.depths),
        layer_type="bottleneck",
        out_features=["stage4"],
    )
    config = DetrConfig(
        use_timm_backbone=False,
        backbone_config=backbone,
        d_model=shape.hidden,
        encoder_layers=shape.layers,
        decoder_layers=shape.layers,
        encoder_attention_heads=shape.heads,
        decoder_attention_heads=shape.heads,
        encoder_ffn_dim=shape.feed_forward,
        decoder_ffn_dim=shape.feed_forward,
        num_queries=shape.queries,
        num_labels=CLASSES,
    )
    network = DetrForObjectDetection(config).eval()
    for module in network.modules():
        if isinstance(module, torch.nn.Linear):  # else no picture would change a box
            torch.nn.init.normal_(module.weight, std=_GAIN / module.in_features**0.5)
    if shape.dilated:
        _dilate(network.model.backbone.model.encoder.stages[-1])
    return network


def _dilate(stage: Any) -> None:
    """Keep a stage's resolution, and let its later blocks look as far as they would have."""
    import torch

    for number, block in enumerate(stage.layers):
        for each in block.modules():
            if isinstance(each, torch.nn.Conv2d):
                each.stride = (1, 1)
                if number and each.kernel_size != (1, 1):
                    each.dilation = each.padding = (2, 2)


def _check(name: str, shape: Detr, network: Any) -> None:
    """Every weight that is trained counts, as in the paper."""
    count = sum(values.numel() for values in network.parameters())
    if shape.parameters and abs(count - shape.parameters) > WITHIN * shape.parameters:
        raise BuildError(
            f"{name} has not as many weights as were published",
            where="arXiv 2005.12872, table 1, which rounds to millions",
            expected=f"{shape.parameters:,} ± {WITHIN:.0%}",
            got=f"{count:,}",
            remedy="report it: the sizes here are wrong, or transformers changed",
        )


def _normalize(network: Any, pixels: Any) -> None:
    """Frozen normalizations take mean and variance of noise, as trained ones have photographs'."""
    import torch

    def take(module: Any, inputs: tuple[Any, ...]) -> None:
        (x,) = inputs
        module.running_mean = x.mean((0, 2, 3))
        module.running_var = x.var((0, 2, 3))

    hooks = [
        each.register_forward_pre_hook(take)
        for each in network.modules()
        if hasattr(each, "running_var")
    ]
    with torch.no_grad():
        network(pixel_values=pixels)
    for hook in hooks:
        hook.remove()
