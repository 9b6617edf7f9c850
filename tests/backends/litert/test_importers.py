"""A detector of one's own, from each format that it may come in."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from quantbench.backends.litert.convert import LiteRTQuantizer
from quantbench.backends.litert.importers.pytorch import (
    DETRImporter,
    ImageClassifierImporter,
    TorchExportImporter,
)
from quantbench.backends.litert.importers.saved_model import KerasImporter, SavedModelImporter
from quantbench.backends.litert.interpreter import LiteRTModel
from quantbench.catalog.models import find_model
from quantbench.errors import BuildError
from quantbench.study import Model, Scheme
from quantbench.tasks.detection.decoders import find_decoder

if TYPE_CHECKING:
    from pathlib import Path

PICTURE = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3)).astype(np.float32)
SSD = find_model("ssd_mobilenetv2")
assert SSD.interface is not None
SMALL = replace(SSD.interface, size=(64, 64))


def described(**changes: Any) -> Model:
    return replace(SSD, interface=replace(SMALL, **changes))


def converted(folder: Path, scheme: str = "float32") -> LiteRTModel:
    target = folder.parent / f"{folder.name}-{scheme}"
    target.mkdir()
    rng = np.random.default_rng(1)
    samples = [PICTURE, *(rng.integers(0, 256, PICTURE.shape).astype(np.float32) for _ in range(3))]
    LiteRTQuantizer().build(folder, Scheme.parse(scheme), samples, target)
    return LiteRTModel(target / "model.tflite", threads=1)


def object_detection(folder: Path) -> Any:
    """A stand-in with the signature and the habits of a TF2 Object Detection model.

    uint8 pictures of any size, preprocessed one by one in a `tf.map_fn`, decoded and suppressed
    inside, with a count taken from a shape.
    """
    import tensorflow as tf

    rng = np.random.default_rng(0)
    kernel = tf.Variable(rng.normal(0, 0.4, (3, 3, 3, 8)).astype(np.float32))
    heads = tf.Variable(rng.normal(0, 0.5, (3, 3, 8, 7)).astype(np.float32))
    y, x = np.meshgrid((np.arange(8) + 0.5) / 8, (np.arange(8) + 0.5) / 8, indexing="ij")
    centres = np.stack([y.ravel(), x.ravel()], axis=1).astype(np.float32)

    def one(picture: Any) -> Any:
        return tf.image.resize(picture[None], [64, 64])[0] / 127.5 - 1

    def run(input_tensor: Any) -> dict[str, Any]:
        pictures = tf.map_fn(one, tf.cast(input_tensor, tf.float32))
        pictures.set_shape([1, 64, 64, 3])
        features = tf.nn.relu6(tf.nn.conv2d(pictures, kernel, 4, "SAME"))
        said = tf.reshape(tf.nn.conv2d(features, heads, 2, "SAME"), [64, 7])
        extent = tf.sigmoid(said[:, 2:4]) * 0.4
        corners = tf.concat([centres - extent / 2, centres + extent / 2], axis=1)
        boxes, scores, classes = [], [], []
        for label in range(3):
            likely = tf.sigmoid(said[:, 4 + label])
            chosen, kept = tf.image.non_max_suppression_with_scores(
                corners, likely, 10, iou_threshold=0.5, score_threshold=0.6
            )
            missing = 10 - tf.shape(chosen)[0]
            chosen = tf.concat([chosen, tf.zeros([missing], tf.int32)], 0)
            kept = tf.concat([kept, tf.zeros([missing])], 0)
            chosen.set_shape([10])
            kept.set_shape([10])
            boxes.append(tf.gather(corners, chosen))
            scores.append(kept)
            classes.append(tf.fill([10], label + 1.0))
        best, order = tf.math.top_k(tf.concat(scores, 0), 10)
        return {
            "detection_boxes": tf.gather(tf.concat(boxes, 0), order)[None],
            "detection_classes": tf.gather(tf.concat(classes, 0), order)[None],
            "detection_scores": best[None],
            "num_detections": tf.cast(tf.reduce_sum(tf.cast(best > 0, tf.int32)), tf.float32)[None],
            "raw_detection_boxes": corners[None],
        }

    module = tf.Module()
    module.variables_of_mine = [kernel, heads]
    spec = tf.TensorSpec((1, None, None, 3), tf.uint8, name="input_tensor")
    module.run = tf.function(run, input_signature=[spec])
    tf.saved_model.save(module, str(folder), signatures=module.run)
    return module.run


def test_an_object_detection_model_is_made_convertible(tmp_path: Path) -> None:
    """Also to full int8: on the loop of its preprocessing LiteRT's calibration would crash."""
    import tensorflow as tf

    run = object_detection(tmp_path / "source")
    (tmp_path / "float").mkdir()
    SavedModelImporter().build(described(), tmp_path / "source", tmp_path / "float")
    meant = {name: value.numpy() for name, value in run(tf.cast(PICTURE, tf.uint8)).items()}
    said = converted(tmp_path / "float")(PICTURE)
    assert set(said) == {"detection_boxes", "detection_classes", "detection_scores"}
    decode = find_decoder("tf2_detection")
    found, expected = decode(said, SMALL), decode(meant, SMALL)
    assert len(found.scores) > 0
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-5)
    np.testing.assert_allclose(found.boxes, expected.boxes, atol=1e-2)
    assert found.labels.tolist() == expected.labels.tolist()
    quantized = converted(tmp_path / "float", "int8_static")
    assert quantized.input["dtype"] == np.int8
    assert decode(quantized(PICTURE), SMALL).scores[0] == pytest.approx(
        expected.scores[0], abs=0.05
    )


