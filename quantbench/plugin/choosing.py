"""Which collected tests run, in which order, and what is refused before any does."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest

from quantbench.errors import BuildError, OutOfReachError, PredictionError, UsageError, meant
from quantbench.plugin.state import FAMILY, SETTINGS, case_of
from quantbench.study import Case, Scheme


def choose(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep the chosen schemes, and bring the tests of one case together.

    A model is opened once for all tests of its case that stand in one class or module.
    """
    if config.stash[SETTINGS].random_weights:
        for item in items:
            _fill_with_random_weights(item)
    schemes = config.stash[SETTINGS].schemes
    if schemes is not None:
        _check_known(schemes, {case.scheme.name for item in items if (case := case_of(item))})
        out = [i for i in items if (case := case_of(i)) and case.scheme.name not in schemes]
        items[:] = [item for item in items if item not in set(out)]
        if out and not items:
            _refuse_nothing(schemes, {case.scheme.name for item in out if (case := case_of(item))})
        if out:
            config.hook.pytest_deselected(items=out)
    found = {case for item in items if (case := case_of(item))}
    _check_distinct(found)
    _check_devices(found)
    for item in items:
        _mark(item)
    config.stash[FAMILY] = max(sum(map(_may_judge, items)), 1)
    ordered: list[pytest.Item] = []
    for _, group in itertools.groupby(items, key=lambda item: item.parent):
        together = list(group)
        order: dict[Case | None, int] = {}
        for item in together:
            order.setdefault(case_of(item), len(order))
        ordered += sorted(together, key=lambda item: order[case_of(item)])
    items[:] = ordered


def _fill_with_random_weights(item: pytest.Item) -> None:
    """Give the test the same case of a model with random weights, if an importer makes them.

    A test's parameters are read when it is set up. What is declared of its verdicts falls away,
    for there are none.
    """
    case = case_of(item)
    if case is None or not case.model.architecture or case.model.has_random_weights:
        return
    params: dict[str, object] = item.callspec.params  # type: ignore[attr-defined]
    untrained = replace(case, model=case.model.with_random_weights())
    if case.expected == "fail":
        untrained = replace(untrained, expected="pass", reason="", metrics=())
    params["case"] = untrained


def _may_judge(item: pytest.Item) -> bool:
    """Whether the run will judge this test's verdict together with others."""
    case = case_of(item)
    return (
        case is not None
        and not case.is_reference
        and case.expected == "pass"
        and not case.model.has_random_weights
        and {"evaluation", "reference"} <= set(getattr(item, "fixturenames", ()))
    )


def _mark(item: pytest.Item) -> None:
    """What the case of a test asks of the machine, and what it declares."""
    case = case_of(item)
    if case is not None and case.device == "cuda":
        item.add_marker(pytest.mark.gpu)
    if case is not None and case.expected == "error":
        from quantbench.measure.devices import is_out_of_memory

        declared = pytest.RaisesExc(
            (BuildError, PredictionError),
            match=case.match or None,
            check=lambda error: not is_out_of_memory(error),
        )
        item.add_marker(pytest.mark.xfail(strict=True, raises=declared, reason=case.reason))


def _check_distinct(found: set[Case]) -> None:
    """Two cases of one name would be one record."""
    named: dict[str, Case] = {}
    for case in found:
        other = named.setdefault(str(case), case)
        if (other.model, other.scheme, other.dataset) != (case.model, case.scheme, case.dataset):
            raise pytest.UsageError(
                f"two different cases are named {case}: give one of their models, schemes or "
                "data sets another name"
            )


def _check_devices(found: set[Case]) -> None:
    """Refuse what its runner cannot run, before any work; of the processor it is asked later."""
    elsewhere = [case for case in found if case.device != "cpu"]
    if not elsewhere:
        return
    from quantbench.study.registry import runner_for

    for case in sorted(elsewhere, key=str):
        try:
            runner_for(case)
        except OutOfReachError:
            continue  # its tests are skipped
        except UsageError as error:
            raise pytest.UsageError(str(error)) from error


def _refuse_nothing(schemes: frozenset[str], collected: set[str]) -> None:
    error = UsageError(
        "--quant-schemes leaves no case to run",
        expected="schemes of the collected cases: " + ", ".join(sorted(collected)),
        got=", ".join(sorted(schemes)),
        remedy=meant(min(schemes), collected),
    )
    raise pytest.UsageError(str(error))


def _check_known(schemes: frozenset[str], collected: set[str]) -> None:
    for scheme in schemes - collected:
        try:
            Scheme.parse(scheme)  # of a study that was not collected
        except UsageError as error:
            known = ", ".join(sorted(collected))
            raise pytest.UsageError(f"--quant-schemes: {error}\n  collected: {known}") from error
