"""The inner loops of transport on the CPU, written as LLVM vectors: its kernel, and both sides' scalings.

Rows are padded to whole vectors, so that no loop has a rest of single cells. Arrays are flat float32; nothing
checks bounds. Costs: a cell of the kernel some 20 instructions once, an iteration two loads and two fused
multiply-adds a cell.

Source of the exponential: the reduction and polynomial of Cephes' expf (S. L. Moshier), by Taylor's terms.
"""

from collections.abc import Sequence

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from isogloss.kernels.cpu import llvm_builder as vec
from isogloss.kernels.cpu.llvm_builder import LANES

ROWS = 4  # that share a load of the other side's scalings; more aren't faster

_LOG2_E = 1 / np.log(2)
_LN_2 = (
    355 / 512,
    np.log(2) - 355 / 512,
)  # the first has few bits, so its product with a small integer is exact
_TAYLOR = (
    1 / 5040,
    1 / 720,
    1 / 120,
    1 / 24,
    1 / 6,
    0.5,
    1.0,
    1.0,
)  # below 3e-8 of the sum, for |x| < ln 2 / 2
_ROUNDER = 1.5 * 2.0**23  # added to a float32, it leaves the nearest integer in the lowest bits


@intrinsic
def exponentials(typing, source, rate, out, blocks):  # noqa: ANN001, ANN201 Numba's own types
    """out[k] = exp(rate * source[k]) for k < blocks * LANES, to 2e-7 of itself; NaN of NaN.

    Exponents must lie in [-87, 88].
    """
    kinds = [vec.FLOATS, types.float32, vec.FLOATS, vec.INT]
    return vec.routine("isogloss_exponentials", kinds, _emit_exponentials)


@intrinsic
def scale_rows(typing, kernel, v, u, sums, stride, rows, blocks):  # noqa: ANN001, ANN201
    """u[r] = 1 / sum over k of kernel[r * stride + k] * v[k]; sums[k] += the sum over r of u[r] * kernel[..].

    For k < blocks * LANES and r < rows, of which there may be 1 to ROWS. The rows are read twice, the second
    time from the first cache.
    """
    kinds = [*[vec.FLOATS] * 4, *[vec.INT] * 3]
    return vec.routine("isogloss_scale_rows", kinds, _emit_scale_rows)


@intrinsic
def scale_columns(typing, sums, v, blocks):  # noqa: ANN001, ANN201
    """v[k] = the smallest of all sums / sums[k], so that the largest is 1: 0 where the sum is infinite."""
    return vec.routine("isogloss_scale_columns", [vec.FLOATS, vec.FLOATS, vec.INT], _emit_scale_columns)


def _emit_exponentials(builder: ir.IRBuilder, given: Sequence[ir.Value]) -> None:
    source, rate, out, blocks = given
    factor = vec.everywhere(builder, rate)
    with vec.Loop(builder, blocks, []) as loop:
        # exp(x) = 2^k exp(rest), k = round(x / ln 2): the rest is so small that few terms are enough.
        x = vec.made(builder.fmul(vec.load(builder, source, loop.index), factor))
        shifted = vec.add_product(builder, x, _constant(_LOG2_E), _constant(_ROUNDER))
        twos = vec.made(builder.fsub(shifted, _constant(_ROUNDER)))
        rest = x
        # ln 2 in two parts: k times the first is exact, and the second adds the bits that it lacks.
        for part in _LN_2:
            rest = vec.add_product(builder, twos, _constant(-part), rest)
        total = _constant(_TAYLOR[0])
        # Horner's scheme: one fused multiply-add a term.
        for coefficient in _TAYLOR[1:]:
            total = vec.add_product(builder, total, rest, _constant(coefficient))
        # The lowest bits of `shifted` hold the power of two, nine places from a float's exponent.
        power = builder.shl(builder.bitcast(shifted, vec.INT_VECTOR), vec.ints(23))
        scaled = builder.bitcast(builder.add(builder.bitcast(total, vec.INT_VECTOR), power), vec.VECTOR)
        # Of a NaN those bits may be anything.
        is_number = builder.fcmp_ordered("ord", x, x)
        vec.store(builder, vec.made(builder.select(is_number, scaled, x)), out, loop.index)
        loop.carry([])


def _emit_scale_rows(builder: ir.IRBuilder, given: Sequence[ir.Value]) -> None:
    kernel, v, u, sums, stride, rows, blocks = given
    # Unrolled by the number of rows, so that their sums stay in registers.
    for count in vec.cases(builder, rows, range(1, ROWS + 1)):
        below = [
            builder.gep(kernel, [builder.mul(stride, vec.whole(r))], source_etype=vec.F32)
            for r in range(count)
        ]
        with vec.Loop(builder, blocks, [vec.ZERO] * count) as loop:
            scaling = vec.load(builder, v, loop.index)
            pairs = zip(below, loop.carried, strict=True)
            loop.carry(
                [vec.add_product(builder, vec.load(builder, row, loop.index), scaling, t) for row, t in pairs]
            )
        # The second pass needs the sums, and finds the rows in the first cache.
        scalings = []
        for r, total in enumerate(loop.results):
            one = builder.fdiv(ir.Constant(vec.F32, 1.0), _total(builder, total))
            builder.store(one, builder.gep(u, [vec.whole(r)], source_etype=vec.F32))
            scalings.append(vec.everywhere(builder, vec.made(one)))
        with vec.Loop(builder, blocks, []) as loop:
            total = vec.load(builder, sums, loop.index)
            for row, scaling in zip(below, scalings, strict=True):
                total = vec.add_product(builder, vec.load(builder, row, loop.index), scaling, total)
            vec.store(builder, total, sums, loop.index)
            loop.carry([])


def _emit_scale_columns(builder: ir.IRBuilder, given: Sequence[ir.Value]) -> None:
    sums, v, blocks = given
    with vec.Loop(builder, blocks, [_constant(np.inf)]) as loop:
        # Where a comparison meets NaN, `choose` takes its second vector.
        loop.carry([vec.choose(builder, "<", loop.carried[0], vec.load(builder, sums, loop.index))])
    (least,) = loop.results
    for step in _HALVES:
        least = vec.choose(builder, "<", least, vec.shuffle(builder, least, least, step))
    with vec.Loop(builder, blocks, []) as loop:
        scaled = builder.fdiv(least, vec.load(builder, sums, loop.index))
        vec.store(builder, vec.made(scaled), v, loop.index)
        loop.carry([])


# Lanes exchanged with those 8, 4, 2 and 1 away: after four steps each lane has met all others.
_HALVES = [[lane ^ step for lane in range(LANES)] for step in (8, 4, 2, 1)]


def _total(builder: ir.IRBuilder, vector: ir.Value) -> ir.Value:
    """Sum of a vector's lanes."""
    for step in _HALVES:
        vector = vec.made(builder.fadd(vector, vec.shuffle(builder, vector, vector, step)))
    return vec.made(builder.extract_element(vector, vec.whole(0)))


def _constant(value: float) -> ir.Constant:
    return ir.Constant(vec.VECTOR, [float(np.float32(value))] * LANES)
