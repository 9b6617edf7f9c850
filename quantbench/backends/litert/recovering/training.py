"""Weights trained until what is rounded says what the float model says.

The loss is the distance from the float model's own outputs, which needs no labels (Hinton et al.,
"Distilling the Knowledge in a Neural Network", 2015; of rounded students Polino et al., "Model
Compression via Distillation and Quantization", 2018), and from what its convolutions write inside
(Romero et al., "FitNets: Hints for Thin Deep Nets", 2015), so that layers learn at once.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import numpy as np

from quantbench.backends.litert.recovering.distance import Distance, agreement, apart_inside, paired
from quantbench.diagnosis.recovering.checkpoint import Look, State

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from numpy.typing import NDArray

    from quantbench.backends.litert.recovering.executor import Executor
    from quantbench.backends.litert.recovering.plan import Plan

    Arrays = list[NDArray[np.float32]]

_NOTHING = 1e-8  # beside the mean square of a gradient


class Training:
    """A graph that rounds, beside the float graph that it learns from.

    Attributes:
        trained: the constants that move.
        shares: TensorFlow's variables, of each of them.
        batched: whether several samples can go through at once.
        meant_of: answers of the float graph to [samples, ...], by output name.
        said_of: those of the graph that rounds.
        held_meant: the float graph's, to the samples that are held out.
        distance: of answers from the float graph's.
    """

    def __init__(
        self, teacher: Executor, student: Executor, held: Sequence[NDArray[Any]], batch: int
    ) -> None:
        """Take both, as their files are.

        Args:
            teacher: the float model.
            student: the same, quantized.
            held: samples [1, ...] that are never trained on.
            batch: samples that go through at once at most.
        """
        import tensorflow as tf

        self._teacher, self._student = teacher, student
        self.trained, self.batched = student.trained, teacher.batched and student.batched
        self._at_once = batch if self.batched else 1
        spec = tf.TensorSpec((None, *held[0].shape[1:]), tf.float32)
        self.meant_of = tf.function(self._answers_of_teacher, input_signature=[spec])
        self.said_of = tf.function(self._answers_of_student, input_signature=[spec])
        self._learn = tf.function(
            self._gradients, input_signature=[spec, tf.TensorSpec((), tf.float32)]
        )
        self._move = tf.function(self._moved)
        self.shares = [tf.Variable(each.start) for each in student.trained]
        self._means = [tf.Variable(tf.zeros_like(each)) for each in self.shares]
        self._squares = [tf.Variable(tf.zeros_like(each)) for each in self.shares]
        self._pairs = paired(student.weighted, teacher.weighted)
        self._held = list(held)
        self.held_meant = self.float_answers(self._held)
        self.distance = Distance([self.held_meant])

    def run(
        self,
        plan: Plan,
        samples: Sequence[NDArray[Any]],
        kept: Path | None = None,
        told: Callable[[Look, int], Callable[[int], None]] = lambda look, steps: lambda _: None,  # noqa: ARG005
    ) -> tuple[Arrays, list[Look]]:
        """Train; returns the shares of the best look, and all looks.

        Args:
            plan: what it is made of.
            samples: [1, ...] to train on.
            kept: the checkpoint file, which is gone on from where there is one.
            told: is told each look and how many steps are left, and gives what is called with the
                number of steps done since.
        """
        batches = plan.batches(len(samples))
        began = time.perf_counter()
        state, best, before = self._begun(kept)
        advance = told(state.curve[-1], len(batches) - state.step) if state.curve else None
        while not plan.is_over(state, len(batches)):
            losses: list[float] = []
            for number in range(state.step, plan.next_look(state, len(batches))):
                chosen = [samples[i] for i in batches[number]]
                losses.append(self._step(chosen, plan, number, len(batches)))
                state.step += 1
                if advance is not None:
                    advance(1)
            look = Look(
                step=state.step,
                seen=state.step * plan.batch,
                training=sum(losses) / len(losses) if losses else None,
                seconds=round(before + time.perf_counter() - began, 3),
                **self.held_out(),
            )
            if state.add(look):
                best = self.values()
            if kept is not None:
                state.save(kept, self._arrays(best))
            advance = told(look, len(batches) - state.step)
        return best, state.curve

    def held_out(self, said: Mapping[str, NDArray[Any]] | None = None) -> dict[str, float]:
        """Distance and agreement on the samples that are held out.

        Of the graph as it is, or of others' answers, [samples, ...] by output name.
        """
        said = self.answers(self._held) if said is None else said
        distances = self.distance.of_each(said, self.held_meant).numpy()
        agreed = agreement(said, self.held_meant)
        return {"held_out": float(distances.mean(dtype=np.float64)), "agreement": agreed}

    def answers(self, samples: Sequence[NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """Of the graph that rounds, as it is, [samples, ...] by output name."""
        return self._together(self.said_of, samples)

    def float_answers(self, samples: Sequence[NDArray[Any]]) -> dict[str, NDArray[np.float32]]:
        """Of the float graph."""
        return self._together(self.meant_of, samples)

    def values(self) -> Arrays:
        """The shares as they are."""
        return [each.numpy() for each in self.shares]

    def put(self, values: Arrays) -> None:
        """Other shares."""
        for variable, each in zip(self.shares, values, strict=True):
            variable.assign(each)

    def _together(self, function: Any, samples: Sequence[NDArray[Any]]) -> dict[str, Any]:
        found = [function(part) for part in self._parts(samples)]
        return {name: np.concatenate([each[name].numpy() for each in found]) for name in found[0]}

    def _parts(self, samples: Sequence[NDArray[Any]]) -> Iterator[NDArray[np.float32]]:
        """As many samples as can go through at once."""
        for first in range(0, len(samples), self._at_once):
            yield np.concatenate(samples[first : first + self._at_once]).astype(np.float32)

    def _begun(self, kept: Path | None) -> tuple[State, Arrays, float]:
        """What a checkpoint says, else the start: state, best shares, seconds spent before."""
        found = State.load(kept) if kept is not None else None
        if found is None:
            self.put([each.start for each in self.trained])
            return State(), self.values(), 0.0
        state, arrays = found
        named = {"now": self.shares, "first": self._means, "second": self._squares}
        for word, variables in named.items():
            for number, variable in enumerate(variables):
                variable.assign(arrays[f"{word}.{number}"])
        best = [arrays[f"best.{number}"] for number in range(len(self.shares))]
        return state, best, state.curve[-1].seconds

    def _arrays(self, best: Arrays) -> dict[str, NDArray[Any]]:
        named = {"now": self.shares, "first": self._means, "second": self._squares}
        found = {f"best.{number}": each for number, each in enumerate(best)}
        for word, variables in named.items():
            found |= {f"{word}.{number}": each.numpy() for number, each in enumerate(variables)}
        return found

    def _step(self, samples: Sequence[NDArray[Any]], plan: Plan, step: int, steps: int) -> float:
        """One step of Adam; returns the mean distance before it."""
        import tensorflow as tf

        loss, gradients = 0.0, None
        for part in self._parts(samples):
            found, slopes = self._learn(part, plan.inside)
            loss += float(found)
            gradients = (
                slopes
                if gradients is None
                else [a + b for a, b in zip(gradients, slopes, strict=True)]
            )
        first, second = plan.moments
        rate = plan.rate_at(step, steps) / (1 - first ** (step + 1))
        scaled = [each / len(samples) for each in gradients or ()]
        rounded = plan.rounded * rate if step < plan.settled * steps else 0.0
        seen = 1 - second ** (step + 1)
        settings = tf.constant((rate, rounded, first, second, seen), tf.float32)
        self._move(scaled, settings)
        return loss / len(samples)

    def _answers_of_teacher(self, samples: Any) -> Any:
        return self._teacher.outputs(self._teacher(samples))

    def _answers_of_student(self, samples: Any) -> Any:
        values = [each.value() for each in self.shares]
        return self._student.outputs(self._student(samples, values))

    def _gradients(self, samples: Any, inside: Any) -> Any:
        """Sum of the samples' distances, and the slopes of the loss, which looks inside, too."""
        import tensorflow as tf

        meant = self._teacher(samples)
        with tf.GradientTape() as tape:
            said = self._student(samples, [each.value() for each in self.shares])
            outputs = self._student.outputs(said), self._teacher.outputs(meant)
            loss = distance = tf.reduce_sum(self.distance.loss_of_each(*outputs))
            if self._pairs:
                loss += inside * tf.reduce_sum(apart_inside(said, meant, self._pairs))
        zero = tf.UnconnectedGradients.ZERO
        return distance, tape.gradient(loss, self.shares, unconnected_gradients=zero)

    def _moved(self, gradients: Any, settings: Any) -> None:
        """Adam's step; shares of what is rounded stay between -1 and 1."""
        import tensorflow as tf

        rate, rounded, first, second, seen = tf.unstack(settings)
        lists = zip(self.shares, self._means, self._squares, gradients, strict=True)
        for (share, mean, square, slope), each in zip(lists, self.trained, strict=True):
            mean.assign(first * mean + (1 - first) * slope)
            square.assign(second * square + (1 - second) * tf.square(slope))
            moved = share - (rounded if each.levels else rate) * mean / (
                tf.sqrt(square / seen) + _NOTHING
            )
            share.assign(tf.clip_by_value(moved, -1.0, 1.0) if each.levels else moved)
