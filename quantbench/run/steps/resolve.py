"""The first steps: from a source to the float model that quantizers start from."""

from __future__ import annotations

from dataclasses import asdict, dataclass, is_dataclass
from typing import TYPE_CHECKING, Any

from quantbench.catalog.models import MODELS
from quantbench.core.plugins import resolve
from quantbench.errors import FetchError, UsageError, meant
from quantbench.run.context import versions
from quantbench.sources.parsing import File, parse_source
from quantbench.sources.random_weights import RandomWeights
from quantbench.study.model import ARCHITECTURE
from quantbench.study.registry import backends, find_backend, find_importer, find_task

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from quantbench.protocols import Backend, Import, Importer
    from quantbench.run.context import Context
    from quantbench.store.artifacts import Artifact
    from quantbench.study import Case, Model


def source_of(context: Context, text: str) -> Artifact:
    """The files of a source, fetched and verified."""
    key = (context.placed or {}).get(text)
    if key is not None and (found := context.store.find("source", key)) is not None:
        return found
    source = parse_source(text, context.settings.data)
    what = f"fetching {text.partition('#')[0]}"
    return context.get("source", source.ingredients(), what, source.fetch)


def located(context: Context, text: str) -> Path:
    """A data set's file or folder; what is on this disk already is read where it is."""
    source = parse_source(text, context.settings.data)
    if isinstance(source, File):
        source.check()
        return source.path
    return source_of(context, text).path


def at_hand(context: Context, text: str) -> bool:
    """Whether a source need not be fetched.

    On a node of a cluster that is the driver's word: what is made must not depend on the node.
    """
    source = parse_source(text, context.settings.data)
    if isinstance(source, File):
        return True
    if context.placed is not None:
        return text in context.placed
    return context.store.has("source", source.ingredients())


def importers_of(model: Model, backend: Backend) -> list[tuple[str, Import]]:
    """The importers that take a model's source to what a backend's quantizers start from.

    The model's own first, if it names one, then the shortest chain from its float format. None
    where the backend does not say what it starts from.

    Raises:
        UsageError: no chain of importers leads there.
    """
    chain: list[tuple[str, Import]] = []
    if model.importer is not None:
        chain.append((model.importer, find_importer(model.importer)))
    given = model.format or (chain[-1][1].writes if chain else "")
    if model.has_random_weights:
        given = ARCHITECTURE
    if given and backend.starts_from and given not in backend.starts_from:
        chain += _shortest(given, backend, model)
    return chain


def _shortest(given: str, backend: Backend, model: Model) -> list[tuple[str, Import]]:
    """By breadth; of chains of one length the one whose importers are the backend's own."""
    order = [backend, *(other for other in backends().values() if other is not backend)]
    known = [pair for each in order for pair in each.importers.items() if pair[1].reads]
    if given == ARCHITECTURE:
        known = _of_architecture(known, model)
    ahead: list[tuple[str, list[tuple[str, Import]]]] = [(given, [])]
    seen = {given}
    while ahead:
        reached, chain = ahead.pop(0)
        for name, each in known:
            if each.reads != reached or each.writes in seen:
                continue
            if each.writes in backend.starts_from:
                return [*chain, (name, each)]
            seen.add(each.writes)
            ahead.append((each.writes, [*chain, (name, each)]))
    raise UsageError(
        f"nothing makes a float model for {backend.name} of the format {given!r}",
        expected=f"{', '.join(backend.starts_from)}, or a format that importers read: "
        + ", ".join(sorted({each.reads for _, each in known})),
        got=repr(given),
        remedy=meant(given, {each.reads for _, each in known})
        or "say what the source's files are, Model(format=...), or name what takes them, "
        "Model(importer=...)",
    )


def _of_architecture(known: list[tuple[str, Import]], model: Model) -> list[tuple[str, Import]]:
    """Of the importers that read an architecture those that know the model's.

    Raises:
        UsageError: none does.
    """
    source = parse_source(model.source)
    if not isinstance(source, RandomWeights):
        raise UsageError(
            f"{model.name} is of the format {ARCHITECTURE!r}, and its source names none",
            expected="random:ARCHITECTURE",
            got=model.source[:80],
        )
    named = {name for _, each in known if each.reads == ARCHITECTURE for name in each.architectures}
    if source.architecture not in named:
        raise UsageError(
            f"no importer knows the architecture {source.architecture!r}",
            where=model.name,
            expected=", ".join(sorted(named)),
            remedy=meant(source.architecture, named),
        )
    return [
        (name, each)
        for name, each in known
        if each.reads != ARCHITECTURE or source.architecture in each.architectures
    ]


@dataclass(frozen=True)
class Link:
    """One importer of a chain.

    Attributes:
        name: of the importer.
        importer: made.
        before: what it takes.
    """

    name: str
    importer: Importer
    before: Artifact


@dataclass(frozen=True)
class FloatModel:
    """What a backend's quantizers start from.

    Attributes:
        made: its files; the details say by `imported_by` which importers made them.
        links: the importers that made it, in their order.
    """

    made: Artifact
    links: tuple[Link, ...] = ()


def float_model(context: Context, model: Model, backend: str) -> FloatModel:
    """The source's files, imported where need be.

    Raises:
        FetchError: they cannot be had; of a model of the catalog with the command that fetches it.
    """
    try:
        found = source_of(context, model.source)
    except FetchError as error:
        named = MODELS.get(model.name)
        if named is None or named.source != model.source:
            raise
        raise FetchError(
            error.what,
            where=error.where,
            expected=error.expected,
            got=error.got,
            remedy=f"{error.remedy}; then: quantbench fetch {model.name}",
        ) from error
    links: list[Link] = []
    for name, each in importers_of(model, find_backend(backend)):
        link = Link(name, resolve(each.code)(), found)
        links.append(link)
        ingredients = {
            "source": identity(found),
            "importer": [name, each.code, each.writes],
            "version": link.importer.version,
            "interface": _as_imported(model.interface),
            "tools": versions(link.importer.tools),
        }
        names = [each.name for each in links]

        def build(folder: Path, link: Link = link, names: Any = names) -> Any:
            link.importer.build(model, link.before.path, folder)
            return {"imported_by": names}

        found = context.get("float_model", ingredients, f"importing {model.name}", build)
    return FloatModel(found, tuple(links))


def identity(made: Artifact) -> str:
    """Of files as they came the content, of imported ones what they were made from.

    A second import may differ in its last bits.
    """
    return made.key if "imported_by" in made.details else made.sha256


def _as_imported(interface: Any) -> dict[str, Any] | str | None:
    """What importers read of a model's interface: the fields of its `imported`, else all."""
    if interface is None or not is_dataclass(interface) or isinstance(interface, type):
        return None if interface is None else repr(interface)
    known = asdict(interface)
    return {name: known[name] for name in getattr(interface, "imported", known)}


def protocol_of(case: Case) -> dict[str, Any]:
    """How samples become inputs, and predictions rows: part of every key they touch."""
    task = find_task(case.task)
    return {
        "task": case.task,
        "version": task.version,
        "tools": versions(task.tools),
        "model": task.identity(case.model),
    }


def sources_of(case: Case, *, calibrated: bool) -> Iterable[str]:
    """All sources that a case and its reference need, each once."""
    dataset = case.dataset
    texts = [case.model.source, dataset.source, dataset.calibration_source if calibrated else None]
    if case.model.reference is not None:
        texts.append(case.reference.model.source)
    return dict.fromkeys(text for text in texts if text)
