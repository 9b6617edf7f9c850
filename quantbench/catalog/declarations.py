"""What a study declares of its cases: failures and errors that are known, with their reasons."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

from quantbench.errors import UsageError, meant

if TYPE_CHECKING:
    from collections.abc import Sequence

    from quantbench.study import Case, Model

# Scheme, or `scheme-dataset`, to why.
Failures = Mapping[str, str | Mapping[str, str]]
Errors = Mapping[str, str | tuple[str, str]]


class Declarations:
    """Of one call of `cases`."""

    def __init__(self, failures: Failures, errors: Errors) -> None:
        """Refuse what is no declaration.

        Args:
            failures: to a reason, or to reasons by metric.
            errors: to a reason, or to a reason and an expression that the message matches.
        """
        self._failures = {key: _by_metric(key, reason) for key, reason in failures.items()}
        self._errors = {key: _with_match(key, reason) for key, reason in errors.items()}
        self._used: set[str] = set()

    def of(self, case: Case) -> Case:
        """The case with what is declared of it.

        Raises:
            UsageError: a failure and an error are.
        """
        keys = [case.scheme.name, f"{case.scheme.name}-{case.dataset.name}"]
        failures = [self._failures[key] for key in keys if key in self._failures]
        errors = [self._errors[key] for key in keys if key in self._errors]
        self._used.update(keys)
        if failures and errors:
            raise UsageError(
                f"{case.model.name}: {case.scheme.name} is declared twice",
                expected="a known failure or a known error, not both",
            )
        if errors:
            reason = "; ".join(reason for reason, _ in errors)
            return replace(case, expected="error", reason=reason, match=errors[-1][1])
        if failures:
            named = [metric for each in failures for metric in each]
            reasons = dict.fromkeys(
                f"{metric}: {why}" if metric else why
                for each in failures
                for metric, why in each.items()
            )
            metrics = () if "" in named else tuple(dict.fromkeys(named))
            return replace(case, expected="fail", reason="; ".join(reasons), metrics=metrics)
        return case

    def check_used(self, model: Model, found: Sequence[Case]) -> None:
        """Make sure that every declaration is one of a case.

        Raises:
            UsageError: one is of none.
        """
        names = [f"{case.scheme.name}-{case.dataset.name}" for case in found]
        if unused := {*self._failures, *self._errors} - self._used:
            raise UsageError(
                f"known_failures or known_errors names no case of {model.name}",
                expected=", ".join(names),
                got=", ".join(sorted(unused)),
                remedy=meant(min(unused), [*(case.scheme.name for case in found), *names]),
            )


def _by_metric(key: str, reason: object) -> dict[str, str]:
    """Metric to reason; "" stands for every metric."""
    if isinstance(reason, str):
        return {"": reason}
    if isinstance(reason, Mapping) and reason and all(isinstance(v, str) for v in reason.values()):
        return dict(reason)
    raise UsageError(
        f"the known failure of {key} cannot be read",
        expected='a reason, or reasons by metric: {"AP50": "why"}',
        got=repr(reason)[:200],
    )


def _with_match(key: str, reason: object) -> tuple[str, str]:
    if isinstance(reason, str):
        return reason, ""
    if isinstance(reason, tuple) and [type(part) for part in reason] == [str, str]:
        try:
            re.compile(reason[1])
        except re.error as error:
            raise UsageError(
                f"the known error of {key} has no regular expression",
                expected="one that its message matches",
                got=f"{reason[1]!r}: {error}",
            ) from error
        return reason[0], reason[1]
    raise UsageError(
        f"the known error of {key} cannot be read",
        expected='a reason, or (reason, "an expression that the message matches")',
        got=repr(reason)[:200],
    )
