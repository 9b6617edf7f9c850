"""Names decode to their fields, and impossible descriptions are refused."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from quantbench import Model, QuantbenchError, Scheme, cases
from quantbench.core.plugins import load
from quantbench.core.settings import parse_settings
from quantbench.errors import UsageError
from quantbench.sources.parsing import parse_source
from quantbench.study import Gate
from quantbench.study.calibration import calibrates
from quantbench.study.registry import find_quantizer
from quantbench.tasks.detection.decoders import find_decoder
from quantbench.tasks.detection.detector import Detector

if TYPE_CHECKING:
    from collections.abc import Callable

    from quantbench.catalog.declarations import Errors, Failures


@pytest.mark.parametrize(
    ("name", "backend", "quantizer", "weights", "activations", "group_size", "bits", "calibrated"),
    [
        ("float32", "litert", "litert", "float32", "float32", None, 32, False),
        ("float16", "litert", "litert", "float16", "float32", None, 16, False),
        ("int8_dynamic", "litert", "litert", "int8", "float32", None, 8, False),
        ("int8_static", "litert", "litert", "int8", "int8", None, 8, True),
        ("reference", "transformers", "reference", "float", "float", None, 32, False),
        ("gptq_int4_g64", "transformers", "gptq", "int4", "float", 64, 4, True),
        ("gptq_int2_g128", "transformers", "gptq", "int2", "float", 128, 2, True),
    ],
)
def test_a_scheme_decodes(
    name: str,
    backend: str,
    quantizer: str,
    weights: str,
    activations: str,
    group_size: int | None,
    bits: int,
    calibrated: bool,  # noqa: FBT001 - a column of the table
) -> None:
    scheme = Scheme.parse(name)
    assert scheme == Scheme(name, backend, quantizer, weights, activations, group_size)
    assert scheme.bits == bits
    assert calibrates(find_quantizer(scheme), scheme) is calibrated


@pytest.mark.parametrize(
    ("weights", "bits"),
    [("q4_0", 4), ("q4_k_m", 4), ("q8_0", 8), ("nf4", 4), ("bfloat16", 16), ("iq2_xxs", 2)],
)
def test_the_bits_of_a_weight_are_in_the_name_of_its_storage(weights: str, bits: int) -> None:
    assert Scheme("mine", "litert", "m:C", weights, "float").bits == bits


@pytest.mark.parametrize("name", ["int3", "gptq_int5_g64", "gptq_int4", "Float32", "int8", ""])
def test_an_unknown_scheme_lists_what_exists(name: str) -> None:
    with pytest.raises(
        UsageError, match=r"int8_static, int16x8_static, .*as_shipped, .*reference, .*gptq_int"
    ):
        Scheme.parse(name)


def test_a_case_is_named_by_model_scheme_and_data_set() -> None:
    names = [str(case) for case in cases("digits_centernet")]
    assert names == [
        f"digits_centernet-{scheme}-digit_scenes"
        for scheme in ("float32", "float16", "int8_dynamic", "int8_static")
    ]


def test_a_case_knows_its_reference() -> None:
    found = cases("smollm2_135m_instruct", datasets=["kjv"])
    assert [case.is_reference for case in found] == [True, False, False, False]
    assert {case.reference for case in found} == {found[0]}


def test_a_collapse_is_declared_by_scheme_or_by_scheme_and_data_set() -> None:
    found = cases(
        "smollm2_135m_instruct",
        known_failures={"gptq_int2_g64": "too few bits", "gptq_int4_g64-lambada": "novels"},
    )
    declared = {str(case): case.reason for case in found if case.expected == "fail"}
    assert declared == {
        "smollm2_135m_instruct-gptq_int2_g64-kjv": "too few bits",
        "smollm2_135m_instruct-gptq_int2_g64-lambada": "too few bits",
        "smollm2_135m_instruct-gptq_int4_g64-lambada": "novels",
    }


def test_a_collapse_of_no_case_is_refused() -> None:
    with pytest.raises(UsageError, match="known_failures or known_errors names no case"):
        cases("digits_centernet", known_failures={"gptq_int2_g64": "not a detector's scheme"})


def test_a_failure_is_declared_of_a_metric() -> None:
    declared: Failures = {
        "int8_static": {"AP50": "few levels", "AR": "too"},
        "float16": "all of it",
    }
    found = {case.scheme.name: case for case in cases("digits_centernet", known_failures=declared)}
    case = found["int8_static"]
    assert (case.expected, case.metrics) == ("fail", ("AP50", "AR"))
    assert case.reason == "AP50: few levels; AR: too"
    assert [case.expects(metric) for metric in ("AP", "AP50", "AR")] == ["pass", "fail", "fail"]
    assert found["float16"].expects("AP") == "fail"
    assert found["float32"].expects("AP") == "pass"


def test_an_error_is_declared_with_what_its_message_matches() -> None:
    known: Errors = {"int8_static": ("an op without kernel", "PADV2"), "float16": "it breaks"}
    found = {case.scheme.name: case for case in cases("digits_centernet", known_errors=known)}
    assert (found["int8_static"].reason, found["int8_static"].match) == (*known["int8_static"],)
    assert (found["float16"].expected, found["float16"].match) == ("error", "")


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("known_failures", 5),
        ("known_failures", {}),
        ("known_failures", {"AP": None}),
        ("known_errors", ("a reason", "(")),
        ("known_errors", ("a reason",)),
        ("known_errors", {"AP": "why"}),
    ],
)
def test_a_declaration_that_cannot_be_read_is_refused(argument: str, value: object) -> None:
    with pytest.raises(UsageError, match=r"the known (failure|error) of int8_static"):
        cases("digits_centernet", **{argument: {"int8_static": value}})  # type: ignore[arg-type]


WRONG: dict[
    str, tuple[Callable[[str], object], str]
] = {  # what was written: where, and what was meant
    "digits_centrenet": (cases, "digits_centernet"),
    "digit_scene": (lambda name: cases("digits_centernet", datasets=[name]), "digit_scenes"),
    "int8_statc": (Scheme.parse, "int8_static"),
    "INT8_STATIC": (Scheme.parse, "int8_static"),
    "gptq_int4g64": (Scheme.parse, "gptq_int4_g64"),
    "int8_statik": (
        lambda name: cases("digits_centernet", known_failures={name: ""}),
        "int8_static",
    ),
    "letter_box": (
        lambda name: Detector(size=(8, 8), decoder="x", category_ids=(1,), fit=name),  # type: ignore[arg-type]
        "letterbox",
    ),
    "centrenet": (find_decoder, "centernet"),
    "detecton": (lambda name: load("tasks", name), "detection"),
    "kagle": (lambda name: parse_source(f"{name}:thing==1#file=x"), "kaggle"),
    "ful": (lambda name: parse_settings({"diagnose": name}, {}, {}), "full"),
}


@pytest.mark.parametrize("written", WRONG)
def test_a_name_that_does_not_exist_is_told_what_was_meant(written: str) -> None:
    ask, meant = WRONG[written]
    with pytest.raises(UsageError, match=f"next: +did you mean '{meant}'"):
        ask(written)


PARTS: dict[str, Any] = {"source": "file:x"}


def test_lists_in_a_description_are_taken_for_tuples() -> None:
    detector = Detector(size=[8, 8], decoder="x", category_ids=[1, 2], labels=["a", "b"])  # type: ignore[arg-type]
    listed = Model(
        name="mine", reference="float32", schemes=["float32"], datasets=["coco"],  # type: ignore[arg-type]
        interface=detector, published=["AP", 0.2, "coco"], **PARTS,  # type: ignore[arg-type]
    )  # fmt: skip
    assert listed.schemes == ("float32",)
    (case,) = cases(listed)
    assert {case: 1}[case] == 1


@pytest.mark.parametrize("field", ["schemes", "datasets"])
def test_one_name_where_several_are_asked_for_is_refused(field: str) -> None:
    named = {"schemes": ("float32",), "datasets": ("coco",), field: "float32"}
    with pytest.raises(UsageError, match=rf"the {field} of mine are several(.|\n)*'float32',"):
        Model(name="mine", reference="float32", **named, **PARTS)  # type: ignore[arg-type]


@pytest.mark.parametrize("asked", ["schemes", "datasets"])
def test_one_name_where_cases_are_asked_for_several_is_refused(asked: str) -> None:
    with pytest.raises(UsageError, match=rf"{asked} are several(.|\n)*\('float32',\)"):
        cases("digits_centernet", **{asked: "float32"})  # type: ignore[arg-type]


@pytest.mark.parametrize("listed", [["float32"], None, 8])
def test_what_is_no_scheme_and_no_data_set_is_named(listed: Any) -> None:
    with pytest.raises(UsageError, match="no scheme"):
        cases("digits_centernet", schemes=[listed])
    with pytest.raises(UsageError, match="no scheme"):
        Model(name="m", reference=None, schemes=[listed], datasets=["coco"], **PARTS)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="no data set"):
        cases("digits_centernet", datasets=[listed])


def test_schemes_that_can_be_gone_through_once_are_taken_on_every_data_set() -> None:
    once = (name for name in ("float32", "int8_static"))
    found = cases("digits_centernet", schemes=once, datasets=["digit_scenes", "coco"])  # type: ignore[arg-type]
    assert len(found) == 4


@dataclass
class Changing:
    name: str = "changing"
    task: str = "detection"


@pytest.mark.parametrize("device", ["gpu", ["cpu"], None])
def test_a_device_that_is_none_is_refused(device: Any) -> None:
    with pytest.raises(UsageError, match=r"(?s)unknown device.*cpu, cuda"):
        cases("digits_centernet", device=device)


def test_a_data_set_that_cannot_be_hashed_is_refused() -> None:
    with pytest.raises(UsageError, match="datasets of a model cannot be hashed"):
        Model(name="m", reference=None, schemes=("float32",), datasets=(Changing(),), **PARTS)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="dataset of a case cannot be hashed"):
        cases("digits_centernet", datasets=[Changing()])  # type: ignore[list-item]


def test_a_seed_makes_another_case_of_a_calibrated_scheme() -> None:
    drawn = Scheme.parse("gptq_int4_g64_s3")
    assert (drawn.name, drawn.seed, drawn.bits) == ("gptq_int4_g64_s3", 3, 4)
    assert Scheme.parse("int8_static_s12").seed == 12
    assert Scheme.parse("int8_static").seed == 0
    for name in ("float16_s1", "int8_static_s0", "int8_static_s"):
        with pytest.raises(UsageError):
            Scheme.parse(name)


def test_unknown_names_list_what_exists() -> None:
    with pytest.raises(UsageError, match=r"digits_centernet, .*smollm2_135m_instruct"):
        cases("centernet")
    with pytest.raises(
        UsageError, match=r"coco, coco_val2017, digit_scenes, digits, .*kjv, kjv_text, lambada"
    ):
        cases("digits_centernet", datasets=["openimages"])
    with pytest.raises(UsageError, match="cannot be studied on coco"):
        cases("smollm2_135m_instruct", datasets=["coco"])


def test_a_model_that_cannot_stand_in_a_test_id_is_refused() -> None:
    parts = {"source": "file:x", "datasets": ("kjv",)}
    with pytest.raises(UsageError, match="usable in test ids"):
        Model(name="My Model", reference="float32", schemes=("float32",), **parts)  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="none of its schemes"):
        Model(name="mine", reference="float32", schemes=("float16",), **parts)  # type: ignore[arg-type]


@pytest.mark.parametrize("margin", [0.0, -0.1, float("nan"), float("inf")])
def test_a_gate_that_nothing_or_everything_passes_is_refused(margin: float) -> None:
    with pytest.raises(QuantbenchError, match="margin of AP must be a positive, finite number"):
        Gate("AP", margin)


@pytest.mark.parametrize("confidence", [0.5, 1.0, 95.0])
def test_a_confidence_out_of_range_is_refused(confidence: float) -> None:
    with pytest.raises(QuantbenchError, match=r"between 0\.5 and 1"):
        Gate("AP", 0.02, confidence)
