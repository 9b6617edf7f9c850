"""The float checkpoint itself, served as the reference."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from quantbench.study import Scheme


class ReferenceQuantizer:
    """Quantizes nothing: the checkpoint as it came is the artifact."""

    tools = ()
    version = 2
    calibrated = False

    def build(
        self, float_model: Path, scheme: Scheme, samples: Sequence[Any], folder: Path
    ) -> Mapping[str, Any]:
        """Copy the checkpoint; the scheme may say the float type to run in.

        Without one its runner chooses the type that this machine is fast in.
        """
        del samples
        shutil.copytree(float_model, folder, dirs_exist_ok=True)
        if scheme.weights.startswith(("float", "bfloat")) and scheme.weights != "float":
            (folder / "runner.json").write_text(json.dumps({"dtype": scheme.weights}))
        return {}
