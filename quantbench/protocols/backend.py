"""What a backend brings: a runtime with its schemes, quantizers, importers and diagnosis."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from quantbench.study import Gate, Scheme


class SchemeFamily(Protocol):
    """The schemes of a backend: their names are parsed here and nowhere else."""

    @property
    def names(self) -> Sequence[str]:
        """Names of schemes, to be listed and to find what a mistyped one was meant to be."""

    @property
    def patterns(self) -> Sequence[str]:
        """The same for people, families of names as one: `gptq_int{2,3,4,8}_g{group size}`."""

    def parse(self, name: str) -> Scheme | None:
        """The scheme of this name, None where it is none of this backend's."""


@dataclass(frozen=True)
class Import:
    """An importer of a backend.

    Attributes:
        reads: the float format that it takes; "" for one that is only used by its name, because
            a model asks for it.
        writes: the float format that it makes.
        code: `module:class` (`protocols/importer.py`).
        architectures: of an importer that reads `architecture`: the names that it knows.
    """

    reads: str
    writes: str
    code: str
    architectures: tuple[str, ...] = ()


@dataclass(frozen=True)
class Mending:
    """The search of a mixed-precision recipe.

    Attributes:
        gate: what a recipe is searched for where nobody says otherwise.
        most: samples of the calibration split that are used at most.
        version: raised whenever the search would find another recipe.
        search: `module:function` that takes the float model's folder, the task, the samples, the
            gate, progress and words for it, and returns a recipe with `as_json()` and `notes`.
        for_speed: it has a method `on`, which takes a `Machine` and gives the search of the fastest
            recipe on it.
    """

    gate: Gate
    most: int
    version: int
    search: str
    for_speed: bool = False


@dataclass(frozen=True, kw_only=True)
class Backend:
    """A runtime, described. It is registered under entry point group `quantbench.backends`.

    Importing the description must be cheap: code is named as `module:attribute` and imported when
    it is used. An extra of quantbench that is called like the backend, or like one of its
    quantizers, installs what it needs.

    Attributes:
        name: as `Scheme.backend` says it.
        schemes: parses their names.
        runner: `module:class` (`protocols/runner.py`).
        quantizers: `module:class` (`protocols/quantizer.py`) by name, as `Scheme.quantizer`.
        starts_from: float formats that the quantizers start from, e.g. "saved_model".
        importers: by name.
        diagnosis: `module:function` that says why a quantized model is worse, "" without one. It
            takes the folders of the float model and of the built one, prepared samples, a `Step`
            and `alone`, and returns a `Diagnosis`.
        profile: `module:function` that times an opened model op by op, "" without one. It takes an
            artifact's folder, prepared samples (the first is run), a `Machine` and a `Step`, and
            returns `Profile`s, one for each kind of inference.
        plain: the scheme that stores and computes in float here: what the speed of others is laid
            beside where the reference runs elsewhere. "" without one.
        diagnosed: a version of the diagnosis, raised whenever it would say something else.
        mendings: by the quantizer that builds from their recipes.
        mended: the scheme that `quantbench mend` takes, "" where nothing mends.
        recovered: the scheme that `quantbench recover` trains for another, "{scheme}" standing for
            the other's name; "" where nothing is trained back.
        needs: `module:class` that says beforehand what work takes (`protocols/needs.py`), "" where
            nobody says: it is then learned from what the store has of this backend.
    """

    name: str
    schemes: SchemeFamily
    runner: str
    quantizers: Mapping[str, str] = field(default_factory=dict)
    starts_from: tuple[str, ...] = ()
    importers: Mapping[str, Import] = field(default_factory=dict)
    diagnosis: str = ""
    profile: str = ""
    plain: str = ""
    diagnosed: int = 1
    mendings: Mapping[str, Mending] = field(default_factory=dict)
    mended: str = ""
    recovered: str = ""
    needs: str = ""