def test_a_loop_that_runs_twice_is_refused(tmp_path: Path) -> None:
    import tensorflow as tf

    def run(picture: Any) -> dict[str, Any]:
        _, total = tf.while_loop(
            lambda i, _: i < 2, lambda i, x: (i + 1, x * 2), (tf.constant(0), picture)
        )
        return {"detection_boxes": total}

    module = tf.Module()
    module.run = tf.function(
        run, input_signature=[tf.TensorSpec((1, 64, 64, 3), tf.float32, name="picture")]
    )
    tf.saved_model.save(module, str(tmp_path / "source"), signatures=module.run)
    (tmp_path / "float").mkdir()
    with pytest.raises(BuildError, match="loops more than once"):
        SavedModelImporter().build(described(outputs=()), tmp_path / "source", tmp_path / "float")


def test_a_keras_file_keeps_its_outputs_names(tmp_path: Path) -> None:
    import keras
    from keras import layers

    keras.utils.set_random_seed(0)
    image = keras.Input((64, 64, 3))
    features = layers.BatchNormalization()(layers.Conv2D(4, 3, padding="same")(image))
    network = keras.Model(
        image, {"heatmap": layers.Conv2D(2, 1, activation="sigmoid")(features), "extra": features}
    )
    (tmp_path / "source").mkdir()
    network.save(tmp_path / "source" / "detector.keras")
    (tmp_path / "float").mkdir()
    model = described(outputs=(("heatmap", "heatmap"),))
    KerasImporter().build(model, tmp_path / "source", tmp_path / "float")
    said = converted(tmp_path / "float")(PICTURE)
    assert set(said) == {"heatmap"}
    meant = network(PICTURE, training=False)["heatmap"].numpy()
    np.testing.assert_allclose(said["heatmap"], meant, atol=1e-4)
    with pytest.raises(BuildError, match=r"no such outputs[^$]*boxes[^$]*heatmap"):
        KerasImporter().build(
            described(outputs=(("boxes", "boxes"),)), tmp_path / "source", tmp_path / "float"
        )


def test_a_torch_program_becomes_tflite(tmp_path: Path) -> None:
    import torch

    class Heads(torch.nn.Module):  # type: ignore[misc]
        def __init__(self) -> None:
            super().__init__()
            self.convolution = torch.nn.Conv2d(3, 4, 3, padding=1)

        def forward(self, picture: Any) -> dict[str, Any]:
            return {"heatmap": torch.sigmoid(self.convolution(picture))}

    torch.manual_seed(0)
    network = Heads().eval()
    example = torch.rand(1, 3, 64, 64)
    (tmp_path / "source").mkdir()
    torch.export.save(
        torch.export.export(network, (example,)), tmp_path / "source" / "detector.pt2"
    )
    (tmp_path / "float").mkdir()
    mine = replace(described(), source="file:detector.pt2")
    TorchExportImporter().build(mine, tmp_path / "source", tmp_path / "float")
    with pytest.raises(BuildError, match="a PyTorch program from elsewhere is not opened"):
        TorchExportImporter().build(described(), tmp_path / "source", tmp_path / "float")
    (tmp_path / "again").mkdir()
    exact = replace(mine, tolerance=0.0)
    with pytest.raises(BuildError, match="does not answer as PyTorch's"):
        TorchExportImporter().build(exact, tmp_path / "source", tmp_path / "again")
    picture = torch.rand(1, 3, 64, 64)
    said = LiteRTModel(tmp_path / "float" / "model.tflite", threads=1)(picture.numpy())
    meant = network(picture)["heatmap"].detach().numpy()
    np.testing.assert_allclose(said["heatmap"], meant, atol=1e-4)


def test_what_is_no_model_is_explained(tmp_path: Path) -> None:
    for importer, what in (
        (SavedModelImporter(), "saved_model.pb"),
        (KerasImporter(), ".keras file"),
        (TorchExportImporter(), ".pt2 file"),
    ):
        with pytest.raises(BuildError, match=f"expected one {what}"):
            importer.build(replace(described(), source="file:mine"), tmp_path, tmp_path)


def test_whole_pixel_values_are_not_fed_anything_else(tmp_path: Path) -> None:
    """Mistake 5 of the published study: a share of 255 as a whole number is black."""
    object_detection(tmp_path / "source")
    (tmp_path / "float").mkdir()
    for change in ({"value_range": (0.0, 1.0)}, {"std": (127.5, 127.5, 127.5)}):
        with pytest.raises(BuildError, match="takes whole pixel values"):
            SavedModelImporter().build(described(**change), tmp_path / "source", tmp_path / "float")


