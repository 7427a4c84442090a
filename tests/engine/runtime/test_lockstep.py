"""engine.runtime.devices.Lockstep: one state on all devices, changed in place, the caller's left alone."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from isogloss.engine.runtime import devices
from isogloss.engine.runtime.devices import Lockstep, first, summed

SIZE = 1 << 18


def step(state, constants, rows):
    """A moment and a value, each of which is changed by the rows."""
    total = summed(rows.sum()) * constants
    moment = 0.5 * state["moment"] + total
    return {"value": state["value"] - total, "moment": moment}, moment.sum()


def given():
    return {"value": np.zeros(SIZE, np.float32), "moment": jnp.ones(SIZE, jnp.float32)}


@pytest.mark.parametrize("count", [1, 2, 8])
def test_steps_on_some_devices(count):
    lockstep, rows = Lockstep(given(), np.float32(0.25), count), np.ones((8, 2), np.float32)
    advance = lockstep.stepping(step)
    figures = [float(first(advance(rows))) for _ in range(2)]
    assert figures == [4.5 * SIZE, 6.25 * SIZE]  # 16 rows' sum times 0.25, plus half of the moment
    assert lockstep.state()["value"] == pytest.approx(-8.0)


@pytest.mark.parametrize("count", [1, 2])
def test_the_callers_arrays_stay_as_they_are(count):
    state, rows = given(), np.ones((8, 2), np.float32)
    lockstep = Lockstep(state, np.float32(0.25), count)
    advance = lockstep.stepping(step)
    advance(rows)
    once = lockstep.state()
    lockstep.replace(state)
    advance(rows)
    for name, value in lockstep.state().items():
        assert (value == once[name]).all()
    assert (state["value"] == 0).all()
    assert (state["moment"] == 1).all()


def aligned(size):
    """Zeros at an address that JAX would take over without a copy."""
    wide = np.zeros(size + 64, np.float32)
    first = -wide.ctypes.data // 4 % 64
    return wide[first : first + size]


@pytest.mark.parametrize("count", [1, 2])
def test_the_devices_have_copies(count):
    state, constants = {"value": aligned(SIZE), "moment": aligned(SIZE)}, aligned(1)
    lockstep = Lockstep(state, constants, count)
    for array in (*state.values(), constants):
        array[:] = 7.0
    measure = lockstep.measuring(lambda state, constants, rows: (state["value"].max(), constants.max()))
    assert [float(value) for value in first(measure(np.ones((2, 1), np.float32)))] == [0.0, 0.0]


def adam(state, _, rows):
    """Adam's moments of a gradient that is a product of matrices, and the value they change."""
    gradient = summed(rows.T @ rows)
    mean = 0.9 * state["mean"] + 0.1 * gradient
    square = 0.9 * state["square"] + 0.1 * gradient * gradient
    value = state["value"] - mean / (jnp.sqrt(square) + 1e-8)
    return {"value": value, "mean": mean, "square": square}, gradient.sum()


def test_a_step_changes_the_state_in_place():
    side = 256
    matrix = jax.ShapeDtypeStruct((side, side), jnp.float32)
    state = {"value": matrix, "mean": matrix, "square": matrix}
    rows = jax.ShapeDtypeStruct((4, side), jnp.float32)
    _, used = devices.step_cost(adam, state, jax.ShapeDtypeStruct((), jnp.float32), rows)
    assert used is not None
    assert used < 5.1 * 4 * side**2, "more than the state, a gradient and its sum over devices: copies"
