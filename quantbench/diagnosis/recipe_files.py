"""Recipes of mixed precision as files: small JSON that a person can read and commit."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantbench.core.jsons import MALFORMED, loads
from quantbench.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from quantbench.study import Scheme

RECIPE = "recipe.json"
SCHEMA = 1


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
