"""A float model, and the schemes that it is studied under."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from quantbench.errors import UsageError, meant
from quantbench.study.freezing import freeze, several
from quantbench.study.scheme import Scheme
from quantbench.study.words import UNTRAINED

if TYPE_CHECKING:
    from quantbench.protocols import Dataset

ARCHITECTURE = "architecture"  # the float format of a `random:` source
_NAME = re.compile(r"[a-z0-9][a-z0-9_.]*")
RANDOM_NOTE = f"{UNTRAINED}: nothing that this model answers means anything"
RANDOM_SUFFIX = "_random"  # of the name of a model whose weights are random
_RANDOM = "random:"


@dataclass(frozen=True)
class Anchor:
    """A score that others measured, on all samples of a data set.

    Attributes:
        metric: a name that the task's `summarise` returns.
        value: what they measured.
        tolerance: how far a right reference may be off.
        dataset: by name.
        n: its samples; on fewer the anchor says nothing.
        source: who measured it, how.
    """

    metric: str
    value: float
    tolerance: float
    dataset: str
    n: int
    source: str


@dataclass(frozen=True)
class Model:
    """A float model and the schemes it is studied under.

    Attributes:
        name: lower case, digits, `_` and `.`; it starts every case's name.
        source: where the files come from, e.g. `pypi:...` or `file:...` (`sources/parsing.py`).
        importer: a backend's importer by its name, or `module:class` of your own, that takes the
            source's files first; None leaves them as they are.
        format: the float format of the source's files, or of what the importer makes of them;
            importers are found from it to what a quantizer starts from. "" where a quantizer takes
            them as they are.
        reference: the float scheme that the others are judged against; for a model that came
            without its float original, another model, whose own reference is taken; None where
            there is nothing to be judged against.
        schemes: all schemes of the default study: names, or `Scheme`s with a quantizer of yours.
        datasets: names from `catalog/datasets.py`, or data sets of your own.
        interface: the task's own description of what goes in and what comes out, e.g. a
            `Detector`; None where the task needs none.
        trainer: `module:function` of your own that trains its `..._qat` schemes on labels: called
            with the prepared model, an iterator over inputs and samples, and how many of them
            there are, it returns the model (`docs/how-to/recover.md`).
        tolerance: how far a converted float model's answers may be from its framework's, in
            shares of the largest answer, before what is decoded of them is compared.
        note: something a reader of its numbers must know; printed with them.
        license: SPDX name of the weights' licence, "" where unknown.
        paper: where it was published.
        published: metric, value and data set of its published score, for the record.
        anchors: known scores that the reference must reproduce.
        architecture: what importers call the network without its weights, "" where none knows it:
            with it the model can be studied with random weights (`with_random_weights`).
        parameters: how many weights its source holds, 0 where nobody says; `quantbench plan`
            computes with it before the files are here.
    """

    name: str
    source: str
    reference: str | Model | None
    schemes: tuple[str | Scheme, ...]
    datasets: tuple[str | Dataset, ...]
    importer: str | None = None
    format: str = ""
    interface: Any = None
    trainer: str = ""
    tolerance: float = 1e-4
    note: str = ""
    license: str = ""
    paper: str = ""
    published: tuple[str, float, str] | None = None
    anchors: tuple[Anchor, ...] = ()
    architecture: str = ""
    parameters: int = 0

    def __post_init__(self) -> None:
        """Refuse a name that could not stand in a case's name, and schemes that do not fit."""
        freeze(self)
        if not _NAME.fullmatch(self.name):
            raise UsageError(
                "a model's name must be usable in test ids and file names",
                expected="lower-case letters, digits, '_' and '.'",
                got=repr(self.name),
            )
        if self.has_random_weights:
            self._check_random()
        if not self.tolerance >= 0:
            raise UsageError(
                f"the tolerance of {self.name} must be a number from 0", got=self.tolerance
            )
        if self.parameters < 0:
            raise UsageError(
                f"{self.name} has a number of weights, or 0 where it is not known",
                got=f"parameters={self.parameters}",
            )
        for name in ("schemes", "datasets"):
            several(f"the {name} of {self.name}", getattr(self, name))
        names = [scheme.name for scheme in map(Scheme.parse, self.schemes)]
        if isinstance(self.reference, Model):
            if not isinstance(self.reference.reference, str):
                raise UsageError(
                    f"the reference of {self.name} has no float reference of its own",
                    expected='a model with one, e.g. reference="float32"',
                    got=self.reference.name,
                )
            if self.anchors:
                raise UsageError(
                    f"the anchors of {self.name} are known scores of another model",
                    expected=f"anchors of {self.reference.name}, which is the reference",
                )
        elif self.reference is not None and self.reference not in names:
            raise UsageError(
                f"the reference of {self.name} is none of its schemes",
                expected=", ".join(names),
                got=repr(self.reference),
                remedy=meant(str(self.reference), names),
            )

    def __hash__(self) -> int:
        """Of its name and source: equal models have the same."""
        return hash((self.name, self.source))

    @property
    def has_random_weights(self) -> bool:
        """Whether nobody trained them: then nothing that it answers means anything."""
        return self.source.startswith(_RANDOM)

    def with_random_weights(self, seed: int = 0) -> Model:
        """The same architecture with seeded random weights, under a name that says so.

        Raises:
            UsageError: the model does not say its architecture.
        """
        if not self.architecture:
            raise UsageError(
                f"{self.name} cannot be had with random weights",
                expected="a model that says its architecture, Model(architecture=...)",
            )
        return replace(
            self,
            name=f"{self.name}{RANDOM_SUFFIX}",
            source=f"{_RANDOM}{self.architecture}#seed={seed}",
            importer=None,
            format=ARCHITECTURE,
            note="; ".join(filter(None, (RANDOM_NOTE, self.note))),
            published=None,
            anchors=(),
        )

    def _check_random(self) -> None:
        """Let nobody take for a result what nobody trained."""
        if not self.name.endswith(RANDOM_SUFFIX):
            raise UsageError(
                "a model with random weights must say so in its name",
                expected=f"{self.name}{RANDOM_SUFFIX}",
                got=self.name,
            )
        scores = {"anchors": self.anchors, "published": self.published}
        if given := [name for name, value in scores.items() if value]:
            raise UsageError(
                f"{self.name} has random weights: no score of others is its own",
                got=", ".join(given),
            )
