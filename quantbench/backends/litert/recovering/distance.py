"""How far answers are from the float model's: the loss of a training, and what it is judged by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from quantbench.backends.litert.graph import Op

_FLOOR = 1e-4  # of the largest variance of an output: a channel that never moves is not worth more
_NOTHING = 1e-12  # beside a sum of squares in variances
_OF_SEQUENCES = 3  # axes: samples, and in either order channels and places


class Distance:
    """The mean square error of outputs, as a share of what they vary by.

    Each channel's error counts relative to its variance and weighs as its standard deviation, so
    that neither sizes in pixels hide probabilities, nor a class that is never seen hides all
    others. Outputs weigh the same. 0 is the float model itself, 1 its mean answer.

    A detector says nearly the same at most places, and what matters at a few. So a training's loss
    is one half of this, and one half with each place weighed by how far the float model's answers
    there are from its mean answer, in standard deviations (the root of the sum of squares over
    all outputs on the same places; the idea is of Zhang and Ma, "Improve Object Detection with
    Feature-based Knowledge Distillation", 2021).
    """

    def __init__(self, answers: Sequence[Mapping[str, NDArray[np.float32]]]) -> None:
        """Learn what outputs vary by.

        Args:
            answers: of the float model to batches of samples, [samples, ...] by output name.
        """
        self._weights, self._means, self._precisions = {}, {}, {}
        for name in answers[0]:
            values = np.concatenate([each[name] for each in answers]).astype(np.float64)
            axis = channels_axis(values.shape)
            others = tuple(i for i in range(values.ndim) if i != axis)
            variance = values.var(axis=others, keepdims=True)
            variance = np.maximum(variance, max(_FLOOR * variance.max(), 1e-30))
            spread = np.sqrt(variance)
            self._weights[name] = (1 / (spread * spread.sum())).astype(np.float32)
            self._means[name] = values.mean(axis=others, keepdims=True).astype(np.float32)
            self._precisions[name] = (1 / variance).astype(np.float32)

    def of_each(self, said: Mapping[str, Any], meant: Mapping[str, Any]) -> Any:
        """Of each sample, [samples]; gradients go through."""
        import tensorflow as tf

        found = [tf.reduce_mean(each, axis=1) for each in self._by_place(said, meant).values()]
        return tf.add_n(found) / len(found)

    def loss_of_each(self, said: Mapping[str, Any], meant: Mapping[str, Any]) -> Any:
        """The loss of each sample, [samples], where places weigh by what is said there."""
        import tensorflow as tf

        salience = self._salience(meant)
        found = [
            tf.reduce_mean(each * (1 + salience[_places(meant[name])]) / 2, axis=1)
            for name, each in self._by_place(said, meant).items()
        ]
        return tf.add_n(found) / len(found)

    def _by_place(self, said: Mapping[str, Any], meant: Mapping[str, Any]) -> dict[str, Any]:
        """Errors by output name, [samples, places]."""
        import tensorflow as tf

        return {
            name: _summed(tf.square(said[name] - meant[name]) * weights)
            for name, weights in self._weights.items()
        }

    def _salience(self, meant: Mapping[str, Any]) -> dict[tuple[int, ...], Any]:
        """Weights of places, [samples, places] with mean 1, by the shape of the places."""
        import tensorflow as tf

        together: dict[tuple[int, ...], list[Any]] = {}
        for name, precisions in self._precisions.items():
            squares = tf.square(meant[name] - self._means[name]) * precisions
            together.setdefault(_places(meant[name]), []).append(_summed(squares))
        found = {}
        for shape, each in together.items():
            far = tf.sqrt(tf.add_n(each) + _NOTHING)
            found[shape] = far / tf.reduce_mean(far, axis=1, keepdims=True)
        return found


def _places(values: Any) -> tuple[int, ...]:
    """The shape of what is neither samples nor channels; () where a sample is one place."""
    axis = channels_axis(values.shape)
    return tuple(n for i, n in enumerate(values.shape) if i not in {0, axis})


def _summed(values: Any) -> Any:
    """Over channels, [samples, places]."""
    import tensorflow as tf

    summed = tf.reduce_sum(values, axis=channels_axis(values.shape))
    return tf.reshape(summed, (tf.shape(summed)[0], -1))


def agreement(said: Mapping[str, Any], meant: Mapping[str, Any]) -> float:
    """Correlation of answers with the float model's, the mean over outputs.

    Args:
        said: [samples, ...] by output name.
        meant: the float model's.
    """
    found = []
    for name, values in meant.items():
        axis = channels_axis(values.shape)
        others = tuple(i for i in range(values.ndim) if i != axis)
        a, b = (
            each.astype(np.float64) - each.mean(axis=others, keepdims=True)
            for each in (said[name], values)
        )
        product = np.sqrt((a**2).sum() * (b**2).sum())
        found.append(float((a * b).sum() / product) if product else float((a == b).all()))
    return sum(found) / len(found)


def channels_axis(shape: Sequence[int]) -> int:
    """The last, or of three the second where that is shorter: [samples, channels, places]."""
    return 1 if len(shape) == _OF_SEQUENCES and shape[1] < shape[2] else len(shape) - 1


def paired(mine: Sequence[Op], others: Sequence[Op]) -> list[tuple[int, int]]:
    """What ops with weights write, beside what the same ops of the float graph do."""
    if [op.kind for op in mine] != [op.kind for op in others]:
        return []
    return [(op.outputs[0], other.outputs[0]) for op, other in zip(mine, others, strict=True)]


def apart_inside(
    said: Mapping[int, Any], meant: Mapping[int, Any], pairs: Sequence[tuple[int, int]]
) -> Any:
    """Of each sample, the mean over tensors of their square errors as shares of their variances."""
    import tensorflow as tf

    found = []
    for mine, its in pairs:
        others = tuple(range(1, len(meant[its].shape)))
        error = tf.reduce_mean(tf.square(said[mine] - meant[its]), axis=others)
        found.append(error / (tf.math.reduce_variance(meant[its]) + 1e-12))
    return tf.add_n(found) / len(found)
