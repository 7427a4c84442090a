"""The inner loops of the CPU kernels, spelled out as LLVM vectors of sixteen floats.

Numba keeps small arrays in memory, and an accumulator in memory costs a factor of five; these
three loops keep theirs in registers. Lane l of a vector belongs to pair l of a group, and no
lane sees another: what a pair scores cannot depend on its neighbours. Nothing checks bounds.

Source: the product is the micro-kernel of Goto & van de Geijn, ACM TOMS 34(3), 2008.
"""

from collections.abc import Callable, Sequence

import llvmlite.binding
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

LANES = 16  # one register of AVX-512, two of AVX2, four of NEON
COLUMNS = 8  # frames of B in a tile: a row of the DTW table stays in registers

# (rows, panels) of the product, so that sums and operands just fit the registers: 32 of 16 floats
# with AVX-512, 16 of 8 with AVX2, 32 of 4 with NEON. Found by trying; sums are the same in all.
_HOST = llvmlite.binding.get_host_cpu_features()
ROWS, PANELS = (14, 2) if _HOST.get("avx512f", False) else (6, 1)

_FLOATS = types.Array(types.float32, 1, "C")
_F32, _I32, _I64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
_VECTOR = ir.VectorType(_F32, LANES)
_ZERO = ir.Constant(_VECTOR, [0.0] * LANES)
_Body = Callable[[ir.IRBuilder, Sequence[ir.Value]], None]


def product(rows: int, panels: int) -> Callable[..., None]:
    """Compiled-code function (a, b, c, stride, depth) -> None on flat float32 arrays.

    c[r * stride + p * LANES + l] = sum over k < depth of a[k * rows + r] times
    b[(p * depth + k) * LANES + l], one chain of fused multiply-adds in the order of k.
    """

    @intrinsic
    def kernel(typing, a, b, c, stride, depth):  # noqa: ANN001, ANN202 Numba's own types
        def body(builder: ir.IRBuilder, given: Sequence[ir.Value]) -> None:
            _emit_product(builder, given, rows, panels)

        return _routine(f"isogloss_product_{rows}_{panels}", arrays=3, integers=2, body=body)

    return kernel


@intrinsic
def raise_maxima(typing, tile, row_maxima, column_maxima, rows):  # noqa: ANN001, ANN201
    """Raise row_maxima (row, lane) and column_maxima (column, lane) to those of a tile.

    tile (row, column, lane) has COLUMNS columns. All flat float32; NaN raises nothing.
    """
    return _routine("isogloss_maxima", arrays=3, integers=1, body=_emit_maxima)


@intrinsic
def advance(typing, tile, edge, state, rows, slope):  # noqa: ANN001, ANN201
    """Run the DTW recursion down a tile (row, column, lane) of COLUMNS columns.

    The distance is the entry itself for slope 1 and 1 - entry for slope -1.

    Args:
      edge: (row, lane), sums along the cheapest paths to the column left of the tile; on return
        to the tile's last column.
      state: COLUMNS vectors, the sums in the row above, on return in the last row; one vector,
        the sum at the corner above and left; one vector to which all distances are added, so
        that a NaN among them is not lost to a minimum.
    """
    return _routine("isogloss_advance", arrays=3, integers=2, body=_emit_advance)


def _emit_product(builder: ir.IRBuilder, given: Sequence[ir.Value], rows: int, panels: int) -> None:
    a, b, c, stride, depth = given
    cells = [(r, p) for r in range(rows) for p in range(panels)]
    with _Loop(builder, depth, [_ZERO] * len(cells)) as loop:
        fma = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(_VECTOR, [_VECTOR] * 3), f"llvm.fma.v{LANES}f32"
        )
        panel = [builder.mul(depth, _int(p)) for p in range(panels)]
        right = [_load(builder, b, builder.add(at, loop.index)) for at in panel]
        left_at = builder.mul(loop.index, _int(rows))
        totals = []
        for (r, p), total in zip(cells, loop.carried, strict=True):
            if p == 0:  # loaded when needed: all at once, they would push sums out to memory
                left = _spread(builder, a, builder.add(left_at, _int(r)))
            totals.append(builder.call(fma, [left, right[p], total]))
        loop.carry(totals)
    for (r, p), total in zip(cells, loop.results, strict=True):
        row = builder.gep(c, [builder.mul(stride, _int(r))], source_etype=_F32)
        _store(builder, total, row, _int(p))


def _emit_maxima(builder: ir.IRBuilder, given: Sequence[ir.Value]) -> None:
    tile, row_maxima, column_maxima, rows = given
    highest = [_load(builder, column_maxima, _int(c)) for c in range(COLUMNS)]
    with _Loop(builder, rows, highest) as loop:
        at = builder.mul(loop.index, _int(COLUMNS))
        cells = [_load(builder, tile, builder.add(at, _int(c))) for c in range(COLUMNS)]
        in_row = _load(builder, row_maxima, loop.index)
        for cell in cells:
            in_row = _choose(builder, ">", cell, in_row)
        _store(builder, in_row, row_maxima, loop.index)
        loop.carry(_choose(builder, ">", cell, top) for cell, top in zip(cells, loop.carried, strict=True))
    for c, top in enumerate(loop.results):
        _store(builder, top, column_maxima, _int(c))


