"""Channels brought to like sizes: the float answers stay bit for bit, the int8 ones get nearer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from quantbench.backends.litert.convert import convert
from quantbench.backends.litert.graph import WEIGHTED, Graph
from quantbench.backends.litert.interpreter import opened
from quantbench.backends.litert.mending.equalise import _groups, equalise, exponents
from quantbench.backends.litert.mending.hard_swish import (
    fuse_hard_swishes,
    gates,
    open_hard_swishes,
)
from quantbench.backends.litert.mending.ranges import observe, visible
from quantbench.backends.litert.mending.recipes import Recipe, build_int8
from quantbench.backends.litert.mending.repairs import fuse_activations
from quantbench.diagnosis.ranges import RULES
from quantbench.errors import BuildError
from quantbench.study import Scheme

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from numpy.typing import NDArray


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Everything that passes a factor on, and what does not; channels of very unlike sizes."""
    import keras
    import tensorflow as tf
    from keras import layers

    keras.utils.set_random_seed(1)
    image = keras.Input((16, 16, 3))
    x = layers.Conv2D(8, 3, padding="same", activation="relu", name="first")(image)
    x = layers.DepthwiseConv2D(3, strides=2, padding="same", name="across")(x)
    y = layers.Conv2D(8, 1, name="branch")(layers.DepthwiseConv2D(1, name="into_branch")(x))
    x = layers.ReLU()(layers.Add(name="sum")([x, y]))
    y = layers.Conv2D(12, 1, name="wide")(layers.DepthwiseConv2D(1, name="into_wide")(x))
    y = layers.Lambda(lambda v: v * tf.nn.relu6(v + 3.0) * (1 / 6), name="swish")(y)
    y = layers.DepthwiseConv2D(3, padding="same", name="swished")(y)
    gate = layers.DepthwiseConv2D(1, name="into_gate")(
        layers.GlobalAveragePooling2D(keepdims=True)(y)
    )
    y = layers.Multiply()([y, layers.Conv2D(12, 1, activation="sigmoid", name="gate")(gate)])
    x = layers.Concatenate(name="both")([layers.MaxPooling2D(2)(x), layers.AveragePooling2D(2)(y)])
    x = layers.UpSampling2D(2, interpolation="bilinear", name="larger")(x)
    twice = layers.DepthwiseConv2D(
        3, padding="same", bias_initializer=keras.initializers.RandomNormal(seed=3), name="twice"
    )
    x = twice(x)  # weights that two ops share
    x = twice(layers.Lambda(lambda v: v * v, name="square")(x))
    mean = layers.Lambda(lambda v: tf.reduce_mean(v, axis=-1, keepdims=True), name="over")(x)
    x = layers.Multiply()([x, mean])
    x = layers.Conv2D(8, 1, activation="relu6", name="capped")(x)
    x = layers.Conv2D(8, 1, name="after_capped")(x)
    x = layers.Lambda(lambda v: v * np.linspace(1, 2, 8, dtype=np.float32), name="each")(x)
    x = layers.Conv2D(8, 1, name="after_each")(x)
    x = layers.Lambda(lambda v: v + tf.reduce_mean(v, (1, 2), keepdims=True), name="spread")(x)
    x = layers.Conv2D(8, 1, name="after_spread")(x)
    ones = np.ones((1, 8, 8, 1), np.float32)
    x = layers.Lambda(lambda v: tf.concat([v, ones], -1), name="one_more")(x)
    outputs = {
        "scores": layers.Conv2D(4, 1, activation="sigmoid", name="scores")(x),
        "sides": layers.Conv2D(4, 3, padding="same", name="sides")(x),
    }
    model = keras.Model(image, outputs)
    rng = np.random.default_rng(2)
    first, across, wide = (model.get_layer(name) for name in ("first", "across", "wide"))
    for layer, most in ((first, 5), (wide, 2)):
        factors = 2.0 ** rng.integers(-most, most + 1, layer.kernel.shape[-1])
        layer.kernel.assign(layer.kernel * factors)
        layer.bias.assign(rng.normal(size=layer.bias.shape) * factors)
        if layer is first:  # what comes after sees them all alike
            across.kernel.assign(across.kernel / factors[:, None])
    capped = model.get_layer("capped")
    capped.bias.assign(np.linspace(0, 12, 8))  # some channels reach their 6
    folder = tmp_path_factory.mktemp("unlike")
    model.export(
        folder / "saved",
        "tf_saved_model",
        verbose=False,
        input_signature=[tf.TensorSpec((1, 16, 16, 3), tf.float32, name="image")],
    )
    return folder / "saved"


