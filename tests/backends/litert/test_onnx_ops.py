"""Each of ONNX's ops against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from quantbench.backends.litert.importers.onnx_ops import OPS
from quantbench.errors import BuildError
from tests.backends.litert.onnx_models import assert_alike, by_tensorflow, model, node, normal

SHAPE = (1, 4, 7, 6)
FOUR = (1, 4, 4, 4)  # all axes alike: a mistaken order does not show in a shape
ABOVE = {"w": normal(4, 4, 3, 3), "b": normal(4)}


def one(kind: str, operands: str = "x", constants: Any = None, **attributes: Any) -> Any:
    """A convolution, so that channels are last, and the op after it."""
    above = node("Conv", "x w b", "last", pads=[1] * 4)
    op = node(kind, operands.replace("x", "last"), "y", **attributes)
    return model([above, op], SHAPE, {**ABOVE, **(constants or {})})


EACH = ("Abs Ceil Cos Erf Exp Floor HardSwish Identity Neg Relu Round Sigmoid Sign Sin "
        "Softplus Tanh Elu HardSigmoid LeakyRelu Flatten GlobalAveragePool GlobalMaxPool Dropout "
        "Softmax LogSoftmax")  # fmt: skip


@pytest.mark.parametrize("kind", EACH.split())
def test_ops_of_one_operand(kind: str) -> None:
    assert_alike(one(kind))


@pytest.mark.parametrize("kind", ["Log", "Reciprocal", "Sqrt"])
def test_ops_of_numbers_above_zero(kind: str) -> None:
    made = model([node("Sigmoid", "x", "a"), node(kind, "a", "y")], SHAPE)
    assert_alike(made)


@pytest.mark.parametrize("kind", ["Add", "Sub", "Mul", "Div", "Max", "Min", "Sum"])
@pytest.mark.parametrize("shape", [(), (1,), (6,), (7, 1), (4, 1, 1), (1, 4, 1, 6), SHAPE])
@pytest.mark.parametrize("operands", ["x k", "k x"])
def test_operands_are_broadcast(kind: str, shape: tuple[int, ...], operands: str) -> None:
    # Far from zero: quotients are no larger than what they are made of.
    far = {"k": normal(*shape) + np.float32(9), "b": np.full(4, 60, np.float32)}
    assert_alike(one(kind, operands, far))


@pytest.mark.parametrize(
    ("kind", "operands", "constants", "attributes"),
    [
        ("Pow", "x k", {"k": np.float32(2)}, {}),
        ("Clip", "x - k", {"k": np.float32(0.5)}, {}),
        ("Clip", "x l k", {"l": np.float32(0), "k": np.float32(6)}, {}),
        ("Clip", "x l k", {"l": np.float32(1), "k": np.float32(-1)}, {}),
        ("PRelu", "x k", {"k": normal(4, 1, 1)}, {}),
        ("HardSigmoid", "x", {}, {"alpha": 1 / 6, "beta": 0.5}),
        ("Concat", "x k x", {"k": normal(1, 2, 7, 6)}, {"axis": 1}),
        ("Concat", "x k", {"k": normal(1, 4, 7, 2)}, {"axis": -1}),
        ("Slice", "x s e a t", {"s": [5, 3], "e": [0, -1], "a": [2, 1], "t": [-2, 1]}, {}),
        ("Slice", "x s e a t", {"s": [9], "e": [-99], "a": [3], "t": [-1]}, {}),
        ("Slice", "x s e", {"s": [0, 1], "e": [1, 2**62]}, {}),
        ("Gather", "x k", {"k": np.array([2, -1])}, {"axis": 1}),
        ("Gather", "x k", {"k": np.array(3)}, {"axis": 2}),
        ("Gather", "x k", {"k": np.array([[0, 1], [3, 2]])}, {"axis": 3}),
        ("Squeeze", "x", {}, {}),
        ("Unsqueeze", "x k", {"k": np.array([1, -1])}, {}),
        ("Transpose", "x", {}, {}),
        ("Transpose", "x", {}, {"perm": [2, 0, 3, 1]}),
        ("Reshape", "x k", {"k": np.array([0, -1, 6])}, {}),
        ("Expand", "x k", {"k": np.array([3, 4, 1, 1])}, {}),
        ("Tile", "x k", {"k": np.array([1, 2, 1, 3])}, {}),
        ("Pad", "x k v", {"k": np.array([0, 0, 1, 2, 0, 1, 0, 3]), "v": np.float32(-2)}, {}),
        ("Pad", "x k", {"k": np.array([0, 0, 1, 2, 0, 0, 3, 0])}, {"mode": "reflect"}),
        ("Softmax", "x", {}, {"axis": 1}),
        ("LogSoftmax", "x", {}, {"axis": 2}),
        ("ReduceMean", "x", {}, {"axes": [2, 3]}),
        ("ReduceMax", "x", {}, {"axes": [-3], "keepdims": 0}),
        ("ReduceMin", "x", {}, {"keepdims": 0}),
        ("ReduceSum", "x k", {"k": np.array([1, 3])}, {"keepdims": 0}),
        ("ReduceL2", "x", {}, {"axes": [1]}),
        ("ArgMax", "x", {}, {"axis": 1, "keepdims": 0}),
        ("ArgMin", "x", {}, {"axis": 3}),
        ("BatchNormalization", "x k l m n", {k: np.abs(normal(4)) + 1 for k in "klmn"}, {}),
        ("InstanceNormalization", "x k l", {k: normal(4) for k in "kl"}, {}),
        ("LayerNormalization", "x k l", {k: normal(7, 6) for k in "kl"}, {"axis": 2}),
        ("MatMul", "x k", {"k": normal(6, 5)}, {}),
        ("MatMul", "k x", {"k": normal(3, 7)}, {}),
        ("Greater", "x k", {"k": np.float32(0.3)}, {}),
    ],
)  # fmt: skip
def test_ops_with_settings(kind: str, operands: str, constants: Any, attributes: Any) -> None:
    held = {name: np.asarray(value) for name, value in constants.items()}
    assert_alike(one(kind, operands, held, **attributes))


@pytest.mark.parametrize("axes", [[2, 3], []])
def test_axes_may_be_an_input(axes: list[int]) -> None:
    made = model(
        [node("ReduceMean", "x k", "y", noop_with_empty_axes=1)],
        SHAPE,
        {"k": np.array(axes, int)},
        opset=18,
    )
    assert_alike(made)


@pytest.mark.parametrize("mode", ["DCR", "CRD"])
def test_depth_becomes_space_and_back(mode: str) -> None:
    there = node("DepthToSpace", "x", "a", blocksize=2, mode=mode)
    assert_alike(model([there, node("SpaceToDepth", "a", "y", blocksize=2)], (1, 8, 3, 2)))


def test_parts_of_a_split_need_not_be_alike() -> None:
    made = model(
        [
            node("Split", "x k", "a b", axis=1),
            node("Split", "x", "c d e", axis=2, num_outputs=3),
            node("Mul", "a x", "f"),
        ],
        SHAPE,
        {"k": np.array([1, 3])},
        "b c e f",
        opset=18,
    )
    assert_alike(made)


def test_shapes_are_numbers_and_fold_away() -> None:
    made = model(
        [
            node("Shape", "x", "shape"),
            node("Gather", "shape zero", "n", axis=0),
            node("Concat", "n minus", "wanted", axis=0),
            node("Reshape", "x wanted", "flat"),
            node("ConstantOfShape", "n", "zeros"),
            node("Cast", "flat", "y", to=1),
        ],
        SHAPE,
        {"zero": np.array([0]), "minus": np.array([-1])},
    )
    assert_alike(made)


def test_anchors_in_channels_are_told_apart() -> None:
    """As YOLOv3 to v7 do: [1, anchors * numbers, ...] to rows of numbers, anchor by anchor."""
    made = model(
        [
            node("Conv", "x w", "a", pads=[1] * 4),
            node("Reshape", "a five", "b"),
            node("Transpose", "b", "c", perm=[0, 1, 3, 4, 2]),
            node("Sigmoid", "c", "d"),
            node("Reshape", "d rows", "y"),
        ],
        SHAPE,
        {"w": normal(6, 4, 3, 3), "five": np.array([1, 3, 2, 7, 6]), "rows": np.array([1, -1, 2])},
    )
    assert_alike(made)


def test_numbers_are_compared_and_chosen_by_it() -> None:
    made = model(
        [
            node("Conv", "x w", "a", pads=[1] * 4),
            node("Greater", "a half", "above"),
            node("Less", "x half", "below"),
            node("And", "above below", "both"),
            node("LessOrEqual", "a x", "less"),
            node("GreaterOrEqual", "a a", "all"),
            node("Equal", "less all", "equal"),
            node("Or", "both equal", "either"),
            node("Not", "either", "neither"),
            node("Where", "neither a half", "y"),
        ],
        FOUR,
        {"w": ABOVE["w"], "half": np.array([0.5], np.float32)},
        "y either",
    )
    assert_alike(made)


def test_grids_are_constants() -> None:
    nodes = [
        node("Range", "start end step", "row"),
        node("Cast", "row", "numbers", to=1),
        node("Constant", "", "scale", value_floats=[0.5, 2.0, 1.0, 3.0]),
        node("Mul", "numbers scale", "grid"),
        node("Add", "x grid", "y"),
    ]
    numbers = {"start": np.array(2), "end": np.array(10), "step": np.array(2)}
    assert_alike(model(nodes, FOUR, numbers))


@pytest.mark.parametrize("kind", ["Gelu", "Mish"])
def test_ops_of_newer_opsets(kind: str) -> None:
    assert_alike(model([node(kind, "x", "y")], FOUR, opset=20))


@pytest.mark.parametrize("transposed", [0, 1])
def test_gemm_scales_and_transposes(transposed: int) -> None:
    weights = normal(5, 6) if transposed else normal(6, 5)
    gemm = node("Gemm", "x k b", "y", transB=transposed, alpha=0.5, beta=2.0)
    assert_alike(model([gemm], (1, 6), {"k": weights, "b": normal(5)}))


def test_whole_numbers_are_raised_to_broken_powers() -> None:
    """The root of 4 is 2: an exponent of .5 is no whole number, whatever the base is."""
    nodes = [
        node("Abs", "x", "a"), node("Mul", "a big", "b"), node("Cast", "b", "n", to=6),
        node("Pow", "n half", "p"), node("Cast", "p", "y", to=1),
    ]  # fmt: skip
    constants = {"big": np.float32(30), "half": np.float32(0.5)}
    assert_alike(model(nodes, SHAPE, constants))


def test_the_largest_come_first() -> None:
    flat = [node("Flatten", "x", "f"), node("TopK", "f k", "y places", axis=1)]
    assert_alike(model(flat, SHAPE, {"k": np.array([5])}, "y places"))


def conv(x: str, made: str, draw: Any) -> tuple[list[Any], dict[str, Any]]:
    return [node("Conv", f"{x} {made}w", made, pads=[1] * 4)], {f"{made}w": normal(4, 4, 3, 3)}


def transposed(x: str, made: str, draw: Any) -> tuple[list[Any], dict[str, Any]]:
    return [node("Transpose", x, made, perm=[0, *draw(st.permutations([1, 2, 3]))])], {}


def softmax(x: str, made: str, draw: Any) -> tuple[list[Any], dict[str, Any]]:
    return [node("Softmax", x, made, axis=draw(st.integers(1, 3)))], {}


def added(x: str, made: str, draw: Any) -> tuple[list[Any], dict[str, Any]]:
    shape = draw(st.sampled_from([(4,), (4, 1), (4, 1, 1), (1, 4, 4), FOUR]))
    return [node("Add", f"{x} {made}w", made)], {f"{made}w": normal(*shape)}


def mixed(x: str, made: str, draw: Any) -> tuple[list[Any], dict[str, Any]]:
    axis = draw(st.integers(1, 3))
    concat = node("Concat", f"{x} x", f"{made}c", axis=axis)
    chosen = np.array([1, 3, 5, 7])
    return [concat, node("Gather", f"{made}c {made}w", made, axis=axis)], {f"{made}w": chosen}


def reduced(x: str, made: str, draw: Any) -> tuple[list[Any], dict[str, Any]]:
    least = node("ReduceMax", x, f"{made}r", axes=[draw(st.integers(1, 3))], keepdims=0)
    return [least, node("Add", f"{x} {made}r", made)], {}


def reshaped(x: str, made: str, draw: Any) -> tuple[list[Any], dict[str, Any]]:
    there, back = node("Reshape", f"{x} {made}w", f"{made}f"), [f"{made}f", f"{made}v"]
    nodes = [there, node("Reshape", " ".join(back), made)]
    return nodes, {f"{made}w": np.array([1, 4, 16]), f"{made}v": np.array(FOUR)}


def multiplied(x: str, made: str, draw: Any) -> tuple[list[Any], dict[str, Any]]:
    return [node("Mul", f"{x} x", made)], {}


STEPS = [conv, transposed, softmax, added, mixed, reduced, reshaped, multiplied]


@st.composite
def chains(draw: st.DrawFn) -> Any:
    """Ops in any order on a tensor whose axes are all of one length."""
    nodes: list[Any] = []
    constants: dict[str, Any] = {}
    last = "x"
    for i, step in enumerate(draw(st.lists(st.sampled_from(STEPS), min_size=2, max_size=7))):
        added_nodes, added_constants = step(last, f"t{i}", draw)
        nodes += added_nodes
        constants |= added_constants
        last = f"t{i}"
    nodes.append(node("Identity", last, "y"))
    return model(nodes, FOUR, constants)


@given(chains())
@settings(max_examples=80, deadline=None)
def test_axes_are_followed_where_no_shape_tells_them_apart(made: Any) -> None:
    assert_alike(made)


TALLER, DEEPER = np.array([1, 1, 2, 2], np.float32), np.array([1, 2, 1, 1], np.float32)
REFUSED = [
    (node("Resize", "x - k", "y", mode="cubic"), {"k": TALLER}, "mode cubic"),
    (node("Resize", "x - k", "y"), {"k": DEEPER}, "more than height and width"),
    (node("MaxPool", "x", "y places", kernel_shape=[2, 2]), {}, "second output"),
    (node("MaxPool", "x", "y", kernel_shape=[2, 2], dilations=[2, 2]), {}, "dilations"),
    (node("Conv", "x w", "y", group=4, strides=[2, 2], dilations=[2, 2]), {"w": normal(4, 1, 2, 2)},
     "strides and dilations"),
    (node("Conv", "x x", "y"), {}, "computed from the model's input"),
    (node("Pad", "x k", "y", mode="edge"), {"k": np.array([0, 0, 1, 1, 0, 0, 1, 1])}, "mode edge"),
    (node("Pad", "x k", "y"), {"k": np.array([0, 0, -1, 0, 0, 0, 0, 0])}, "-1"),
    (node("ConvTranspose", "x w", "y", dilations=[2, 2]), {"w": normal(4, 4, 2, 2)}, "dilations"),
    (node("Elu", "x", "y", alpha=0.5), {}, "alpha 0.5"),
    (node("Reshape", "x k", "y"), {"k": np.array([5, 5])}, "Error"),
]  # fmt: skip


@pytest.mark.parametrize(("op", "constants", "got"), REFUSED)
def test_uses_that_have_no_counterpart_are_refused(op: Any, constants: Any, got: str) -> None:
    with pytest.raises(BuildError, match=f"use of ONNX's {op.op_type}") as raised:
        by_tensorflow(model([op], FOUR, constants), normal(*FOUR))
    assert got in str(raised.value)


def test_every_op_is_one_of_onnx() -> None:
    import onnx

    assert {kind for kind in OPS if not onnx.defs.has(kind)} == set()
