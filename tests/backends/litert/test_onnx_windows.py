"""Windows, enlargements and resizes of any shape against ONNX Runtime."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from quantbench.errors import BuildError
from tests.backends.litert.onnx_models import assert_alike, model, node, normal


@st.composite
def convolutions(draw: st.DrawFn) -> Any:
    group = draw(st.sampled_from([1, 2, 4]))
    kernel = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    stride, dilation = draw(st.sampled_from([(1, 1), (1, 2), (2, 1), (3, 1)]))
    settings = {"group": group, "strides": [stride] * 2, "dilations": [dilation] * 2}
    own = ["SAME_UPPER", "SAME_LOWER"] * (dilation == 1)  # ONNX Runtime refuses both together
    padding = draw(st.sampled_from([*own, "VALID", "NOTSET"]))
    settings["auto_pad"] = padding
    if padding == "NOTSET":
        settings["pads"] = draw(st.lists(st.integers(0, 3), min_size=4, max_size=4))
    shape = (1, 4, draw(st.integers(10, 14)), draw(st.integers(10, 14)))
    return model(
        [node("Conv", "x w b", "y", **settings)],
        shape,
        {"w": normal(8, 4 // group, *kernel), "b": normal(8)},
    )


@given(convolutions())
@settings(max_examples=60, deadline=None)
def test_convolutions_lie_where_onnx_puts_them(made: Any) -> None:
    assert_alike(made)


@st.composite
def poolings(draw: st.DrawFn) -> Any:
    kernel = draw(st.tuples(st.integers(2, 5), st.integers(2, 5)))
    kind = draw(st.sampled_from(["MaxPool", "AveragePool"]))
    settings: dict[str, Any] = {
        "kernel_shape": kernel,
        "strides": [draw(st.integers(1, min(kernel)))] * 2,
    }
    padding = draw(st.sampled_from(["SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET"]))
    settings["auto_pad"] = padding
    if padding == "NOTSET":
        most = [st.integers(0, size - 1) for size in kernel * 2]
        settings |= {"pads": list(draw(st.tuples(*most))), "ceil_mode": draw(st.integers(0, 1))}
    if kind == "AveragePool":
        settings["count_include_pad"] = draw(st.integers(0, 1))
    shape = (1, 4, draw(st.integers(8, 13)), draw(st.integers(8, 13)))
    before = node(draw(st.sampled_from(["Relu", "Identity"])), "x", "a")
    return model([before, node(kind, "a", "y", **settings)], shape)


@given(poolings())
@settings(max_examples=60, deadline=None)
def test_poolings_count_and_pad_as_onnx_says(made: Any) -> None:
    assert_alike(made)


@st.composite
def enlargements(draw: st.DrawFn) -> Any:
    stride, group = draw(st.integers(1, 3)), draw(st.sampled_from([1, 2]))
    kernel = draw(st.integers(stride, 4))
    most = st.integers(0, min(2, kernel - 1))
    settings = {
        "strides": [stride] * 2,
        "group": group,
        "pads": draw(st.lists(most, min_size=4, max_size=4)),
        "output_padding": [draw(st.integers(0, stride - 1))] * 2,
    }
    weights = {"w": normal(4, 3, kernel, kernel), "b": normal(3 * group)}
    return model([node("ConvTranspose", "x w b", "y", **settings)], (1, 4, 5, 6), weights)


@given(enlargements())
@settings(max_examples=40, deadline=None)
def test_transposed_convolutions_lie_where_onnx_puts_them(made: Any) -> None:
    assert_alike(made)


@st.composite
def resizings(draw: st.DrawFn) -> Any:
    mode = draw(st.sampled_from(["nearest", "linear"]))
    how = ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"]
    rounding = ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"]
    settings = {
        "mode": mode,
        "coordinate_transformation_mode": draw(st.sampled_from(how)),
        "nearest_mode": draw(st.sampled_from(rounding)),
    }
    height, width = draw(st.integers(3, 8)), draw(st.integers(3, 8))
    if draw(st.booleans()):
        sizes = [1, 2, draw(st.integers(2, 17)), draw(st.integers(2, 17))]
        return model(
            [node("Resize", "x - - k", "y", **settings)],
            (1, 2, height, width),
            {"k": np.array(sizes)},
        )
    scales = np.array(
        [1, 1, *draw(st.tuples(*[st.sampled_from([0.5, 1, 1.5, 2, 3])] * 2))], np.float32
    )
    return model([node("Resize", "x - k", "y", **settings)], (1, 2, height, width), {"k": scales})


@given(resizings())
@settings(max_examples=80, deadline=None)
def test_a_resize_is_right_or_refused(made: Any) -> None:
    try:
        assert_alike(made)
    except BuildError as error:
        assert "no whole number" in str(error)  # noqa: PT017 - most examples raise nothing
