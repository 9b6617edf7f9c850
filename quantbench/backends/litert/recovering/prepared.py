"""A quantized model in the hands of a user's own trainer."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from quantbench.diagnosis.recovering.checkpoint import Look
from quantbench.errors import BuildError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from quantbench.backends.litert.recovering.plan import Plan
    from quantbench.backends.litert.recovering.training import Training


class Example(NamedTuple):
    """What a model learns from.

    Attributes:
        input: as the task prepares it, float32 [1, ...].
        sample: as the data set yields it, with its label.
    """

    input: NDArray[np.float32]
    sample: Any


class PreparedModel:
    """A model that rounds as its artifact does, for a trainer of your own.

    Attributes:
        outputs: names of the float outputs.
        trainable_variables: TensorFlow's, for a `tf.GradientTape` and any optimizer. A weight of
            integers is a share of what they can say, -1 to 1; a rate of 3e-3 for Adam is a start.
        most: samples that `model(inputs)` takes at once; None for any number.
    """

    def __init__(self, training: Training) -> None:
        """Lend what quantbench trains itself, too."""
        self._training = training
        self.outputs: tuple[str, ...] = tuple(training.held_meant)
        self.trainable_variables: list[Any] = list(training.shares)
        self.most: int | None = None if training.batched else 1

    def __call__(self, inputs: Any) -> dict[str, Any]:
        """Float outputs by name, [samples, ...], of inputs [samples, ...]; gradients go through."""
        found: dict[str, Any] = self._training.said_of(inputs)
        return found

    def float_answers(self, inputs: Any) -> dict[str, Any]:
        """What the float model says to the same inputs."""
        found: dict[str, Any] = self._training.meant_of(inputs)
        return found


def train_by(
    trainer: Callable[..., Any],
    training: Training,
    examples: Sequence[Example],
    plan: Plan,
    told: Callable[[Look, int], Callable[[int], None]],
) -> list[Look]:
    """Let a user's function train, and look at what is held out while it does; returns the looks.

    Args:
        trainer: called with a `PreparedModel`, an iterator over `Example`s and their number; it
            returns the model that it was given.
        training: the model, and what is held out.
        examples: to train on.
        plan: how many of them are shown, in which order, and how often is looked.
        told: as of `Training.run`.

    Raises:
        BuildError: the trainer raises, returns something else, or leaves values that are none.
    """
    import keras

    keras.utils.set_random_seed(plan.seed)
    name = f"{trainer.__module__}:{getattr(trainer, '__qualname__', trainer)}"
    looks = _Looks(training, plan, told)
    model = PreparedModel(training)
    try:
        returned = trainer(model, looks.shown(examples), plan.samples)
    except Exception as error:
        raise BuildError(
            "the model's trainer failed", where=name, got=f"{type(error).__name__}: {error}"
        ) from error
    if returned is not model:
        raise BuildError(
            "the model's trainer returns something else than its model",
            where=name,
            expected="the model that it was given, trained",
            got=repr(returned)[:200],
            remedy="end it by `return model`",
        )
    _check_trained(training, name)
    looks.look(plan.samples)
    return looks.curve


def _check_trained(training: Training, name: str) -> None:
    """Values are numbers, and not all as they were."""
    pairs = list(zip(training.trained, training.values(), strict=True))
    bad = [each.name for each, values in pairs if not np.isfinite(values).all()]
    if bad:
        raise BuildError(
            "the model's trainer left weights that are no numbers",
            where=name,
            got=f"{len(bad)} constants with NaN or infinity, first {bad[0]}",
            remedy="lower its learning rate, or clip its gradients",
        )
    if all(np.array_equal(each.start, values) for each, values in pairs):
        raise BuildError(
            "the model's trainer changed nothing",
            where=name,
            expected="other values of model.trainable_variables",
            remedy="apply gradients: optimizer.apply_gradients(zip(slopes, variables))",
        )


class _Looks:
    """Examples on their way to a trainer, and looks at what is held out between them."""

    def __init__(
        self, training: Training, plan: Plan, told: Callable[[Look, int], Callable[[int], None]]
    ) -> None:
        self._training, self._plan, self._told = training, plan, told
        self._began = time.perf_counter()
        self.curve: list[Look] = []

    def shown(self, examples: Sequence[Example]) -> Iterator[Example]:
        """As many as the plan says, in its order."""
        plan = self._plan
        order = [number for batch in plan.batches(len(examples)) for number in batch]
        every = max(1, plan.samples // plan.looks)
        advance: Callable[[int], None] = lambda _: None
        for place, number in enumerate(order[: plan.samples]):
            if place % every == 0:
                advance = self.look(place)
            yield examples[number]
            advance(1)

    def look(self, seen: int) -> Callable[[int], None]:
        """After so many samples."""
        seconds = round(time.perf_counter() - self._began, 3)
        found = self._training.held_out()
        self.curve.append(Look(len(self.curve), seen, None, seconds=seconds, **found))
        return self._told(self.curve[-1], self._plan.samples - seen)
