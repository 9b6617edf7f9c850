"""Scheme `ort_int8_mended`: a mixed-precision model, built from its recipe."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from quantbench.backends.onnxruntime.check import check_build, float_graph
from quantbench.backends.onnxruntime.mending.observed import build_int8
from quantbench.backends.onnxruntime.quantizers.prepared import prepared_content
from quantbench.diagnosis.recipe_files import RECIPE, MixedRecipe, recipe_file

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from quantbench.study import Scheme


class MendedQuantizer:
    """A float ONNX model and a recipe to `model.onnx`; the recipe stays beside it."""

    tools = ("onnx", "onnxruntime")
    version = 1
    calibrated = True

    def build(
        self,
        float_model: Path,
        scheme: Scheme,
        samples: Sequence[NDArray[np.float32]],
        folder: Path,
    ) -> Mapping[str, Any]:
        """Build and check; `scheme.recipe` is the recipe's file.

        Raises:
            BuildError: there is no recipe, it is another model's, or the result does not check.
            PredictionError: ONNX Runtime cannot run the result.
        """
        recipe = MixedRecipe.parse(recipe_file(scheme))
        content = prepared_content(float_graph(float_model, scheme.name))
        recipe.check_made_for(content, scheme.recipe)
        ranges = {name: (float(a), float(b)) for name, (a, b) in recipe.setting.items()}
        path = folder / "model.onnx"
        path.write_bytes(build_int8(content, ranges, recipe.float_ops))
        shutil.copyfile(scheme.recipe, folder / RECIPE)
        facts = check_build(path, samples, "int8")
        return {"float_ops": sorted(recipe.float_ops), **facts}
