"""What each case draws: measured while its model is open, or estimated from its timed rounds."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from quantbench.measure.energy.drawn import Energy, estimated
from quantbench.measure.energy.windows import measured

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from quantbench.run.context import Context
    from quantbench.study import Case

_BESIDE_OTHERS = "xdist's other workers would be counted too; run alone, without -n"


@dataclass(frozen=True)
class Drawn:
    """Of a case.

    Attributes:
        prediction: of one prepared sample.
        tokens: that the sample has; 0 where it has none.
        decoding: of one generated token; None where nothing was generated.
    """

    prediction: Energy
    tokens: int = 0
    decoding: Energy | None = None


class Energies:
    """Of all cases so far. What was measured is never replaced by an estimate."""

    def __init__(self, context: Context) -> None:
        """Nothing is known yet."""
        self._context = context
        self._drawn: dict[Case, Drawn] = {}

    def of(self, case: Case) -> Drawn | None:
        """What is known of a case; None before its model was opened for timing."""
        return self._drawn.get(case)

    def prediction(self, case: Case) -> Energy:
        """Of one sample of the case."""
        known = self._drawn.get(case)
        return known.prediction if known else Energy(reason="its model was not timed")

    def measure(self, case: Case, predict: Callable[[], object], tokens: int) -> None:
        """Of one prediction, warmed up, of a sample of so many tokens; once in a run."""
        known = self._drawn.get(case)
        if known is None or not known.prediction.windows:
            decoding = known.decoding if known else None
            self._drawn[case] = Drawn(self._measured(case, predict), tokens, decoding)

    def measure_decoding(self, case: Case, decode: Callable[[], object], tokens: int) -> None:
        """Of each of so many tokens that a call generates; after `measure`."""
        self._put_decoding(case, self._measured(case, decode).per(tokens))

    def estimate(self, case: Case, seconds: Sequence[float]) -> None:
        """By the rate that was stated, from the rounds of a prediction."""
        known = self._drawn.get(case)
        if self._context.settings.watts is None or (known and known.prediction.windows):
            return
        found = estimated(seconds, self._context.settings.watts)
        self._drawn[case] = Drawn(
            found, known.tokens if known else 0, known.decoding if known else None
        )

    def estimate_decoding(self, case: Case, seconds: Sequence[float], tokens: int) -> None:
        """By the rate that was stated, from the rounds of generating so many tokens."""
        known = self._drawn.get(case)
        if self._context.settings.watts is None or (
            known and known.decoding and known.decoding.windows
        ):
            return
        self._put_decoding(case, estimated(seconds, self._context.settings.watts).per(tokens))

    def _put_decoding(self, case: Case, decoding: Energy) -> None:
        known = self._drawn.get(case)
        prediction, tokens = (known.prediction, known.tokens) if known else (Energy(), 0)
        self._drawn[case] = Drawn(prediction, tokens, decoding)

    def _measured(self, case: Case, call: Callable[[], object]) -> Energy:
        if not self._context.settings.alone:
            return Energy(reason=_BESIDE_OTHERS)
        return measured(call, partial(self._context.meter, case.device))
