"""One step of training, as a program that all devices run together, and the measurement of the loss.

AdamW (Loshchilov and Hutter, arXiv 1711.05101) after clipping the gradient to norm 1; the learning rate rises
linearly and falls as half a cosine. Gradients of the devices' rows are summed and divided by the tokens of
the whole batch, so the number of devices changes the order of additions only.

A penalty isn't part of that gradient: Adam divides a gradient by its own size, in which a large factor
cancels. It is minimised after the step, by itself and in closed form (`drawn_back`).
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax
from jax.typing import ArrayLike
from jaxtyping import Array, Float, Int

from isogloss.engine.runtime.devices import summed
from isogloss.engine.training import loss
from isogloss.engine.training.loss import TaughtRows
from isogloss.engine.training.trainable import DOWN, UP, Trainable, Values

CLIP = 1.0
_MOMENT, _EPSILON = 0.999, 1e-8  # AdamW's: decay of the second moment, what is added to its root


class TrainingState(NamedTuple):
    """All that a step changes."""

    trained: Values
    optimizer: optax.OptState
    step: Int[Array, ""]


class Constants(NamedTuple):
    """All that no step changes; without a penalty that needs them, `start` and `fisher` are empty."""

    frozen: Values
    start: Values
    fisher: Values


class StepFigures(NamedTuple):
    """Figures of a step, before it changed the parameters."""

    loss: Float[Array, ""]  # nats per token of the batch
    penalty: Float[Array, ""]  # in nats
    gradient_norm: Float[Array, ""]  # of the loss, before clipping


@dataclasses.dataclass(frozen=True, kw_only=True)
class Schedule:
    """Course of a run.

    Attributes:
      steps: of the run.
      warmup: steps in which the learning rate rises from 0.
      learning_rate: largest.
      weight_decay: of matrices.
      ewc: factor of the penalty that the Fisher information weighs; 0 is none.
      anchor: factor of the unweighted penalty; 0 is none.
    """

    steps: int
    warmup: int
    learning_rate: float
    weight_decay: float
    ewc: float
    anchor: float

    def rate(self, step: ArrayLike) -> Float[Array, ""]:
        """Learning rate of a step, from 0; neither the first nor the last has rate 0."""
        at = jnp.asarray(step, jnp.float32)
        rise = (at + 1) / (self.warmup + 1)
        fall = 0.5 * (1 + jnp.cos(jnp.pi * (at - self.warmup) / max(1, self.steps - self.warmup)))
        return self.learning_rate * jnp.where(at < self.warmup, rise, fall)

    def optimizer(self) -> optax.GradientTransformation:
        """AdamW with clipping; biases, norms, positions and embedding don't decay."""
        return optax.chain(
            optax.stateless(clipped),
            optax.adamw(self.rate, b2=_MOMENT, eps=_EPSILON, weight_decay=self.weight_decay, mask=_decays),
        )


def clipped(gradient: optax.Updates, _: optax.Params | None) -> optax.Updates:
    """Gradient of norm CLIP at most; a factor, because XLA would keep quotients in memory."""
    factor = _clipping(optax.tree.norm(gradient))
    return jax.tree.map(lambda value: value * factor, gradient)


def _clipping(norm: Float[Array, ""]) -> Float[Array, ""]:
    return jnp.minimum(1.0, CLIP / norm)


def _decays(trained: Values) -> dict[str, bool]:
    return {path: path.endswith(("kernel", DOWN, UP)) for path in trained}


def initial(trained: Values, schedule: Schedule) -> TrainingState:
    """State before the first step."""
    return TrainingState(trained, schedule.optimizer().init(trained), jnp.zeros((), jnp.int32))


def training_step(
    parts: Trainable, schedule: Schedule
) -> Callable[[TrainingState, Constants, TaughtRows], tuple[TrainingState, StepFigures]]:
    """Program of one step; a penalty of factor 0 isn't in it."""
    optimizer = schedule.optimizer()

    def step(
        state: TrainingState, constants: Constants, rows: TaughtRows
    ) -> tuple[TrainingState, StepFigures]:
        count = summed(rows.weights.sum())

        def share(trained: Values) -> Float[Array, ""]:
            total, _ = loss.row_losses(parts.decoder(trained, constants.frozen), rows)
            return total.sum() / count

        value, gradient = jax.value_and_grad(share)(state.trained)
        value, gradient = summed((value, gradient))
        norm = optax.tree.norm(gradient)
        figures = StepFigures(value, _penalty(state.trained, constants, schedule), norm)
        with jax.numpy_dtype_promotion("standard"):  # Optax multiplies floats by its count of steps
            change, moments = optimizer.update(gradient, state.optimizer, state.trained)
            moment = optax.tree.bias_correction(optax.tree.get(moments, "nu"), _MOMENT, state.step + 1)
        trained: Values = jax.tree.map(jnp.add, state.trained, change)
        if schedule.ewc or schedule.anchor:
            rate = schedule.rate(state.step) * _clipping(norm)
            trained = drawn_back(trained, constants, schedule, moment, rate)
        return TrainingState(trained, moments, state.step + 1), figures

    return step


def drawn_back(
    trained: Values, constants: Constants, schedule: Schedule, moment: Values, rate: Float[Array, ""]
) -> Values:
    """Parameters that minimise h / (2 rate) (theta - trained)^2 + penalty, with h = sqrt(moment) + epsilon.

    That is the proximal step in Adam's metric, as AdamW's decay is to first order (Zhuang et al., arXiv
    2202.00089): a parameter goes the share rate w / (h + rate w) of its way back to the start, where w is its
    weight in the penalty. A huge weight leaves it at the start, one of 0 changes no bit.

    Args:
      trained: after Adam's step.
      constants: start of the run, and the Fisher information.
      schedule: factors of the penalty.
      moment: Adam's second moment of the clipped gradient, without its bias.
      rate: learning rate, times what clipping left of the gradient: loss and penalty keep their proportion.
    """
    found = {}
    for path, value in trained.items():
        weight = schedule.anchor + (schedule.ewc * constants.fisher[path] if schedule.ewc else 0.0)
        # Divided so, a weight that overflows has the share 1, and one of 0 the share 0.
        share = 1 / (1 + (jnp.sqrt(moment[path]) + _EPSILON) / (rate * weight))
        found[path] = value - share * (value - constants.start[path])
    return found


def _penalty(trained: Values, constants: Constants, schedule: Schedule) -> Float[Array, ""]:
    total = jnp.zeros((), jnp.float32)
    if schedule.ewc:
        total += schedule.ewc * loss.quadratic(trained, constants.start, constants.fisher)
    if schedule.anchor:
        total += schedule.anchor * loss.quadratic(trained, constants.start)
    return total


def measurement(
    parts: Trainable,
) -> Callable[[TrainingState, Constants, TaughtRows], tuple[Float[Array, ""], Float[Array, ""]]]:
    """Program that returns the negative log-likelihood of a batch in nats, and its number of tokens."""

    def measure(
        state: TrainingState, constants: Constants, rows: TaughtRows
    ) -> tuple[Float[Array, ""], Float[Array, ""]]:
        total, count = loss.row_losses(parts.decoder(state.trained, constants.frozen), rows)
        return summed((total.sum(), count.sum()))

    return measure
