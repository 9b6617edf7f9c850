"""DETRs with random weights: published counts, a dilated stage, one program for two runtimes."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from quantbench.backends.litert.importers import pytorch as to_litert
from quantbench.backends.litert.interpreter import LiteRTModel
from quantbench.backends.onnxruntime.importers import pytorch as to_onnx
from quantbench.backends.transformers.detectors import DETECTORS
from quantbench.backends.transformers.importers import random_detector
from quantbench.backends.transformers.importers.random_detector import RandomDetrImporter
from quantbench.catalog.models import find_model
from quantbench.errors import BuildError
from quantbench.sources.random_weights import RandomWeights

if TYPE_CHECKING:
    from pathlib import Path

    from quantbench.study import Model

PUBLISHED = {"detr_r50": 41e6, "detr_r101_dc5": 60e6}  # arXiv 2005.12872, table 1
SIZE = (96, 128)


def tiny() -> Model:
    like = find_model("detr_r101_dc5")
    assert like.interface is not None
    interface = replace(like.interface, size=SIZE)
    return replace(like, interface=interface, architecture="detr_tiny").with_random_weights()


def program(folder: Path, seed: int = 0) -> Path:
    source, made = folder / "source", folder / "made"
    source.mkdir(parents=True)
    made.mkdir()
    RandomWeights("detr_tiny", seed).fetch(source)
    RandomDetrImporter().build(tiny(), source, made)
    return made


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return program(tmp_path_factory.mktemp("detr"))


def samples() -> list[Any]:
    generator = torch.Generator().manual_seed(1)
    return [torch.randn(1, 3, *SIZE, generator=generator).numpy() for _ in range(2)]


@pytest.mark.parametrize("name", PUBLISHED)
def test_as_many_weights_as_the_paper_says(name: str) -> None:
    with torch.device("meta"):
        network = random_detector.network_of(DETECTORS[name])
    count = sum(values.numel() for values in network.parameters())
    assert DETECTORS[name].parameters == PUBLISHED[name]
    assert abs(count / PUBLISHED[name] - 1) < 0.02


def test_a_dilated_stage_answers_as_the_strided_one_where_that_answers() -> None:
    """Convolution with holes (Holschneider et al., 1989): every second place is the same."""
    torch.manual_seed(0)
    shape = DETECTORS["detr_tiny"]
    dilated = random_detector.network_of(shape).model.backbone.model.eval()
    strided = random_detector.network_of(replace(shape, dilated=False)).model.backbone.model.eval()
    strided.load_state_dict(dilated.state_dict())
    with torch.no_grad():
        picture = torch.randn(1, 3, 96, 128)
        (fine,) = dilated(picture).feature_maps
        (coarse,) = strided(picture).feature_maps
    assert fine.shape[-2:] == (6, 8)
    torch.testing.assert_close(fine[..., ::2, ::2], coarse)


def test_both_runtimes_take_the_program_and_answer_as_pytorch(made: Path, tmp_path: Path) -> None:
    for name, importer in (
        ("litert", to_litert.TorchExportImporter()),
        ("onnx", to_onnx.TorchExportImporter()),
    ):
        (tmp_path / name).mkdir()
        importer.build(tiny(), made, tmp_path / name)
    meant = to_onnx.TorchExportImporter().answers(made, samples())
    opened = LiteRTModel(tmp_path / "litert" / "model.tflite", threads=1)
    for sample, said in zip(samples(), meant, strict=True):
        assert said["logits"].shape == (1, 10, 92)
        np.testing.assert_allclose(opened(sample)["boxes"], said["boxes"], atol=1e-4)
    first, second = (said["boxes"] for said in meant)
    assert np.abs(first - second).max() > 0.02  # pictures decide


def test_a_program_from_elsewhere_is_still_not_opened(made: Path, tmp_path: Path) -> None:
    fetched = replace(find_model("detr_r101_dc5"), source="hf:someone/something==1")
    for importer in (to_litert.TorchExportImporter(), to_onnx.TorchExportImporter()):
        with pytest.raises(BuildError, match="from elsewhere is not opened"):
            importer.build(fetched, made, tmp_path)


def test_a_seed_decides_the_weights(made: Path, tmp_path: Path) -> None:
    reads = to_onnx.TorchExportImporter().answers
    (one, _), (other, _) = reads(made, samples()), reads(program(tmp_path, 1), samples())
    assert np.abs(one["boxes"] - other["boxes"]).max() > 0.05


def test_an_unknown_one_is_refused(tmp_path: Path) -> None:
    RandomWeights("detr", 0).fetch(tmp_path)
    with pytest.raises(BuildError, match=r"(?s)unknown architecture 'detr'.*detr_r101_dc5"):
        RandomDetrImporter().build(tiny(), tmp_path, tmp_path)
