"""Diagonal of the Fisher information: how much each parameter matters to what the decoder knew.

F = mean over examples of the squared gradient of the log-likelihood of the example's text and its end. With
labels "model" each token is drawn from the decoder's own distribution after the true tokens before it, which
is the Fisher information at that text; with "labels" it is the text itself, the empirical one (Kunstner et
al., arXiv 1905.12558, on the difference). Cost: a forward and a backward pass of each example by itself.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, UInt32

from isogloss.engine.runtime.devices import Tree, summed
from isogloss.engine.training import loss
from isogloss.engine.training.loss import TaughtRows
from isogloss.engine.training.trainable import Trainable, Values
from isogloss.engine.training.training_step import Constants


def squared_gradients(log_likelihood: Callable[..., Float[Array, ""]], trained: Values, rows: Tree) -> Values:
    """Sum over rows of the squared gradient of each row's log-likelihood.

    Args:
      log_likelihood: function of the parameters and of one row.
      trained: the parameters.
      rows: tree of arrays with the rows first.
    """

    def add(total: Values, row: Tree) -> tuple[Values, None]:
        gradient = jax.grad(log_likelihood)(trained, row)
        return jax.tree.map(lambda t, g: t + jnp.square(g), total, gradient), None

    # One row after the other: a gradient of each row at once would take rows times the parameters.
    return jax.lax.scan(add, jax.tree.map(jnp.zeros_like, trained), rows)[0]


def drawn_labels(logits: Float[Array, "B T V"], keys: UInt32[Array, "B 2"]) -> jax.Array:
    """A token at each position, drawn from its logits; a key for each row."""
    return jax.vmap(jax.random.categorical)(keys, logits).astype(jnp.int32)


def information(
    parts: Trainable, labels: str
) -> Callable[[Values, Constants, tuple[TaughtRows, Array]], Values]:
    """Program that sums the squared gradients of a batch over its rows and the devices.

    Rows come with the data of a random key each. A row whose weights are 0 adds nothing.
    """

    def log_likelihood(constants: Constants) -> Callable[..., Float[Array, ""]]:
        def of(trained: Values, row: tuple[TaughtRows, Array]) -> Float[Array, ""]:
            one, key = jax.tree.map(lambda a: a[None], row)
            logits = loss.token_logits(parts.decoder(trained, constants.frozen), one)
            targets = one.targets
            if labels == "model":
                targets = drawn_labels(jax.lax.stop_gradient(logits), key)
            return -loss.negative_log_likelihood(logits, targets, one.weights)[0]

        return of

    def measure(trained: Values, constants: Constants, rows: tuple[TaughtRows, Array]) -> Values:
        return summed(squared_gradients(log_likelihood(constants), trained, rows))

    return measure
