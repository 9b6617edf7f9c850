"""What of a case the store has already: the run's own steps, walked without doing any."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from quantbench.core.digests import digest_of
from quantbench.core.jsons import MALFORMED
from quantbench.errors import QuantbenchError, StoreError
from quantbench.run.session import Session
from quantbench.run.steps.resolve import importers_of, sources_of
from quantbench.sources.parsing import File, parse_source
from quantbench.store.artifacts import Artifact, Store
from quantbench.store.manifests import NAME, key_of, read_manifest
from quantbench.study.calibration import calibrates
from quantbench.study.registry import find_backend, find_quantizer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from quantbench.core.settings import Settings
    from quantbench.protocols import Import
    from quantbench.study import Case


class AbsentError(StoreError):
    """An entry is not in the store, and planning builds none."""


@dataclass
class LookedIn(Store):
    """A store that gives what it has and builds nothing; a team's store behind it is not asked.

    Files are taken as their manifests list them: who uses them verifies them.

    Attributes:
        seen: kinds of the entries that were given since it was emptied.
    """

    seen: list[str] = field(default_factory=list)

    def get(
        self,
        kind: str,
        ingredients: Mapping[str, Any],
        build: Callable[[Path], Mapping[str, Any] | None],
    ) -> Artifact:
        """The entry of these ingredients.

        Raises:
            AbsentError: there is none.
        """
        del build
        key = key_of(kind, ingredients)
        place = self.root / kind / key
        try:
            told = read_manifest((place / NAME).read_bytes())
        except (OSError, *MALFORMED) as error:
            raise AbsentError(f"no {kind} in the store", where=self.root) from error
        self.seen.append(kind)
        return Artifact(
            key=key,
            path=place / "files",
            sha256=digest_of(told["files"]),
            size_bytes=told["size_bytes"],
            build_s=told["build_s"],
            details=told["details"],
        )


@dataclass(frozen=True, kw_only=True)
class Found:
    """What of a case is there.

    Attributes:
        files: of each source that is here, its files; an empty tuple for one that is not.
        copied: the store has the model's source, which it copies where that is on this disk.
        importers: that take the model's source to what the backend starts from, by name.
        imported: how many of these are done, from the first.
        float_files: of the float model as far as it is made; () where nothing is here.
        calibrating: samples that the scheme is built from; None where it is not calibrated.
        built: the artifact is there.
        samples: that are evaluated; None where nobody knows.
        predicted: of these, those with rows.
        counted: the metrics are there.
        lacks: why the case cannot run here as it stands.
    """

    files: Mapping[str, tuple[Path, ...]]
    copied: bool
    importers: tuple[tuple[str, Import], ...]
    imported: int
    float_files: tuple[Path, ...]
    calibrating: int | None
    built: bool
    samples: int | None
    predicted: int
    counted: bool
    lacks: tuple[str, ...] = ()


class Looking:
    """Looks at cases of one study. Create one per plan."""

    def __init__(self, settings: Settings, root: Path) -> None:
        """Look at nothing yet.

        Args:
            settings: of the run that is planned.
            root: folder of the store.
        """
        self._settings, self._store = settings, LookedIn(root)
        self._session = Session(replace(settings, remote=None), store=self._store)

    def briefly(self, case: Case) -> Found:
        """As if nothing of the case were made: quick, and the most that it can take."""
        found = self.at(case, made=False)
        return replace(found, lacks=())

    def at(self, case: Case, *, made: bool = True) -> Found:
        """What of the case is there; what cannot be looked at counts as absent.

        Args:
            case: that is looked at.
            made: look for what was made of its source, too, and read its samples.
        """
        lacks: list[str] = []
        chain = _told(lacks, lambda: importers_of(case.model, find_backend(case.scheme.backend)))
        quantizer = _told(lacks, lambda: find_quantizer(case.scheme))
        calibrated = False
        if quantizer is not None:
            calibrated = bool(_told(lacks, lambda: calibrates(quantizer, case.scheme)))
        wanted = sources_of(case, calibrated=calibrated)
        files = {text: self._files(text, lacks) for text in wanted}
        imported, float_files = 0, files.get(case.model.source, ())
        built = predicted = 0
        counted = False
        samples = self._samples(case, lacks) if made and _here(case, files) else None
        if samples is None:
            samples = self._wanted(case)
        if float_files and made:
            imported, float_files = self._imported(case, float_files, lacks)
        if made and float_files and imported == len(chain or ()) and quantizer is not None:
            built = _told(lacks, lambda: self._session.artifact(case)) is not None
        if built and samples:
            predicted = self._predicted(case, lacks)
        if samples and predicted == samples:
            counted = _told(lacks, lambda: self._session.sum_up(case)) is not None
        return Found(
            files=files,
            copied=_told([], lambda: self._session.source(case.model.source)) is not None,
            importers=tuple(chain or ()),
            imported=imported,
            float_files=float_files,
            calibrating=case.dataset.calibration_n if calibrated else None,
            built=bool(built),
            samples=samples,
            predicted=predicted,
            counted=counted,
            lacks=tuple(dict.fromkeys(lacks)),
        )

    def _files(self, text: str, lacks: list[str]) -> tuple[Path, ...]:
        source = _told(lacks, lambda: parse_source(text, self._settings.data))
        if source is None:
            return ()
        if isinstance(source, File):
            return _told(lacks, lambda: _checked(source)) or ()
        made = _told([], lambda: self._session.source(text))
        return () if made is None else _below(made.path)

    def _imported(
        self, case: Case, source: tuple[Path, ...], lacks: list[str]
    ) -> tuple[int, tuple[Path, ...]]:
        """How many importers are done, and the files of the last result."""
        self._store.seen.clear()
        made = _told(lacks, lambda: self._session.imported(case))
        if made is None:
            return self._store.seen.count("float_model"), source
        return len(made.links), _below(made.made.path)

    def _samples(self, case: Case, lacks: list[str]) -> int | None:
        """How many are evaluated, counted where the data are here."""
        found = _told(lacks, lambda: self._session.samples(case, "evaluation"))
        return None if found is None else len(found)

    def _wanted(self, case: Case) -> int | None:
        """How many are evaluated, as it was asked for; None for all, before they are here."""
        wanted = self._settings.samples
        return case.dataset.default_n if wanted is None else wanted or None

    def _predicted(self, case: Case, lacks: list[str]) -> int:
        """Samples of the blocks that are there."""
        found = 0
        for block in _told(lacks, lambda: self._session.blocks(case)) or ():
            made = _told(lacks, partial(self._session.predicted, case, block))
            found += len(block) if made is not None else 0
        return found


def _here(case: Case, files: Mapping[str, tuple[Path, ...]]) -> bool:
    """Whether the evaluated samples can be read."""
    return case.dataset.source is None or bool(files.get(case.dataset.source))


def _told(lacks: list[str], work: Callable[[], Any]) -> Any:
    """What the work gives; None where it cannot, and why, unless an entry is only not there yet."""
    try:
        return work()
    except AbsentError:
        return None
    except QuantbenchError as error:
        lacks.append("; ".join(" ".join(line.split()) for line in str(error).splitlines()))
        return None


def _checked(source: File) -> tuple[Path, ...]:
    source.check()
    return _below(source.path)


def _below(path: Path) -> tuple[Path, ...]:
    if path.is_file():
        return (path,)
    return tuple(sorted(each for each in path.rglob("*") if each.is_file()))
