"""A `.tflite` in TensorFlow: op by op what LiteRT computes, and gradients through it."""

from __future__ import annotations

from contextlib import closing
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from quantbench.backends.litert.aeq import AEQQuantizer
from quantbench.backends.litert.convert import convert
from quantbench.backends.litert.graph import WEIGHTED, Graph
from quantbench.backends.litert.interpreter import LiteRTModel
from quantbench.backends.litert.recovering import stored
from quantbench.backends.litert.recovering.executor import Executor
from quantbench.backends.litert.recovering.ops import computes
from quantbench.backends.litert.recovering.weights import real_values, trained
from quantbench.errors import BuildError
from quantbench.study import Scheme

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

SCHEMES = ("float32", "int8_static")


@cache
def opened(path: Path) -> Executor:
    return Executor(Graph.read(path), path.name)


def every_op(image: Any) -> dict[str, Any]:
    """One output a kind of op, or two."""
    import tensorflow as tf

    rng = np.random.default_rng(1)

    def weights(*shape: int) -> Any:
        return tf.constant(rng.normal(0, 0.5, shape), tf.float32)

    x = tf.nn.bias_add(tf.nn.conv2d(image, weights(3, 3, 3, 8), 2, "SAME"), weights(8))
    wide = tf.nn.conv2d(x, weights(3, 3, 8, 4), 1, "SAME", dilations=2)
    deep = tf.nn.depthwise_conv2d(x, weights(3, 3, 8, 2), (1, 2, 2, 1), "VALID")
    flat = tf.reshape(tf.nn.avg_pool2d(x, 2, 2, "SAME"), (1, -1))
    first, second, third = tf.split(x, (2, 2, 4), axis=3)
    halves = tf.split(x, 2, axis=1)
    return {
        "wide": tf.nn.relu6(wide),
        "deep": tf.nn.relu(deep + weights(16)),
        "scores": tf.nn.softmax(tf.matmul(flat, weights(128, 5)) + weights(5)),
        "pooled": tf.nn.max_pool2d(x, 3, 2, "SAME") - 0.5,
        "bilinear": tf.image.resize(x, (11, 13)),
        "nearest": tf.image.resize(x, (16, 16), "nearest"),
        "sums": first + second * tf.sigmoid(first) - tf.tanh(second),
        "ends": tf.maximum(first, 0.1) / (1.5 + tf.minimum(tf.nn.relu(second), 1.0)),
        "leaky": tf.nn.leaky_relu(third, 0.1),
        "swish": x * tf.nn.relu6(x + 3) * (1 / 6),
        "joined": tf.concat(halves[::-1], axis=2),
        "padded": tf.pad(x, ((0, 0), (1, 0), (0, 2), (0, 0)), constant_values=-1.0),
        "zeros": tf.nn.relu(tf.pad(third, ((0, 0), (1, 1), (1, 1), (0, 0)))),
        "mean": tf.reduce_mean(x, (1, 2), keepdims=True) * x,
        "turned": tf.transpose(x, (0, 3, 1, 2))[:, 1:7:2, :, 2:],
        "cut": tf.slice(x, (0, 1, 2, 0), (1, 3, 4, 8)),
        "tiled": tf.tile(x, (1, 1, 2, 1)),
        "clipped": tf.clip_by_value(x, -1.0, 1.0),
    }


@pytest.fixture(scope="module")
def pictures() -> list[NDArray[np.float32]]:
    rng = np.random.default_rng(0)
    coarse = rng.normal(0, 1, (12, 1, 4, 4, 3)).astype(np.float32)
    return list(np.repeat(np.repeat(coarse, 4, axis=2), 4, axis=3))


@pytest.fixture(scope="module")
def everything(
    tmp_path_factory: pytest.TempPathFactory, pictures: list[NDArray[np.float32]]
) -> dict[str, Path]:
    """The graph of `every_op` under each scheme."""
    import tensorflow as tf

    folder = tmp_path_factory.mktemp("everything")
    module = tf.Module()
    signature = tf.TensorSpec((1, 16, 16, 3), tf.float32, name="image")
    module.serve = tf.function(every_op, input_signature=[signature])
    tf.saved_model.save(module, str(folder / "saved"), signatures=module.serve)
    paths = {name: folder / f"{name}.tflite" for name in SCHEMES}
    for name, path in paths.items():
        convert(folder / "saved", Scheme.parse(name), pictures, path)
    return paths


