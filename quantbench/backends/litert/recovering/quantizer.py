"""Schemes `..._distilled` and `..._qat`: another scheme's `.tflite` with trained weights."""

from __future__ import annotations

import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from quantbench.backends.litert.check import check_build
from quantbench.backends.litert.convert import float_file
from quantbench.backends.litert.graph import Graph
from quantbench.backends.litert.interpreter import model_file
from quantbench.backends.litert.recovering import stored
from quantbench.backends.litert.recovering.executor import Executor
from quantbench.backends.litert.recovering.names import Recovery
from quantbench.backends.litert.recovering.plan import Plan
from quantbench.backends.litert.recovering.prepared import Example, train_by
from quantbench.backends.litert.recovering.training import Training
from quantbench.diagnosis.recovering.draws import drawn_as
from quantbench.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from quantbench.diagnosis.recovering.checkpoint import Look
    from quantbench.protocols import Start
    from quantbench.study import Scheme

_FEWEST = 16  # samples to learn from
_CHECKED = 2  # samples that each op is checked on
# Of a held-out distance, between what training computed and the file: a share, and an amount.
_ROUNDED, _NOISE = 0.25, 0.01


class RecoveringQuantizer:
    """The weights of another scheme's artifact, trained in place."""

    tools = ("tensorflow", "ai-edge-litert")
    version = 2
    calibrated = True
    most = 5000  # samples; a training shows them again until its budget is spent

    def base(self, scheme: Scheme) -> Scheme:
        """The scheme whose artifact is trained, with this one's draw of calibration."""
        return drawn_as(scheme, Recovery.of(scheme).base)

    def settings(self, scheme: Scheme) -> Mapping[str, Any]:
        """All that decides the result besides samples: it is part of the artifact's key."""
        return asdict(_plan(scheme))

    def labelled(self, scheme: Scheme) -> bool:
        """Whether the model's own trainer trains it, on samples with their labels."""
        return Recovery.of(scheme).labelled

    def build(
        self,
        float_model: Path,
        scheme: Scheme,
        samples: Sequence[NDArray[Any]],
        folder: Path,
        start: Start,
    ) -> Mapping[str, Any]:
        """Train, write the integers back, and check that they are what the file computes with.

        Raises:
            BuildError: there are too few samples, an op cannot be trained through, the trainer
                fails, or what was stored is not what was trained.
        """
        if len(samples) < _FEWEST:
            raise BuildError(
                f"{scheme.name} has too few samples to learn from",
                expected=f"at least {_FEWEST} of the calibration split that calibrated nothing",
                got=len(samples),
            )
        plan, before = _plan(scheme), model_file(start.base)
        graph = Graph.read(before)
        with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
            source = float_file(float_model, samples[:1], Path(temporary))
            float_graph = Graph.read(source)
        student = Executor(graph, before.name, float_graph)
        teacher = Executor(float_graph, source.name)
        held, others = plan.divided(samples)
        training = Training(teacher, student, held, plan.batch)
        was = training.held_out(stored.answers_of(before.read_bytes(), held))
        told = _telling(start)
        if start.trainer is None:
            found, curve = training.run(plan, others, start.kept, told)
            training.put(found)
        else:
            labelled = start.labelled[len(held) :]
            examples = [Example(*pair) for pair in zip(others, labelled, strict=True)]
            curve = train_by(start.trainer, training, examples, plan, told)
        path = folder / "model.tflite"
        content = stored.write(student, graph, training.values())
        path.write_bytes(content)
        now = training.held_out(stored.answers_of(content, held))
        _check_stored(training.held_out()["held_out"], now["held_out"], path)
        return {
            **check_build(path, samples[:3], scheme.weights),
            **stored.check_constants(path, student, training.values()),
            **stored.check_ops(path, held[:_CHECKED]),
            "held_out_samples": len(held),
            "held_out_before": was,
            "held_out_after": now,
            "learning_curve": [look.as_fact("samples") for look in curve],
        }


def _telling(start: Start) -> Callable[[Look, int], Callable[[int], None]]:
    """Progress of a training: a line for each look, with its numbers."""

    def told(look: Look, left: int) -> Callable[[int], None]:
        trained = "" if look.training is None else f"loss {look.training:.4f}, "
        held = f"held-out error {look.held_out:.4f}, agreement {look.agreement:.4f}"
        return start.step(f"training ({trained}{held})", left)

    return told


def _check_stored(trained: float, found: float, path: Path) -> None:
    """Held-out distances of the graph in training and of the file in LiteRT's interpreter."""
    most = _ROUNDED * trained + _NOISE
    if not abs(found - trained) <= most:  # NaN is a disagreement too
        raise BuildError(
            "the stored model answers otherwise than the trained one",
            where=path.name,
            expected=f"a held-out error of {trained:.4g}, within {most:.2g}",
            got=f"{found:.4g}",
            remedy="report it: rounding does not explain it",
        )


def _plan(scheme: Scheme) -> Plan:
    return Plan(samples=Recovery.of(scheme).samples, seed=scheme.seed)