def converted(saved: Path, scheme: str) -> bytes:
    path = saved.parent / f"{scheme}.tflite"
    convert(saved, Scheme.parse(scheme), [], path)
    return path.read_bytes()


@pytest.fixture(scope="module")
def content(saved: Path) -> bytes:
    """In float32."""
    return converted(saved, "float32")


@pytest.fixture(scope="module")
def graph(content: bytes) -> Graph:
    """With its hard-swish opened."""
    graph = Graph(content)
    fuse_hard_swishes(graph)
    open_hard_swishes(graph)
    return graph


def answers(content: bytes, samples: list[NDArray[Any]]) -> list[dict[str, NDArray[Any]]]:
    with opened(content) as model:
        return [{name: each.copy() for name, each in model(x).items()} for x in samples]


def error(said: list[dict[str, Any]], meant: list[dict[str, Any]]) -> float:
    """Relative to what each output does."""
    return float(
        np.mean(
            [
                np.square(one[name] - other[name]).mean() / other[name].var()
                for one, other in zip(said, meant, strict=True)
                for name in other
            ]
        )
    )


def assert_alike(said: list[dict[str, Any]], meant: list[dict[str, Any]]) -> None:
    for mine, theirs in zip(said, meant, strict=True):
        for name, values in theirs.items():
            np.testing.assert_allclose(mine[name], values, rtol=1e-5, atol=1e-6)


def test_an_opened_hard_swish_answers_the_same(
    content: bytes, graph: Graph, samples: list[NDArray[Any]]
) -> None:
    ((gate, multiply),) = gates(graph)
    assert "HARD_SWISH" not in {op.kind for op in graph.ops}
    assert multiply.inputs == (gate.inputs[0], gate.outputs[0])
    assert_alike(answers(graph.content(), samples), answers(content, samples))


def test_a_hard_swish_that_something_else_than_weights_sees_keeps_its_sixth(
    content: bytes, samples: list[NDArray[Any]]
) -> None:
    graph = Graph(content)
    fuse_hard_swishes(graph)
    (swish,) = (op for op in graph.ops if op.kind == "HARD_SWISH")
    graph._graph.outputs = [*graph.outputs, swish.outputs[0]]  # noqa: SLF001
    graph._model.signatureDefs = None  # noqa: SLF001 - it does not name the new output
    graph = graph.copy()
    meant = answers(graph.content(), samples)
    assert len(open_hard_swishes(graph)) == 1
    assert "HARD_SWISH" not in {op.kind for op in graph.ops}
    assert_alike(answers(graph.content(), samples), meant)


def test_a_hard_swish_that_meets_itself_keeps_its_sixth(tmp_path: Path) -> None:
    import keras
    import tensorflow as tf
    from keras import layers

    image = keras.Input((8, 8, 3))
    y = layers.Conv2D(4, 1)(image)
    y = layers.Lambda(lambda v: v * tf.nn.relu6(v + 3.0) * (1 / 6))(y)
    y = layers.Multiply()([y, layers.GlobalAveragePooling2D(keepdims=True)(y)])
    spec = tf.TensorSpec((1, 8, 8, 3), tf.float32, name="image")
    model = keras.Model(image, layers.Conv2D(2, 1)(y))
    model.export(tmp_path / "saved", "tf_saved_model", verbose=False, input_signature=[spec])
    graph = Graph(converted(tmp_path / "saved", "float32"))
    fuse_hard_swishes(graph)
    rng = np.random.default_rng(0)
    samples = [rng.normal(size=(1, 8, 8, 3)).astype(np.float32) for _ in range(3)]
    meant = answers(graph.copy().content(), samples)
    assert len(open_hard_swishes(graph)) == 1
    assert "HARD_SWISH" not in {op.kind for op in graph.ops}
    assert_alike(answers(graph.content(), samples), meant)


