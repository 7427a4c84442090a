"""Array of neurons in a language's store: statistics of every block, one file an utterance.

It lies beside the states and has the same number format. An utterance is stored if both its files exist.
"""

import math

import numpy as np

from isogloss.engine.runtime.zarr_group import Array, Coordinate
from isogloss.engine.whisper.neurons import STATISTICS

NAME = "neurons"
AXES = ("utterance", "block", "statistic", "neuron")
Sizes = tuple[int, int]
"""Blocks, and neurons of a block."""


def array(utterances: int, sizes: Sizes, dtype: str) -> Array:
    """The array of so many utterances."""
    blocks, neurons = sizes
    shape = (utterances, blocks, len(STATISTICS), neurons)
    attributes = {
        "long_name": "activation of the feed-forward layer, over an utterance's frames",
        "units": "1",
    }
    return Array(
        name=NAME,
        axes=AXES,
        shape=shape,
        chunk=(1, *shape[1:]),
        inner=None,
        dtype=dtype,
        attributes=attributes,
    )


def coordinates(blocks: int) -> list[Coordinate]:
    """Labels of blocks, the first is 1 as the state after it, and of statistics."""
    return [
        Coordinate(name="block", axis="block", values=[str(block + 1) for block in range(blocks)]),
        Coordinate(name="statistic", axis="statistic", values=list(STATISTICS)),
    ]


def file_bytes(sizes: Sizes, dtype: str) -> int:
    """Size of an utterance's file: its values, and a CRC-32C."""
    return math.prod(sizes) * len(STATISTICS) * np.dtype(dtype).itemsize + 4
