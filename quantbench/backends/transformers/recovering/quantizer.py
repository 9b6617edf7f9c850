"""Schemes `..._lora16` and `..._eora16`: a quantized checkpoint with adapters beside it."""

from __future__ import annotations

import shutil
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, NamedTuple

from quantbench.backends.transformers.diagnosis.layers import FloatModel
from quantbench.backends.transformers.recovering import adapters
from quantbench.backends.transformers.recovering.eigenspace import eigenspace_adapters
from quantbench.backends.transformers.recovering.names import Recovery
from quantbench.backends.transformers.recovering.plan import Plan
from quantbench.backends.transformers.recovering.training import Training
from quantbench.backends.transformers.recovering.unpacked import unpacked_model
from quantbench.diagnosis.recovering.draws import drawn_as
from quantbench.errors import BuildError
from quantbench.measure.devices import float_type

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from quantbench.data.prompts import Prompt
    from quantbench.diagnosis.recovering.checkpoint import Look
    from quantbench.protocols import Start
    from quantbench.study import Scheme

_LISTENED = 32  # passages that the inputs of layers are taken from, where adapters start
_FEWEST = 8
_ROUNDED, _NOISE = 0.1, 0.005  # of a divergence, by adapters in bfloat16: a share, and nats


class RecoveringQuantizer:
    """Adapters on the frozen layers of another scheme's artifact, trained or computed."""

    tools = ("gptqmodel", "torch", "transformers")
    version = 1
    calibrated = True
    most = 5000  # passages; a training takes as many of them as its tokens need

    def base(self, scheme: Scheme) -> Scheme:
        """The scheme whose artifact gets the adapters, with this one's draw of calibration."""
        return drawn_as(scheme, Recovery.of(scheme).base)

    def settings(self, scheme: Scheme) -> Mapping[str, Any]:
        """All that decides the result besides samples: it is part of the artifact's key."""
        recovery = Recovery.of(scheme)
        started = {"rank": recovery.rank, "listened": _LISTENED}
        return {**started, **asdict(_plan(scheme))} if recovery.tokens else started

    def build(
        self,
        float_model: Path,
        scheme: Scheme,
        samples: Sequence[Prompt],
        folder: Path,
        start: Start,
    ) -> Mapping[str, Any]:
        """Copy the base's files, and put adapters beside them.

        Adapters start where EoRA leaves them, and are trained on the model's own divergence.

        Raises:
            BuildError: there are too few samples, or what was stored is not what was trained.
        """
        if len(samples) < _FEWEST:
            raise BuildError(
                f"{scheme.name} has too few passages to learn from",
                expected=f"at least {_FEWEST} of the calibration split that calibrated nothing",
                got=len(samples),
            )
        rank, plan = Recovery.of(scheme).rank, _plan(scheme)
        held, others = plan.divided(samples)
        student = _Student.load(start.base)
        begun = student.eigenspace(float_model, others[:_LISTENED], rank, start)
        training = student.beside(float_model, begun, held)
        before = training.held_out(student.nothing(begun))
        found: adapters.Tensors = begun
        curve: list[Look] = []
        if plan.tokens:
            advance = start.step("training", len(plan.batches(others)))
            found, curve = training.run(plan, others, start.kept, advance)
        shutil.copytree(start.base, folder, dirs_exist_ok=True)
        trained = training.held_out(found)
        adapters.write(found, folder)
        # Not what the training said at last: what was stored is rounded.
        after = training.held_out(adapters.read(folder))
        _check_stored(trained["held_out"], after["held_out"], folder)
        return {
            "adapter_rank": rank,
            "adapter_bytes": adapters.stored_bytes(folder),
            "held_out_passages": len(held),
            "held_out_before": before,
            "held_out_after": after,
            "trained_on": student.device,
            **({"learning_curve": [look.as_fact("tokens") for look in curve]} if curve else {}),
        }


class _Student(NamedTuple):
    """A quantized model, unpacked, in the float type that its device multiplies fast.

    Attributes:
        model: transformers'.
        weights: of the quantized layers, [outputs, inputs].
        device: torch's.
    """

    model: Any
    weights: Mapping[str, Any]
    device: str

    @classmethod
    def load(cls, folder: Path) -> _Student:
        import torch

        device = "cuda" if torch.cuda.is_available() else "cpu"
        model, names = unpacked_model(folder, getattr(torch, float_type(device)), device)
        modules = dict(model.named_modules())
        return cls(model, {name: modules[name].weight.detach() for name in names}, device)

    def eigenspace(
        self, float_model: Path, prompts: Sequence[Prompt], rank: int, start: Start
    ) -> adapters.Tensors:
        """Adapters that are computed and not trained."""
        advance = start.step("where adapters start", len(self.weights))
        model = FloatModel.load(float_model, list(self.weights))
        return eigenspace_adapters(model, self.weights, prompts, rank, advance)

    def beside(
        self, float_model: Path, begun: adapters.Tensors, held: Sequence[Prompt]
    ) -> Training:
        """Its training by the float model, in the same float type."""
        teacher = FloatModel.load(float_model, list(self.weights), float_type(self.device)).model
        return Training(teacher, self.model, begun, held)

    @staticmethod
    def nothing(like: adapters.Tensors) -> adapters.Tensors:
        """Adapters that add nothing."""
        return {name: (down, up * 0) for name, (down, up) in like.items()}


def _check_stored(trained: float, stored: float, folder: Path) -> None:
    """Held-out divergences of the adapters in memory and of those in the files, in nats."""
    most = _ROUNDED * trained + _NOISE
    if not abs(stored - trained) <= most:  # NaN is a disagreement too
        raise BuildError(
            "the stored adapters answer otherwise than those that were trained",
            where=folder.name,
            expected=f"a held-out divergence of {trained:.4g} nats, within {most:.2g}",
            got=f"{stored:.4g}",
            remedy="report it: rounding to bfloat16 does not explain it",
        )


def _plan(scheme: Scheme) -> Plan:
    return Plan(tokens=Recovery.of(scheme).tokens, seed=scheme.seed)
