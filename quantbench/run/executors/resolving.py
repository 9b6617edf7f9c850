"""What the driver of a cluster knows of steps: what its own store has, and what is lacking."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, NamedTuple

from quantbench.errors import IntegrityError, QuantbenchError
from quantbench.measure.machines import kind_in_words
from quantbench.protocols import Step
from quantbench.run.executors.bundles import land
from quantbench.run.executors.local import Local
from quantbench.run.executors.performing import LackingError, Watched, perform
from quantbench.run.executors.pool import ClaimedError, Order
from quantbench.run.session import Session
from quantbench.run.steps.recover import unrecovered
from quantbench.run.steps.resolve import sources_of
from quantbench.sources.parsing import File, parse_source
from quantbench.store.locks import locked
from quantbench.store.opening import open_store

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from quantbench.core.settings import Settings
    from quantbench.run.executors.bundles import Bundle
    from quantbench.store.artifacts import Artifact
    from quantbench.study import Case, Model

_CLAIMED = ("import", "build")  # steps that two drivers of one store do not both give away
_ROOM = 3  # times its files that an opened or built model takes, at most


class _Lacking(NamedTuple):
    """An entry that the driver's store does not have."""

    kind: str
    key: str


class _Elsewhere(Local):
    """The dry session's: nothing is waited for; who predicts is known from the scheduler."""

    def __init__(self) -> None:
        self.variants: dict[Case, str] = {}