def test_a_hard_swish_before_weights_in_half_precision_keeps_its_sixth(
    saved: Path, samples: list[NDArray[Any]]
) -> None:
    graph = Graph(converted(saved, "float16"))
    fuse_hard_swishes(graph)
    meant = answers(graph.copy().content(), samples)
    assert len(open_hard_swishes(graph)) == 1
    assert_alike(answers(graph.content(), samples), meant)


@pytest.mark.parametrize("activation", ["relu", "relu6"])
def test_an_activation_of_its_own_is_fused_and_not_a_bit_changes(
    activation: str, tmp_path: Path
) -> None:
    """After a concatenation no converter fuses it."""
    import keras
    import tensorflow as tf
    from keras import layers

    image = keras.Input((8, 8, 3))
    y = layers.Concatenate()([layers.Conv2D(4, 1)(image), layers.MaxPooling2D(1)(image)])
    y = layers.Lambda(getattr(tf.nn, activation))(y)
    spec = tf.TensorSpec((1, 8, 8, 3), tf.float32, name="image")
    model = keras.Model(image, layers.Conv2D(2, 1)(y))
    model.export(tmp_path / "saved", "tf_saved_model", verbose=False, input_signature=[spec])
    graph = Graph(converted(tmp_path / "saved", "float32"))
    assert activation.upper() in {op.kind for op in graph.ops}
    rng = np.random.default_rng(0)
    samples = [4 * rng.normal(size=(1, 8, 8, 3)).astype(np.float32) for _ in range(3)]
    meant = answers(graph.copy().content(), samples)
    assert [repair.kind for repair in fuse_activations(graph)] == ["fused activation"]
    assert activation.upper() not in {op.kind for op in graph.ops}
    for said, was in zip(answers(graph.content(), samples), meant, strict=True):
        for name, values in was.items():
            np.testing.assert_array_equal(said[name], values)


@pytest.mark.parametrize(("place", "value"), [(1, -1.0), (1, 0.0), (2, 2.0)])
def test_a_models_own_layer_is_no_gate(graph: Graph, place: int, value: float) -> None:
    changed = graph.copy()
    ((gate, _),) = gates(changed)
    constant = gate.inputs[place]
    changed.set_constant(constant, np.full_like(changed.constant(constant), value))
    assert list(gates(changed)) == []


@pytest.fixture(scope="module")
def free(graph: Graph, samples: list[NDArray[Any]]) -> Mapping[str, tuple[int, ...]]:
    """Those of the graph itself."""
    return exponents(graph, samples)


