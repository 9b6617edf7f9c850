"""DETRs without their weights: the sizes that their authors published. Light to import."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Detr:
    """A DETR (Carion et al., arXiv 2005.12872).

    Attributes:
        parameters: as the paper's table 1 rounds them to millions; 0 where nobody published it.
        depths: blocks in the stages of its ResNet.
        widths: channels of those stages.
        dilated: the last stage keeps its resolution and dilates its convolutions instead (DC5).
        hidden: width of the transformer.
        feed_forward: width of its feed-forward parts.
        layers: of the encoder, and of the decoder.
        heads: of its attention.
        queries: objects that it can find.
    """

    parameters: int
    depths: tuple[int, ...]
    widths: tuple[int, ...] = (256, 512, 1024, 2048)
    dilated: bool = False
    hidden: int = 256
    feed_forward: int = 2048
    layers: int = 6
    heads: int = 8
    queries: int = 100


DETECTORS = {
    "detr_r50": Detr(parameters=41_000_000, depths=(3, 4, 6, 3)),
    "detr_r101_dc5": Detr(parameters=60_000_000, depths=(3, 4, 23, 3), dilated=True),
    # DETR-DC5 in miniature, to try a study's way in seconds: nobody published it.
    "detr_tiny": Detr(
        parameters=0,
        depths=(1, 1, 1, 2),
        widths=(16, 32, 48, 64),
        dilated=True,
        hidden=32,
        feed_forward=64,
        layers=1,
        heads=2,
        queries=10,
    ),
}
WITHIN = 0.02  # how far a count may be from the paper's millions, as a share
CLASSES = 91  # COCO's ids as channels; one more says "no object"