def _emit_advance(builder: ir.IRBuilder, given: Sequence[ir.Value]) -> None:
    tile, edge, state, rows, slope = given
    one = ir.Constant(_VECTOR, [1.0] * LANES)
    falling = builder.icmp_signed("<", slope, _int(0))
    with _Loop(builder, rows, [_load(builder, state, _int(k)) for k in range(COLUMNS + 2)]) as loop:
        *above, diagonal, total = loop.carried
        left = corner = _load(builder, edge, loop.index)
        row = []
        for c, up in enumerate(above):
            at = builder.add(builder.mul(loop.index, _int(COLUMNS)), _int(c))
            entry = _load(builder, tile, at)
            distance = builder.select(falling, builder.fsub(one, entry), entry)
            before = _choose(builder, "<", diagonal, up)  # off the chain through `left`
            left = builder.fadd(distance, _choose(builder, "<", left, before))
            total = builder.fadd(total, distance)
            diagonal = up
            row.append(left)
        _store(builder, left, edge, loop.index)
        loop.carry([*row, corner, total])
    for k, value in enumerate(loop.results):
        _store(builder, value, state, _int(k))


class _Loop:
    """`for index in range(count)`, count >= 1, with values carried from step to step."""

    def __init__(self, builder: ir.IRBuilder, count: ir.Value, start: Sequence[ir.Value]) -> None:
        self._builder, self._count, self._start = builder, count, start
        self.results: list[ir.Value] = []

    def __enter__(self) -> "_Loop":
        before = self._builder.block
        self._block = self._builder.append_basic_block("loop")
        self._builder.branch(self._block)
        self._builder.position_at_end(self._block)
        self.index = self._builder.phi(_I64)
        self.index.add_incoming(_int(0), before)
        self.carried = [self._builder.phi(_VECTOR) for _ in self._start]
        for phi, value in zip(self.carried, self._start, strict=True):
            phi.add_incoming(value, before)
        return self

    def carry(self, values: Sequence[ir.Value]) -> None:
        """Hand `values` to the next step, or out of the loop."""
        self.results = list(values)
        for phi, value in zip(self.carried, self.results, strict=True):
            phi.add_incoming(value, self._block)

    def __exit__(self, *failure: object) -> None:
        after = self._builder.append_basic_block("after")
        following = self._builder.add(self.index, _int(1))
        self.index.add_incoming(following, self._block)
        again = self._builder.icmp_signed("<", following, self._count)
        self._builder.cbranch(again, self._block, after)
        self._builder.position_at_end(after)


def _routine(name: str, *, arrays: int, integers: int, body: _Body) -> tuple:
    """Signature and code generator of an intrinsic on flat arrays and integers.

    The body stands in a function of its own that is never inlined: inlined, the optimiser was
    seen to spill the product's sums, at half the speed.
    """
    signature = types.void(*[_FLOATS] * arrays, *[types.intp] * integers)
    pointer = _F32.as_pointer()
    kind = ir.FunctionType(ir.VoidType(), [pointer] * arrays + [_I64] * integers)

    def call(context, builder, signature, arguments):  # noqa: ANN001, ANN202 llvmlite's own types
        routine = cgutils.get_or_insert_function(builder.module, kind, name)
        if not routine.blocks:
            routine.linkage = "linkonce_odr"
            routine.attributes.add("noinline")
            inside = ir.IRBuilder(routine.append_basic_block())
            body(inside, routine.args)
            inside.ret_void()
        data = [context.make_array(_FLOATS)(context, builder, v).data for v in arguments[:arrays]]
        builder.call(routine, [*data, *arguments[arrays:]])
        return context.get_dummy_value()

    return signature, call


def _int(value: int) -> ir.Constant:
    return ir.Constant(_I64, value)


def _choose(builder: ir.IRBuilder, order: str, a: ir.Value, b: ir.Value) -> ir.Value:
    """`a` where a `order` b, else b: one instruction of the machine, unlike a minimum of NaNs."""
    return builder.select(builder.fcmp_ordered(order, a, b), a, b)


def _place(builder: ir.IRBuilder, array: ir.Value, vector: ir.Value) -> ir.Value:
    at = builder.gep(array, [builder.mul(vector, _int(LANES))], source_etype=_F32)
    return builder.bitcast(at, _VECTOR.as_pointer())


def _load(builder: ir.IRBuilder, array: ir.Value, vector: ir.Value) -> ir.Value:
    return builder.load(_place(builder, array, vector), align=4, typ=_VECTOR)


def _store(builder: ir.IRBuilder, value: ir.Value, array: ir.Value, vector: ir.Value) -> None:
    builder.store(value, _place(builder, array, vector), align=4)


def _spread(builder: ir.IRBuilder, array: ir.Value, at: ir.Value) -> ir.Value:
    """One float of an array in every lane."""
    scalar = builder.load(builder.gep(array, [at], source_etype=_F32), typ=_F32)
    anything = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(anything, scalar, ir.Constant(_I32, 0))
    mask = ir.Constant(ir.VectorType(_I32, LANES), [0] * LANES)
    return builder.shuffle_vector(first, anything, mask)