class Resolver:
    """Looks into the driver's store, and keeps there what nodes have made.

    It asks a session of its own for each step, as a test would; where the store lacks something,
    the session stops, and that is what a node must make. Sources are fetched, by this machine: it
    has the network and the credentials, nodes need neither.

    Attributes:
        kinds: of the machines that predict a case.
        variants: what of them changes their answers.
    """

    def __init__(self, settings: Settings) -> None:
        """Look into the store that the settings name."""
        executor = _Elsewhere()
        self.variants = executor.variants
        self.kinds: dict[Case, str] = {}
        self._starts: dict[Case, tuple[list[Artifact], dict[str, str]]] = {}
        self._looked: dict[Step, tuple[str | None, _Lacking | None]] = {}
        self._settings = settings
        self._plain = open_store(settings.cache, settings.remote)
        dry = Watched(self._plain.root, self._plain.remote, dry=True)
        self._session = Session(settings, store=dry, executor=executor)
        self._importing: dict[tuple[Model, str], Case] = {}

    def same(self, step: Step) -> Step:
        """The step that stands for all that make the same: cases of one model share its import."""
        if step.kind != "import":
            return step
        key = step.case.model, step.case.scheme.backend
        return Step("import", self._importing.setdefault(key, step.case))

    def rank(self, case: Case) -> int:
        """How much is to be done before the case predicts; what fails at once comes first."""
        try:
            if any(not self._is_at_hand(text) for text in sources_of(case, calibrated=False)):
                return 3
            self._session.artifact(case)
        except LackingError as lacking:
            return 2 if lacking.kind == "float_model" else 1
        except QuantbenchError:
            return 0
        return 0

    def before(self, step: Step) -> Sequence[Step]:
        """What must be done before the step."""
        case = step.case
        match step.kind:
            case "build":
                base = unrecovered(case)
                builds = [] if base is case else [Step("build", base)]
                return [self.same(Step("import", case)), *builds]
            case "predict":
                return [Step("build", case)]
            case "sum up":
                return self._predictions(case)
            case "compare":
                return [Step("sum up", case), Step("sum up", case.reference)]
        return []

    def _predictions(self, case: Case) -> list[Step]:
        """All blocks that tests will ask for; until there is an artifact, its build."""
        try:
            self._session.artifact(case)
        except LackingError:
            return [Step("build", case)]
        blocks = self._session.blocks(case)[: 1 if self._settings.sequential else None]
        steps = [Step("predict", case, block.start, block.stop) for block in blocks]
        for step in steps:  # all at once: samples may have to be read for it
            self._looked[step] = self.variants.get(case), self._lacking(step)
        return steps

    def samples(self, case: Case) -> int:
        """How many there are to predict, of a case whose data have been read."""
        return self._session.blocks(case)[-1].stop

    def order(self, step: Step) -> Order | None:
        """The step with its inputs; None where what it makes is in the store, or is made here."""
        if step.kind in {"sum up", "compare"} and self._settings.sequential:
            return None
        variant, lacking = self._looked.pop(step, ("", None))
        if step.kind != "predict" or variant != self.variants.get(step.case):
            lacking = self._lacking(step)
        if lacking is None:
            return None
        release = self._claimed(lacking) if step.kind in _CLAIMED else lambda: None
        if step.kind in _CLAIMED and self._lacking(step) is None:  # landed just now
            release()
            return None
        inputs, placed = self._inputs(step) if step.kind != "predict" else self._shared(step)
        largest = max((each.size_bytes for each in inputs), default=0)
        room = _ROOM * largest if step.kind in {"import", "build", "predict"} else 0
        return Order(step, (lacking.kind, lacking.key), inputs, room, placed, release)

    def _lacking(self, step: Step) -> _Lacking | None:
        """What the store lacks of the step; None where it has all."""
        try:
            if step.kind == "predict":
                found = self._session.predicted(step.case, range(step.start, step.stop))
                if "machine" in found.details:
                    self.kinds.setdefault(step.case, kind_in_words(found.details["machine"]))
            else:
                perform(self._session, step)
        except LackingError as lacking:
            return _Lacking(lacking.kind, lacking.key)  # the error would keep all ingredients
        return None

    def _claimed(self, lacking: _Lacking) -> Callable[[], None]:
        """Let no other driver of this store give the same away; a claim dies with its process."""
        from filelock import Timeout

        held = ExitStack()
        try:
            held.enter_context(locked(self._plain.root, f"{lacking.key}-claimed", 0))
        except Timeout as error:
            raise ClaimedError from error
        return held.close

    def _shared(self, step: Step) -> tuple[list[Artifact], dict[str, str]]:
        """What all shards of a case start from."""
        if step.case not in self._starts:
            self._starts[step.case] = self._inputs(step)
        return self._starts[step.case]

    def _inputs(self, step: Step) -> tuple[list[Artifact], dict[str, str]]:
        """Entries that the step starts from, and which of them are whose sources."""
        case, session = step.case, self._session
        found: dict[str, Artifact] = {}
        placed: dict[str, str] = {}
        for text in self._sources(step):
            made = session.source(text)
            found[made.key], placed[text] = made, made.key
        if step.kind != "import":
            chain = session.imported(case)
            found |= {each.key: each for each in [*(x.before for x in chain.links), chain.made]}
        others: list[Artifact] = []
        if step.kind == "build" and (base := unrecovered(case)) is not case:
            others = [session.artifact(base)]
        elif step.kind == "predict":
            others = [session.artifact(case)]
        elif step.kind in {"sum up", "compare"}:
            for each in (case, case.reference)[: 2 if step.kind == "compare" else 1]:
                others += [session.artifact(each), *session.evidence(each).shards]
        found |= {each.key: each for each in others}
        return list(found.values()), placed

    def _sources(self, step: Step) -> list[str]:
        """Texts of the sources whose files a node is given; data on disk are read in place."""
        dataset, models = step.case.dataset, [step.case.model.source]
        if step.kind == "compare":
            models.append(step.case.reference.model.source)
        data = [] if step.kind == "import" else [dataset.source]
        if step.kind == "build":
            data.append(dataset.calibration_source)
        fetched = [text for text in data if text and not self._is_file(text)]
        return [*dict.fromkeys(models), *(text for text in fetched if self._is_at_hand(text))]

    def _is_file(self, text: str) -> bool:
        return isinstance(parse_source(text, self._settings.data), File)

    def _is_at_hand(self, text: str) -> bool:
        source = parse_source(text, self._settings.data)
        return isinstance(source, File) or self._plain.has("source", source.ingredients())

    def land(self, order: Order, answer: Sequence[Bundle]) -> None:
        """Keep what a node has made, and see that it is what was ordered."""
        for bundle in answer:
            land(self._plain, bundle)
        kind, key = order.expected
        if self._plain.find(kind, key) is None:
            raise IntegrityError(
                f"a node made something else than was ordered for {order.step}",
                expected=f"{kind} {key[:12]}",
                got=", ".join(f"{each.kind} {each.key[:12]}" for each in answer) or "nothing",
                remedy="keys are made of samples, versions and the machine: see that the nodes "
                "read the same data (--quant-data, or QUANTBENCH_DATA on the node)",
            )