@pytest.fixture(scope="module")
def narrow(
    tmp_path_factory: pytest.TempPathFactory,
    float_path: Path,
    samples: list[NDArray[np.float32]],
) -> dict[str, Path]:
    """The small detector with weights of four bits."""
    found = {}
    for name in ("int4_weight_aeq", "int8x4_static_aeq"):
        folder = tmp_path_factory.mktemp(name)
        AEQQuantizer().build(float_path.parent, Scheme.parse(name), samples, folder)
        found[name] = folder / "model.tflite"
    return found


def test_each_op_is_within_a_step_of_litert_s(
    everything: dict[str, Path], narrow: dict[str, Path], pictures: list[NDArray[np.float32]]
) -> None:
    """Given what LiteRT's own kernels were given: an oracle that shares no code."""
    kinds = {op.kind for path in everything.values() for op in Graph.read(path).ops}
    assert kinds >= {*WEIGHTED, "LEAKY_RELU", "SPLIT_V", "PADV2", "STRIDED_SLICE", "TILE", "MEAN"}
    assert kinds <= set(computes())
    for path in (*everything.values(), *narrow.values()):
        assert stored.check_ops(path, pictures[:2])["most_steps_apart"] <= 1.01


def test_answers_in_float_are_litert_s(
    everything: dict[str, Path], narrow: dict[str, Path], pictures: list[NDArray[np.float32]]
) -> None:
    for path in (everything["float32"], narrow["int4_weight_aeq"]):
        executor = Executor(Graph.read(path), path.name)
        with closing(LiteRTModel(path, 1)) as model:
            meant = model(pictures[0])
        said = executor.outputs(executor(pictures[0]))
        assert said.keys() == meant.keys()
        for name, values in meant.items():
            np.testing.assert_allclose(said[name], values, atol=2e-5 * np.abs(values).max())


def test_several_samples_at_once_are_as_one_by_one(
    everything: dict[str, Path], pictures: list[NDArray[np.float32]]
) -> None:
    executor = Executor(Graph.read(everything["int8_static"]), "model")
    assert executor.batched
    together = executor.outputs(executor(np.concatenate(pictures[:3])))
    apart = [executor.outputs(executor(each)) for each in pictures[:3]]
    for name, values in together.items():
        step = np.ptp(values.numpy()) / 255
        each = np.concatenate([one[name].numpy() for one in apart])
        # Another order of sums may round a tie otherwise.
        assert (np.abs(values.numpy() - each) <= 1.01 * step).all()
        assert (np.abs(values.numpy() - each) > 0.5 * step).mean() < 0.01


def test_a_graph_that_mixes_samples_takes_one_at_a_time(tmp_path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    signature = tf.TensorSpec((1, 4, 4, 3), tf.float32, name="image")
    module.serve = tf.function(
        lambda x: {"y": tf.reduce_mean(tf.reshape(x, (16, 3)), 0)}, input_signature=[signature]
    )
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=module.serve)
    convert(tmp_path / "saved", Scheme.parse("float32"), [], tmp_path / "model.tflite")
    assert not Executor(Graph.read(tmp_path / "model.tflite"), "model").batched


def test_gradients_are_slopes(
    everything: dict[str, Path], pictures: list[NDArray[np.float32]]
) -> None:
    """Of biases, which nothing rounds, against differences: through every op of the float graph."""
    import tensorflow as tf

    executor = Executor(Graph.read(everything["float32"]), "model")
    shares = [tf.Variable(each.start) for each in executor.trained]
    picture = pictures[1]

    def total() -> Any:
        said = executor.outputs(executor(picture, [each.value() for each in shares]))
        exact = [tf.cast(values, tf.float64) for values in said.values()]
        return tf.add_n([tf.reduce_sum(values * values) for values in exact])

    with tf.GradientTape() as tape:
        loss = total()
    slopes = tape.gradient(loss, shares)
    rng = np.random.default_rng(3)
    for variable, slope in zip(shares, slopes, strict=True):
        way, here = rng.standard_normal(variable.shape).astype(np.float32), variable.numpy()
        ends = []
        for side in (1e-3, -1e-3):
            variable.assign(here + side * way)
            ends.append(float(total()))
        variable.assign(here)
        assert float(tf.reduce_sum(slope * way)) == pytest.approx(
            (ends[0] - ends[1]) / 2e-3, rel=0.05, abs=0.02 * float(tf.norm(slope))
        )


