"""Weights that every format stores and must give back."""

import numpy as np
import pytest

from isogloss.engine.checkpoints import dimensions


@pytest.fixture
def tensors(tiny):
    """Tensors of a model by canonical name; eighths, which every float type holds."""
    draw = np.random.default_rng(0)
    shapes = dimensions.tensor_shapes(tiny)
    return {name: np.float32(draw.integers(-9, 10, shape) / 8) for name, shape in shapes.items()}


@pytest.fixture
def assert_holds(tiny):
    """Function that compares an opened checkpoint with such tensors."""

    def compare(weights, tensors):
        assert weights.dimensions == tiny
        assert weights.tensors.keys() == tensors.keys() == dimensions.tensor_shapes(tiny).keys()
        for name, stored in weights.tensors.items():
            values = stored.read()
            assert values.dtype == np.float32
            np.testing.assert_array_equal(values, tensors[name].astype(np.float32), name)

    return compare
