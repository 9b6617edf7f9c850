"""Scheme `ov_int8_mended`: a mixed-precision model, built from its recipe."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

from quantbench.backends.openvino.check import check_build
from quantbench.backends.openvino.files import float_file, read, save
from quantbench.backends.openvino.graph import OpenVinoGraph
from quantbench.backends.openvino.mending.reverted import (
    digest_of_inputs,
    packed,
    reverted,
    unpacked,
)
from quantbench.backends.openvino.quantizers.static import quantized
from quantbench.diagnosis.recipe_files import RECIPE, MixedRecipe, recipe_file
from quantbench.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import numpy as np
    from numpy.typing import NDArray

    from quantbench.study import Scheme


class MendedQuantizer:
    """A float model and a recipe to `model.xml` and `model.bin`; the recipe stays beside them."""

    tools = ("openvino", "nncf")
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

        As many of the samples calibrate as did in the search, from the first on.

        Raises:
            BuildError: there is no recipe, it is another model's or of other samples, or the
                result does not check.
            PredictionError: OpenVINO cannot run the result.
        """
        recipe = MixedRecipe.parse(recipe_file(scheme))
        content = packed(read(float_file(float_model, scheme.name)))
        recipe.check_made_for(content, scheme.recipe)
        graph = OpenVinoGraph(unpacked(content))
        calibrating = samples[: int(recipe.setting["samples"])]
        if (got := digest_of_inputs(calibrating)) != recipe.setting["samples_sha256"]:
            raise BuildError(
                "the recipe was found with other calibration samples",
                where=scheme.recipe,
                expected=f"{recipe.setting['samples']} samples, "
                f"sha256 {recipe.setting['samples_sha256'][:12]}",
                got=f"{len(calibrating)} samples, sha256 {got[:12]}",
                remedy="search again with these: quantbench mend CASE; the data set's calibration "
                "split must begin with at least as many samples",
            )
        whole = quantized(graph.model, calibrating, str(recipe.setting["preset"]))
        path = save(reverted(whole, graph, recipe.float_ops), folder)
        shutil.copyfile(scheme.recipe, folder / RECIPE)
        facts = check_build(path, samples, "int8")
        return {"float_ops": sorted(recipe.float_ops), **facts}
