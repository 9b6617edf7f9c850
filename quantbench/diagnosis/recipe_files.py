"""Recipes of mixed precision as files: small JSON that a person can read and commit."""

from __future__ import annotations

import hashlib
import json
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantbench.core.jsons import MALFORMED, loads
from quantbench.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from quantbench.study import Scheme

RECIPE = "recipe.json"
SCHEMA = 1


@dataclass(frozen=True)
class MixedRecipe:
    """What a model of mixed precision is made by.

    Attributes:
        setting: how what is quantized is quantized, in the backend's own JSON.
        float_ops: name of each op that stays in float, and why.
        notes: how the recipe was found, for people.
        float_sha256: of the float model that it was made for.
    """

    setting: Mapping[str, Any]
    float_ops: Mapping[str, str] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)
    float_sha256: str = ""

    def as_json(self) -> str:
        """Sorted and indented."""
        data = {
            "schema": SCHEMA,
            "float_sha256": self.float_sha256,
            "float_ops": dict(self.float_ops),
            "setting": dict(self.setting),
            "notes": dict(self.notes),
        }
        return json.dumps(data, indent=1, sort_keys=True, allow_nan=False) + "\n"

    @classmethod
    def parse(cls, path: Path) -> MixedRecipe:
        """Read a recipe back.

        Raises:
            BuildError: it is none, or of a newer version.
        """
        with read_recipe(path, "recipe", "as quantbench mend writes it") as data:
            if data["schema"] > SCHEMA:
                raise ValueError(f"schema {data['schema']}, newer than {SCHEMA}")
            return cls(
                setting=dict(data["setting"]),
                float_ops={str(op): str(why) for op, why in data["float_ops"].items()},
                notes=dict(data["notes"]),
                float_sha256=str(data["float_sha256"]),
            )

    def check_made_for(self, content: bytes, where: str) -> None:
        """Refuse another float model than that of the search.

        Raises:
            BuildError: it is another.
        """
        got = hashlib.sha256(content).hexdigest()
        if self.float_sha256 not in {"", got}:
            raise BuildError(
                "the recipe was made for another float model",
                where=where,
                expected=self.float_sha256,
                got=got,
                remedy="search again: quantbench mend CASE",
            )


def recipe_file(scheme: Scheme) -> Path:
    """The file of a scheme's recipe.

    Raises:
        BuildError: it names none.
    """
    if not scheme.recipe:
        raise BuildError(f"{scheme.name} needs a recipe", remedy="quantbench mend CASE")
    return Path(scheme.recipe)


@contextmanager
def read_recipe(path: Path, what: str, means: str) -> Iterator[Any]:
    """The JSON of a recipe, to be taken apart inside the block.

    Args:
        path: of its file.
        what: it is, for an error.
        means: what it must say, for an error.

    Raises:
        BuildError: the file cannot be read, or what is taken out of it is malformed.
    """
    try:
        yield loads(path.read_text(encoding="utf-8"))
    except (OSError, *MALFORMED) as error:
        raise BuildError(
            f"no {what}",
            where=path,
            expected=f"{RECIPE} of schema {SCHEMA}, {means}",
            got=f"{type(error).__name__}: {error}",
        ) from error