def test_factors_reach_all_that_passes_them_on(graph: Graph, free: Mapping[str, Any]) -> None:
    kinds = {op.kind for op in graph.ops if op.name in free}
    assert kinds >= {"CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "MUL", "CONCATENATION", "MEAN"}
    assert kinds >= {"MAX_POOL_2D", "AVERAGE_POOL_2D", "RESIZE_BILINEAR"}
    fixed = {graph.name(tensor) for tensor in (*graph.inputs, *graph.outputs)}
    fixed |= {graph.name(gate.outputs[0]) for gate, _ in gates(graph)}
    assert not fixed & free.keys()
    # What conv weights read keeps its size: their steps are shared.
    assert not {graph.name(op.inputs[0]) for op in graph.ops if op.kind == "CONV_2D"} & free.keys()


def test_not_a_bit_of_the_answers_changes(
    graph: Graph, free: Mapping[str, Any], samples: list[NDArray[Any]]
) -> None:
    changed = graph.copy()
    repaired = {repair.op for repair in equalise(changed, free)}
    assert repaired >= {op.name for op in graph.ops if op.kind in WEIGHTED and op.name in free}
    said, meant = answers(changed.content(), samples), answers(graph.content(), samples)
    for one, other in zip(said, meant, strict=True):
        assert one.keys() == other.keys()
        assert all(np.array_equal(one[name], other[name]) for name in other)


@given(seed=st.integers(0, 2**32 - 1))
def test_nor_with_any_other_factors(graph: Graph, samples: list[NDArray[Any]], seed: int) -> None:
    """One for each group, of those too that keep their size when `exponents` chooses."""
    groups = _groups(graph)
    rng = np.random.default_rng(seed)
    of_group = rng.integers(-6, 7, 1 + max(int(each.max()) for each in groups.values()))
    of_group[0] = 0
    drawn = {graph.name(tensor): tuple(of_group[each]) for tensor, each in groups.items()}
    changed = graph.copy()
    equalise(changed, drawn)
    (said,), (meant,) = (answers(each.content(), samples[:1]) for each in (changed, graph))
    assert all(np.array_equal(said[name], meant[name]) for name in meant)


def second_half(graph: Graph) -> list[str]:
    """Ops that add errors of their own, or have no integer form."""
    names = [op.name for op in graph.ops]
    return names[next(i for i, name in enumerate(names) if "twice" in name) :]


def test_int8_gets_nearer(
    graph: Graph, free: Mapping[str, Any], samples: list[NDArray[Any]], tmp_path: Path
) -> None:
    meant = answers(graph.content(), samples)

    def built(graph: Graph) -> float:
        path = tmp_path / "float.tflite"
        path.write_bytes(graph.content())
        whole = {
            name: RULES["minimum and maximum"](seen)
            for name, seen in observe(path, samples).items()
        }
        return error(
            answers(build_int8(graph, visible(graph, whole), second_half(graph)), samples), meant
        )

    changed = graph.copy()
    equalise(changed, free)
    assert built(changed) < built(graph) / 1.5


def test_where_only_depthwise_weights_read_channels_become_as_large_as_one_another(
    graph: Graph, samples: list[NDArray[Any]], free: Mapping[str, Any]
) -> None:
    changed = graph.copy()
    equalise(changed, free)
    (first,) = (op for op in changed.ops if "first" in op.name and op.kind == "CONV_2D")
    again = exponents(changed, samples).get(first.name, (0,))
    assert np.ptp(free[first.name]) >= 3
    assert np.ptp(again) <= 1  # powers of two are half of one off at most


def test_nothing_reads_x_where_its_gate_is_shut(graph: Graph, free: Mapping[str, Any]) -> None:
    changed = graph.copy()
    equalise(changed, free)
    ((gate, _),) = gates(changed)
    name = changed.name(gate.inputs[0])
    largest = 2.0 ** max(free[name])
    assert visible(changed, {name: (-1e6, 1.0)})[name] == (-3.0 * largest, 1.0)


def spoilt(free: Mapping[str, Any], what: str) -> dict[str, Any]:
    name = next(iter(free))
    return {
        "unknown": {"nowhere": (1,)},
        "too many": {name: (*free[name], 1)},
        "too large": {name: tuple(9 * each for each in free[name])},
        "untied": {name: (1, *free[name][1:-1], 2) for name in free if "sum" in name},
    }[what]


@pytest.mark.parametrize("what", ["unknown", "too many", "too large", "untied"])
def test_factors_that_do_not_fit_are_refused(
    graph: Graph, free: Mapping[str, Any], what: str
) -> None:
    changed = graph.copy()
    with pytest.raises(BuildError, match="do not fit the model"):
        equalise(changed, spoilt(free, what))
    assert changed.content() == graph.copy().content()


def test_a_recipe_keeps_them(free: Mapping[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "recipe.json"
    for factors in (free, {}, None):
        recipe = Recipe({"a": (0.0, 1.0)}, exponents=factors)
        path.write_text(recipe.as_json())
        assert Recipe.parse(path) == recipe
    path.write_text(Recipe({}, exponents={"a": (1,)}).as_json().replace('"1"', '"one"'))
    with pytest.raises(BuildError, match="no recipe"):
        Recipe.parse(path)


def test_equal_vectors_are_written_once(
    graph: Graph, samples: list[NDArray[Any]], tmp_path: Path
) -> None:
    import flatbuffers

    path = tmp_path / "float.tflite"
    path.write_bytes(graph.content())
    whole = {name: RULES["minimum and maximum"](s) for name, s in observe(path, samples).items()}
    shared = build_int8(graph, whole, second_half(graph))
    builder = flatbuffers.Builder(1024)
    builder.Finish(Graph(shared)._model.Pack(builder), b"TFL3")  # noqa: SLF001
    plain = bytes(builder.Output())
    assert len(shared) < 0.95 * len(plain)
    assert Graph(plain).content() == shared
    for one, other in zip(answers(shared, samples), answers(plain, samples), strict=True):
        assert all(np.array_equal(one[name], other[name]) for name in other)