@pytest.fixture(scope="module")
def tiny_detr(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A DETR with random weights, large enough that its answers depend on the picture."""
    import torch
    from transformers import DetrConfig, DetrForObjectDetection, ResNetConfig

    torch.manual_seed(0)
    backbone = ResNetConfig(
        embedding_size=8,
        hidden_sizes=[8, 16, 24, 32],
        depths=[1, 1, 1, 1],
        layer_type="basic",
        out_features=["stage4"],
    )
    config = DetrConfig(
        use_timm_backbone=False,
        backbone_config=backbone,
        d_model=32,
        encoder_layers=1,
        decoder_layers=1,
        encoder_attention_heads=2,
        decoder_attention_heads=2,
        encoder_ffn_dim=64,
        decoder_ffn_dim=64,
        num_queries=10,
        num_labels=91,
    )
    network = DetrForObjectDetection(config)
    for name, values in network.named_parameters():
        if values.ndim == 2 and "embed" not in name:
            torch.nn.init.normal_(values, std=1.5 / values.shape[1] ** 0.5)
    folder = tmp_path_factory.mktemp("detr")
    network.save_pretrained(folder)
    return folder


def test_detr_answers_as_transformers_and_keeps_batch_matmul_in_float(
    tiny_detr: Path, tmp_path: Path
) -> None:
    import torch
    from transformers import DetrForObjectDetection

    from quantbench.backends.litert.aeq import AEQQuantizer

    published = find_model("detr_r50")
    assert published.interface is not None
    model = replace(published, interface=replace(published.interface, size=(96, 128)))
    assert model.interface is not None
    (tmp_path / "float").mkdir()
    DETRImporter().build(model, tiny_detr, tmp_path / "float")
    generator = torch.Generator().manual_seed(1)
    pixels = [torch.randn(1, 3, 96, 128, generator=generator) for _ in range(4)]
    samples = [p.numpy() for p in pixels]
    with torch.no_grad():
        meant = DetrForObjectDetection.from_pretrained(tiny_detr).eval()(pixels[0])
    float_model = LiteRTModel(tmp_path / "float" / "model.tflite", threads=1)
    said = float_model(samples[0])
    np.testing.assert_allclose(said["logits"], meant.logits.numpy(), atol=1e-4)
    np.testing.assert_allclose(said["boxes"], meant.pred_boxes.numpy(), atol=1e-4)
    assert not np.allclose(said["logits"], float_model(samples[1])["logits"], atol=0.05)
    found = find_decoder("detr")(said, model.interface)
    assert len(found.scores) == 10
    for scheme in ("int8_dynamic_aeq", "int8_static_aeq", "int16x8_static_aeq", "float16_aeq"):
        folder = tmp_path / scheme
        folder.mkdir()
        AEQQuantizer().build(tmp_path / "float", Scheme.parse(scheme), samples, folder)
        assert _batch_matmul_types(folder / "model.tflite") == {"FLOAT32"}
        close = LiteRTModel(folder / "model.tflite", threads=1)(samples[0])["logits"]
        assert np.abs(close - said["logits"]).mean() < 0.2


def _batch_matmul_types(path: Path) -> set[str]:
    from ai_edge_litert import schema_py_generated as schema

    names = {v: k for k, v in vars(schema.TensorType).items() if not k.startswith("_")}
    model = schema.ModelT.InitFromPackedBuf(path.read_bytes(), 0)
    found = set()
    for graph in model.subgraphs:
        for op in graph.operators:
            code = model.operatorCodes[op.opcodeIndex]
            kind = max(code.builtinCode, code.deprecatedBuiltinCode)
            if kind == schema.BuiltinOperator.BATCH_MATMUL:
                found |= {names[graph.tensors[i].type] for i in [*op.inputs, *op.outputs]}
    return found


def test_a_classifier_of_transformers_answers_as_there(tmp_path: Path) -> None:
    import torch
    from transformers import ResNetConfig, ResNetForImageClassification

    torch.manual_seed(0)
    config = ResNetConfig(
        embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic", num_labels=5
    )
    network = ResNetForImageClassification(config).eval()
    network.save_pretrained(tmp_path / "checkpoint")
    published = find_model("deit_tiny")
    interface = replace(published.interface, size=(32, 48), resize=48)
    model = replace(published, interface=interface)
    (tmp_path / "float").mkdir()
    ImageClassifierImporter().build(model, tmp_path / "checkpoint", tmp_path / "float")
    pixels = torch.randn(1, 3, 32, 48, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        meant = network(pixels).logits.numpy()
    said = LiteRTModel(tmp_path / "float" / "model.tflite", threads=1)(pixels.numpy())
    np.testing.assert_allclose(said["logits"], meant, atol=1e-4)
    last = replace(model, interface=replace(interface, layout="nhwc"))
    with pytest.raises(BuildError, match='layout="nchw"'):
        ImageClassifierImporter().build(last, tmp_path / "checkpoint", tmp_path / "float")