def test_gradients_pass_rounding_and_stop_at_the_ends(narrow: dict[str, Path]) -> None:
    import tensorflow as tf

    one = next(each for each in trained(Graph.read(narrow["int8x4_static_aeq"])) if each.levels)
    shares = tf.Variable(np.full(one.start.shape, 0.31, np.float32))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(one.real(shares))
    np.testing.assert_allclose(
        tape.gradient(loss, shares), np.broadcast_to(one.unit, one.start.shape), rtol=1e-5
    )
    shares.assign(np.full(one.start.shape, 1.2, np.float32))
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(one.real(shares))
    assert not tape.gradient(loss, shares).numpy().any()


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 1000), scheme=st.sampled_from(("int4_weight_aeq", "int8x4_static_aeq")))
def test_the_file_holds_what_training_computes_with(
    seed: int, scheme: str, narrow: dict[str, Path]
) -> None:
    """Integers within half a step of the shares; written, read, and real again."""
    graph = Graph.read(narrow[scheme])
    executor = opened(narrow[scheme])
    rng = np.random.default_rng(seed)
    shares = [rng.uniform(-1.1, 1.1, e.start.shape).astype(np.float32) for e in executor.trained]
    written = Graph(stored.write(executor, graph, shares))
    for each, values in zip(executor.trained, shares, strict=True):
        real = np.asarray(each.real(values))
        half = 0.0 if each.levels or each.scale is None else 0.51 * each.scale  # of a bias
        apart = np.abs(real_values(written, each.tensor) - real)
        assert (apart <= half + 1e-5 * np.abs(real) + 1e-6).all()
        if each.levels:
            apart = np.abs(real / each.scale - np.clip(values, -1, 1) * each.levels)
            assert apart.max() <= 0.5 + 1e-3
            assert np.abs(each.stored(values)).max() <= each.levels
    others = {t for op in graph.ops for t in op.inputs if graph.is_constant(t)}
    for tensor in others - {each.tensor for each in executor.trained}:
        assert np.array_equal(written.constant(tensor), graph.constant(tensor))


def test_weights_start_where_they_were_before_they_were_rounded(
    narrow: dict[str, Path], float_path: Path
) -> None:
    graph, float_graph = Graph.read(narrow["int4_weight_aeq"]), Graph.read(float_path)
    plain, known = trained(graph), trained(graph, float_graph)
    for was, now in zip(plain, known, strict=True):
        assert np.array_equal(was.stored(was.start), now.stored(now.start))
        if now.levels:
            assert np.abs(now.start - was.start).max() > 0.2 / now.levels
    scrambled = float_graph.copy()
    for op in scrambled.ops:
        if op.kind in WEIGHTED:
            scrambled.set_constant(op.inputs[1], -scrambled.constant(op.inputs[1]))
    for was, now in zip(plain, trained(graph, scrambled), strict=True):
        assert np.array_equal(was.start, now.start)


def test_tensors_that_share_bytes_do_not_share_new_ones(float_path: Path) -> None:
    graph = Graph.read(float_path)
    first, second = [op.inputs[1] for op in graph.ops if op.kind in WEIGHTED][:2]
    tables = graph._graph.tensors  # noqa: SLF001 - no tool of ours writes such a file
    kept, tables[second].buffer = graph.constant(first), tables[first].buffer
    tables[second].shape = tables[first].shape
    graph.set_constant(first, kept + 1)
    assert np.array_equal(graph.constant(second), kept)
    assert np.array_equal(graph.constant(first), kept + 1)


def test_an_op_that_is_not_known_is_named(tmp_path: Path) -> None:
    import tensorflow as tf

    module = tf.Module()
    signature = tf.TensorSpec((1, 4, 4, 3), tf.float32, name="image")
    module.serve = tf.function(lambda x: {"y": tf.cumsum(x, 1)}, input_signature=[signature])
    tf.saved_model.save(module, str(tmp_path / "saved"), signatures=module.serve)
    convert(tmp_path / "saved", Scheme.parse("float32"), [], tmp_path / "model.tflite")
    with pytest.raises(BuildError, match="cannot be trained through") as caught:
        Executor(Graph.read(tmp_path / "model.tflite"), "model.tflite")
    assert "CUMSUM" in str(caught.value)
