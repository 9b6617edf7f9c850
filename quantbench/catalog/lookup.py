"""Models and cases by what a person types.

NAME                        the catalog's model or data set
module:MODEL                a `Model` of your own, in a module that Python can import
NAME-SCHEME-DATASET         a case of the catalog; `module:MODEL-SCHEME-DATASET` one of yours
test_file.py::CASE          a case that a test file is parametrized by
test_file.py                all of these
"""

from __future__ import annotations

import sys
from importlib import import_module
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from quantbench.catalog.datasets import DATASETS
from quantbench.catalog.models import MODELS, cases, find_model
from quantbench.core.plugins import missing_extra, resolve
from quantbench.errors import QuantbenchError, UsageError, meant
from quantbench.study import Case, Device, Model

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_PARTS = 3  # of a case's name: model, scheme, data set


def find_cases(text: str) -> list[Case]:
    """The cases of a model, of a test file, or the one that is named.

    Raises:
        UsageError: nothing is named so, or a file or module cannot be imported.
    """
    if _is_file(text):
        path, _, name = text.partition("::")
        found = cases_in(Path(path))
        return [_named(name, found, path)] if name else found
    if "-" in text:
        return [find_case(text)]
    return cases(_model(text))


def find_case(text: str) -> Case:
    """The one case that is named; of a model any scheme that parses.

    Raises:
        UsageError: it is no name of one case, or a part of it is unknown.
    """
    if _is_file(text):
        path, _, name = text.partition("::")
        return _named(name, cases_in(Path(path)), path)
    head, colon, tail = text.partition(":")
    parts = (tail or head).split("-", maxsplit=_PARTS - 1)
    if len(parts) != _PARTS:
        raise UsageError(
            "no name of a case",
            expected="MODEL-SCHEME-DATASET as `quantbench cases` lists them, "
            "module:MODEL-SCHEME-DATASET, or test_file.py::CASE",
            got=repr(text[:80]),
        )
    name, scheme, data = parts
    data, device = _device_of(data)
    model = _model(f"{head}:{name}" if colon else name)
    own = {each.name: each for each in model.datasets if not isinstance(each, str)}
    (case,) = cases(
        model,
        schemes=[_scheme_of(model, scheme)],
        datasets=[own.get(data, data)],
        device=device,
    )
    return case


def sources(text: str) -> dict[str, str]:
    """The sources that a model, a data set or cases need, and for whom.

    Raises:
        UsageError: nothing is named so.
    """
    described: Iterable[Any]
    if text in DATASETS:
        described = [DATASETS[text]]
    elif text in MODELS or (":" in text and "-" not in text):
        described = [_model(text)]
    elif _is_file(text) or "-" in text:
        found = find_cases(text)
        described = [part for case in found for part in (case.model, case.dataset)]
        described += [case.reference.model for case in found if case.model.reference]
    else:
        raise UsageError(
            f"neither a model nor a data set: {text!r}",
            expected=f"{', '.join(sorted(MODELS))}, {', '.join(sorted(DATASETS))}, module:MODEL, "
            "or test_file.py",
            remedy=meant(text, [*MODELS, *DATASETS]),
        )
    texts = {}
    for each in described:
        for source in (each.source, getattr(each, "calibration_source", None)):
            if source:
                texts[source] = each.name
    return texts


def cases_in(path: Path) -> list[Case]:
    """The cases that the tests of a file are parametrized by, in their order.

    The file is imported; its tests are not run.

    Raises:
        UsageError: it cannot be imported, or no test has a case.
    """
    found = dict.fromkeys(_parametrized(_imported(path)))
    if not found:
        raise UsageError(
            "no test of the file has cases",
            where=path,
            expected='@pytest.mark.parametrize("case", cases(MODEL), ids=str)',
        )
    return list(found)


def _is_file(text: str) -> bool:
    return text.partition("::")[0].endswith(".py")


def _model(text: str) -> Model:
    if ":" not in text:
        return find_model(text)
    _on_path(Path.cwd())
    found = resolve(text)
    if not isinstance(found, Model):
        raise UsageError("not a model", where=text, expected="a Model", got=repr(found)[:80])
    return found


def _device_of(data: str) -> tuple[str, Device]:
    """The data set's name without the device that ends the names of cases elsewhere."""
    name, dash, device = data.rpartition("-")
    return (name, "cuda") if dash and device == "cuda" else (data, "cpu")


def _scheme_of(model: Model, name: str) -> Any:
    """The model's own scheme of this name, or any that parses."""
    own = {each.name: each for each in model.schemes if not isinstance(each, str)}
    return own.get(name, name)


def _named(name: str, found: list[Case], path: str) -> Case:
    known = {str(case): case for case in found}
    if name not in known:
        raise UsageError(
            f"no case {name!r} in {path}",
            expected=", ".join(known),
            remedy=meant(name, known),
        )
    return known[name]


def _imported(path: Path) -> ModuleType:
    """The module of a test file, under the name that its packages give it.

    Its folders stay on the path: what it names as `module:class` is imported later.

    Raises:
        UsageError: there is no such file, or it cannot be imported.
    """
    if not path.is_file():
        raise UsageError("no such test file", got=path)
    folder, name = path.resolve().parent, path.stem
    while (folder / "__init__.py").exists():
        folder, name = folder.parent, f"{folder.name}.{name}"
    _on_path(folder, path.resolve().parent, Path.cwd())
    try:
        if "." in name:
            return import_module(name)
        loader = SourceFileLoader(f"quantbench_study_{name}", str(path))
        module = ModuleType(loader.name)
        sys.modules[loader.name] = module  # dataclasses look their module up
        module.__file__ = str(path)
        loader.exec_module(module)
    except (QuantbenchError, KeyboardInterrupt, SystemExit):
        raise
    except BaseException as error:  # pytest's skips are no exceptions
        if isinstance(error, ModuleNotFoundError) and (lack := missing_extra(error.name)):
            raise lack from error
        raise UsageError(
            "the test file cannot be imported",
            where=path,
            got=f"{type(error).__name__}: {error}",
        ) from error
    return module


def _on_path(*folders: Path) -> None:
    for folder in folders:
        if str(folder) not in sys.path:
            sys.path.append(str(folder))


def _parametrized(module: ModuleType) -> Iterator[Case]:
    """Cases among the arguments of the marks of functions and classes."""
    for named in [module, *vars(module).values()]:
        members = list(vars(named).values()) if isinstance(named, type) else []
        for holder in (named, *members):
            marks = getattr(holder, "pytestmark", ())
            for mark in marks if isinstance(marks, list | tuple) else [marks]:
                if getattr(mark, "name", "") == "parametrize":
                    yield from _cases_of(mark.args)


def _cases_of(arguments: Any) -> Iterator[Case]:
    """However deep they stand: in lists, tuples, and what `pytest.param` makes."""
    for each in arguments:
        if isinstance(each, Case):
            yield each
        elif isinstance(each, list | tuple):
            yield from _cases_of(getattr(each, "values", each) if hasattr(each, "marks") else each)
