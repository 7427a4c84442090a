"""Batches: which examples a step takes, and their arrays.

The order follows from the seed and the number of the step alone, so a run that goes on after a kill sees what
an undisturbed one sees. Memory: the states of a batch, rows * frames * features * 4 bytes (8 rows of base:
25 MB).
"""

import dataclasses
import functools
import itertools
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float32, Int

from isogloss.engine.activations.state_source import StateSource, Unusable
from isogloss.engine.decoding.decoder_program import text_step
from isogloss.engine.runtime.refusal import UnfinishedError
from isogloss.engine.training.examples import Example
from isogloss.engine.training.loss import TaughtRows


def order(count: int, size: int, step: int, seed: tuple[int, ...]) -> list[int]:
    """Indices below `count` of the `size` examples of a step; every pass through them is shuffled anew."""
    taken = []
    for place in range(step * size, (step + 1) * size):
        turn, at = divmod(place, count)
        taken.append(int(_shuffled(count, seed, turn)[at]))
    return taken


@functools.lru_cache(maxsize=4)  # a batch reads from two orders, each perhaps at the end of a pass
def _shuffled(count: int, seed: tuple[int, ...], turn: int) -> Int[np.ndarray, " N"]:
    return np.random.default_rng([*seed, turn]).permutation(count)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Mixture:
    """Examples of the new task and of old ones, in fixed numbers per batch.

    Attributes:
      new: examples of the task that is learnt.
      old: examples that are replayed.
      rows: of a batch.
      replayed: rows of it that are of old tasks.
      seed: of the order.
    """

    new: Sequence[Example]
    old: Sequence[Example]
    rows: int
    replayed: int
    seed: int

    def batch(self, step: int) -> list[Example]:
        """Examples of a step, from 0."""
        fresh = order(len(self.new), self.rows - self.replayed, step, (self.seed, 0))
        again = order(len(self.old), self.replayed, step, (self.seed, 1)) if self.replayed else []
        return [self.new[i] for i in fresh] + [self.old[i] for i in again]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RowReader:
    """Reader of the arrays of examples.

    Attributes:
      source: of one encoder state.
      window: frames that the decoder sees.
      norm: whether the encoder's final LayerNorm is still to be applied.
      eot: token that ends a text.
      positions: tokens that the decoder holds.
    """

    source: StateSource
    window: int
    norm: bool
    eot: int
    positions: int

    def tokens(self, examples: Sequence[Example]) -> int:
        """Number of tokens of the rows of these examples."""
        longest = max(len(example.prompt) + len(example.ids) for example in examples)
        return text_step(longest, self.positions)

    def read(self, examples: Sequence[Example], rows: int) -> TaughtRows:
        """Rows of some examples, filled up to a number of `rows` with copies of the last that have no weight.

        Raises:
          UnfinishedError: states can't be read any more.
        """
        length, count = self.tokens(examples), len(examples)
        tokens = np.full((rows, length), self.eot, np.int32)
        targets, weights = tokens.copy(), np.zeros((rows, length), np.float32)
        for row, example in enumerate(examples):
            ids = np.asarray([*example.prompt, *example.ids, self.eot], np.int32)
            tokens[row, : len(ids) - 1] = ids[:-1]
            targets[row, : len(ids) - 1] = ids[1:]
            weights[row, len(example.prompt) - 1 : len(ids) - 1] = 1
        states = self._states(examples)
        filled = np.concatenate([states, np.repeat(states[-1:], rows - count, axis=0)])
        visible, norm = np.full(rows, self.window, np.int32), np.full(rows, self.norm)
        # On the host until a step takes them; its program sees arrays of a device.
        return TaughtRows(filled, visible, norm, tokens, targets, weights)  # pyright: ignore[reportArgumentType]

    def _states(self, examples: Sequence[Example]) -> Float32[np.ndarray, "B N D"]:
        found = []
        for language, own in itertools.groupby(examples, key=lambda example: example.language):
            for made in self.source.encoded(language, [example.row for example in own]):
                if isinstance(made, Unusable):
                    raise UnfinishedError(f"{made.reason}. Training can't go on without it")
                found.append(made.states[0, : self.window])
        return np.stack(found)
