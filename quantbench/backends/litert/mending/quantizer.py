"""Scheme `int8_mended`: a mixed-precision model, built from its recipe."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantbench.backends.litert.check import check_build
from quantbench.backends.litert.convert import float_file
from quantbench.backends.litert.graph import Graph
from quantbench.backends.litert.mending.recipes import (
    Recipe,
    build_int8,
    float_ops_of,
    repair_graph,
)
from quantbench.core.digests import sha256_of
from quantbench.diagnosis.recipe_files import RECIPE, recipe_file
from quantbench.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from quantbench.study import Scheme


class MendedQuantizer:
    """Float `.tflite` (a SavedModel is converted first) and a recipe to `model.tflite`.

    The recipe stays beside the model, as `recipe.json`.
    """

    tools = ("ai-edge-quantizer", "ai-edge-litert", "tensorflow")
    version = 3
    calibrated = True

    def build(
        self,
        float_model: Path,
        scheme: Scheme,
        samples: Sequence[NDArray[Any]],
        folder: Path,
    ) -> Mapping[str, Any]:
        """Build and check; `scheme.recipe` is the recipe's file.

        Raises:
            BuildError: there is no recipe, it is another model's, or the result does not check.
            PredictionError: the interpreter cannot run the result.
        """
        recipe = Recipe.parse(recipe_file(scheme))
        path = folder / "model.tflite"
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            source = float_file(float_model, samples, Path(temporary))
            if recipe.float_sha256 not in {"", sha256_of(source)}:
                raise BuildError(
                    "the recipe was made for another float model",
                    where=scheme.recipe,
                    expected=recipe.float_sha256,
                    got=sha256_of(source),
                    remedy="search again: quantbench mend CASE",
                )
            graph, repairs = repair_graph(source.read_bytes(), recipe.ranges, recipe.exponents)
            path.write_bytes(build_int8(graph, recipe.ranges, recipe.float_ops))
        shutil.copyfile(scheme.recipe, folder / RECIPE)
        return {
            "converter": "ai-edge-quantizer",
            "float_ops": float_ops_of(Graph.read(path)),
            "repairs": [f"{repair.op}: {repair.text}" for repair in repairs],
            **check_build(path, samples, "int8"),
        }
