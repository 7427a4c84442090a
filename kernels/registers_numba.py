"""The inner loops of the CPU kernels, spelled out as LLVM vectors of sixteen floats.

Numba keeps small arrays in memory, and an accumulator in memory costs a factor of five; these
loops keep theirs in registers. In the product a lane is a frame of B, and no lane sees another: a
cosine cannot depend on its neighbours. Nothing checks bounds.

Source: the product is the micro-kernel of Goto & van de Geijn, ACM TOMS 34(3), 2008.
"""

from collections.abc import Callable, Sequence

import llvmlite.binding
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

LANES = 16  # one register of AVX-512, two of AVX2, four of NEON
COLUMNS = 8  # blocks of B in a tile: their column maxima stay in registers

# (rows, panels) of the product, so that sums and operands just fit the registers: 32 of 16 floats
# with AVX-512, 16 of 8 with AVX2, 32 of 4 with NEON. Found by trying; sums are the same in all.
_HOST = llvmlite.binding.get_host_cpu_features()
ROWS, PANELS = (14, 2) if _HOST.get("avx512f", False) else (6, 1)

_FLOATS, _INTS = types.Array(types.float32, 1, "C"), types.Array(types.int64, 1, "C")
_MASKS = types.Array(types.uint16, 1, "C")
_ARRAYS, _INT = (_FLOATS, _INTS, _MASKS), types.intp
_F32, _I16, _I32, _I64 = ir.FloatType(), ir.IntType(16), ir.IntType(32), ir.IntType(64)
_VECTOR = ir.VectorType(_F32, LANES)
_INT_VECTOR = ir.VectorType(_I32, LANES)
_ZERO = ir.Constant(_VECTOR, [0.0] * LANES)
_Body = Callable[[ir.IRBuilder, Sequence[ir.Value]], None]


def product(rows: int, panels: int) -> Callable[..., None]:
    """Compiled-code function (a, b, c, stride, depth, count, resume) -> None on flat float32 arrays.

    c[r * stride + p * LANES + l] = sum over k < count of a[k * rows + r] times
    b[(p * depth + k) * LANES + l], one chain of fused multiply-adds in the order of k. It goes on
    from what c holds if `resume` isn't 0, so a long sum has the same bits in pieces.
    """

    @intrinsic
    def kernel(typing, a, b, c, stride, depth, count, resume):  # noqa: ANN001, ANN202 Numba's own types
        def body(builder: ir.IRBuilder, given: Sequence[ir.Value]) -> None:
            _emit_product(builder, given, rows, panels)

        return _routine(f"isogloss_product_{rows}_{panels}", [*[_FLOATS] * 3, *[_INT] * 4], body)

    return kernel


@intrinsic
def raise_maxima(typing, tile, row_maxima, column_maxima, rows):  # noqa: ANN001, ANN201
    """Raise row_maxima (row, lane) and column_maxima (column, lane) to those of a tile.

    tile (row, column, lane) has COLUMNS columns. All flat float32; NaN raises nothing.
    """
    return _routine("isogloss_maxima", [*[_FLOATS] * 3, _INT], _emit_maxima)


def strip(record: bool) -> Callable[..., None]:
    """Compiled-code function (source, ahead, lanes, state, edge, first, blocks, choices).

    Runs the DTW recursion along LANES rows of one table, an anti-diagonal k of the strip at a time,
    from k = first for blocks * LANES steps. The lowest row has lane 0, the one i rows below the
    highest is at column k - i.

    source: distances, flat float32; ahead: how much further those lie that the caller will want next,
    which are fetched meanwhile; lanes, flat int64 (3, lane): where in it a lane's first
    distance lies, then at which k it enters the cells in use, and for how many steps it stays: other
    cells are impassable, whatever their distance. state, float32: on entry, the sums diagonally
    before each lane's first cell; on return, in each lane a NaN if its row had one in use. edge,
    float32: entry LANES + j is the sum in column j of the row above, on return of the lowest row;
    LANES entries of room at both ends. choices, uint16: if `record`, two per step, a bit per lane:
    it came from above (unless from the left), it came from the left.
    """

    @intrinsic
    def kernel(typing, source, ahead, lanes, state, edge, first, blocks, choices):  # noqa: ANN001, ANN202
        def body(builder: ir.IRBuilder, given: Sequence[ir.Value]) -> None:
            _emit_strip(builder, given, record)

        kinds = [_FLOATS, _INT, _INTS, _FLOATS, _FLOATS, _INT, _INT, _MASKS]
        return _routine(f"isogloss_strip_{int(record)}", kinds, body)

    return kernel


def _emit_product(builder: ir.IRBuilder, given: Sequence[ir.Value], rows: int, panels: int) -> None:
    a, b, c, stride, depth, count, resume = given
    cells = [(r, p) for r in range(rows) for p in range(panels)]
    below = [builder.gep(c, [builder.mul(stride, _int(r))], source_etype=_F32) for r in range(rows)]
    again = builder.icmp_signed("!=", resume, _int(0))
    start = [builder.select(again, _load(builder, below[r], _int(p)), _ZERO) for r, p in cells]
    with _Loop(builder, count, start) as loop:
        fma = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(_VECTOR, [_VECTOR] * 3), f"llvm.fma.v{LANES}f32"
        )
        right = [_load(builder, b, _index(builder, depth, p, loop.index)) for p in range(panels)]
        sums = iter(loop.carried)
        totals = []
        for r in range(rows):  # one operand at a time: all at once, they push sums out to memory
            left = _spread(builder, a, _index(builder, loop.index, rows, _int(r)))
            totals += [builder.call(fma, [left, right[p], next(sums)]) for p in range(panels)]
        loop.carry(totals)
    for (r, p), total in zip(cells, loop.results, strict=True):
        _store(builder, total, below[r], _int(p))


def _emit_maxima(builder: ir.IRBuilder, given: Sequence[ir.Value]) -> None:
    tile, row_maxima, column_maxima, rows = given
    highest = [_load(builder, column_maxima, _int(c)) for c in range(COLUMNS)]
    with _Loop(builder, rows, highest) as loop:
        cells = [_load(builder, tile, _cell(builder, loop.index, c)) for c in range(COLUMNS)]
        in_row = _load(builder, row_maxima, loop.index)
        for cell in cells:
            in_row = _choose(builder, ">", cell, in_row)
        _store(builder, in_row, row_maxima, loop.index)
        pairs = zip(cells, loop.carried, strict=True)
        loop.carry([_choose(builder, ">", cell, top) for cell, top in pairs])
    for c, top in enumerate(loop.results):
        _store(builder, top, column_maxima, _int(c))


def _emit_strip(builder: ir.IRBuilder, given: Sequence[ir.Value], record: bool) -> None:
    source, ahead, lanes, state, edge, first, blocks, choices = given
    places = [builder.gep(lanes, [_int(lane)], source_etype=_I64) for lane in range(LANES)]
    starts = [builder.load(place, typ=_I64) for place in places]
    enters, stays = (_load_ints(builder, lanes, part) for part in (1, 2))
    off = ir.Constant(_VECTOR, [float("inf")] * LANES)
    down = [*range(1, LANES + 1)]  # every lane takes from the row above, the highest one from the edge
    with _Loop(builder, blocks, [_load(builder, state, _int(0)), off]) as loop:
        diagonal, left = loop.carried
        passed = _value(builder.mul(loop.index, _int(LANES)))
        k = _value(builder.add(first, passed))
        since = builder.sub(_spread_int(builder, k), enters)
        here = [_value(builder.add(start, passed)) for start in starts]
        rows = [_load_at(builder, source, at) for at in here]
        for at in here:  # of the next strip: sixteen short rows are more than the machine foresees
            _fetch(builder, source, _value(builder.add(at, ahead)))
        for step, entry in enumerate(_transposed(builder, rows)):
            inside = builder.icmp_unsigned("<", builder.add(since, _ints(step)), stays)
            distance = builder.select(inside, entry, off)
            above = _spread(builder, edge, _plus(builder, k, LANES + step))
            up = _shuffle(builder, left, above, down)
            if record:
                before = _choose(builder, "<", diagonal, up)
                came = builder.fcmp_ordered("<", up, diagonal), builder.fcmp_ordered("<", left, before)
                _store_bits(builder, came, choices, _plus(builder, passed, step))
            # A NaN stays in its row: `left` is what a comparison with NaN chooses.
            before = _choose(builder, "<", up, _choose(builder, "<", diagonal, left))
            diagonal, left = up, _value(builder.fadd(distance, before))
            lowest = builder.extract_element(left, _int(0))
            builder.store(lowest, builder.gep(edge, [_plus(builder, k, step + 1)], source_etype=_F32))
        loop.carry([diagonal, left])
    _store(builder, loop.results[1], state, _int(0))


def _transposed(builder: ir.IRBuilder, rows: Sequence[ir.Value]) -> list[ir.Value]:
    """The columns of LANES vectors, swapping ever smaller blocks."""
    block = list(rows)
    for step in (8, 4, 2, 1):
        low = [k if not k & step else LANES + k - step for k in range(LANES)]
        high = [k + step if not k & step else LANES + k for k in range(LANES)]
        for k in [k for k in range(LANES) if not k & step]:
            pair = block[k], block[k + step]
            block[k], block[k + step] = (_shuffle(builder, *pair, m) for m in (low, high))
    return block


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


def _routine(name: str, kinds: Sequence[types.Type], body: _Body) -> tuple:
    """Signature and code generator of an intrinsic on flat arrays and integers.

    The body stands in a function of its own that is never inlined: inlined, the optimiser was
    seen to spill the product's sums, at half the speed.
    """
    signature = types.void(*kinds)

    def call(context, builder, signature, arguments):  # noqa: ANN001, ANN202 llvmlite's own types
        given = [
            context.make_array(kind)(context, builder, value).data if kind in _ARRAYS else value
            for kind, value in zip(kinds, arguments, strict=True)
        ]
        kind = ir.FunctionType(ir.VoidType(), [value.type for value in given])
        routine = cgutils.get_or_insert_function(builder.module, kind, name)
        if not routine.blocks:
            routine.linkage = "linkonce_odr"
            routine.attributes.add("noinline")
            inside = ir.IRBuilder(routine.append_basic_block())
            body(inside, routine.args)
            inside.ret_void()
        builder.call(routine, given)
        return context.get_dummy_value()

    return signature, call


def _int(value: int) -> ir.Constant:
    return ir.Constant(_I64, value)


def _value(made: object) -> ir.Value:
    """What llvmlite made, under the type that its annotations leave out."""
    assert isinstance(made, ir.Value)
    return made


def _index(builder: ir.IRBuilder, base: ir.Value, times: int, plus: ir.Value) -> ir.Value:
    return _value(builder.add(builder.mul(base, _int(times)), plus))


def _plus(builder: ir.IRBuilder, value: ir.Value, number: int) -> ir.Value:
    return _value(builder.add(value, _int(number)))


def _cell(builder: ir.IRBuilder, row: ir.Value, column: int) -> ir.Value:
    """Which vector of a tile is (row, column)."""
    return _index(builder, row, COLUMNS, _int(column))


def _choose(builder: ir.IRBuilder, order: str, a: ir.Value, b: ir.Value) -> ir.Value:
    """`a` where a `order` b, else b: one instruction of the machine, unlike a minimum of NaNs."""
    return _value(builder.select(builder.fcmp_ordered(order, a, b), a, b))


def _place(builder: ir.IRBuilder, array: ir.Value, vector: ir.Value) -> ir.Value:
    at = builder.gep(array, [builder.mul(vector, _int(LANES))], source_etype=_F32)
    return _value(builder.bitcast(at, _VECTOR.as_pointer()))


def _load(builder: ir.IRBuilder, array: ir.Value, vector: ir.Value) -> ir.Value:
    return builder.load(_place(builder, array, vector), align=4, typ=_VECTOR)


def _store(builder: ir.IRBuilder, value: ir.Value, array: ir.Value, vector: ir.Value) -> None:
    builder.store(value, _place(builder, array, vector), align=4)


def _load_at(builder: ir.IRBuilder, array: ir.Value, at: ir.Value) -> ir.Value:
    """LANES floats of an array from any place."""
    place = builder.gep(array, [at], source_etype=_F32)
    return _value(builder.load(builder.bitcast(place, _VECTOR.as_pointer()), align=4, typ=_VECTOR))


def _fetch(builder: ir.IRBuilder, array: ir.Value, at: ir.Value) -> None:
    """Ask for a cache line of an array, which need not exist."""
    kind = ir.FunctionType(ir.VoidType(), [_F32.as_pointer(), _I32, _I32, _I32])
    fetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    to_read_soon = [ir.Constant(_I32, value) for value in (0, 3, 1)]
    builder.call(fetch, [builder.gep(array, [at], source_etype=_F32), *to_read_soon])


def _load_ints(builder: ir.IRBuilder, array: ir.Value, vector: int) -> ir.Value:
    """A vector of an int64 array, as 32 bits."""
    wide = ir.VectorType(_I64, LANES)
    place = builder.gep(array, [_int(vector * LANES)], source_etype=_I64)
    loaded = builder.load(builder.bitcast(place, wide.as_pointer()), align=8, typ=wide)
    return _value(builder.trunc(loaded, _INT_VECTOR))


def _store_bits(
    builder: ir.IRBuilder, conditions: Sequence[ir.Value], array: ir.Value, pair: ir.Value
) -> None:
    """Two conditions by lane, as the bits of two int16."""
    for which, condition in enumerate(conditions):
        place = builder.gep(array, [_index(builder, pair, 2, _int(which))], source_etype=_I16)
        builder.store(builder.bitcast(condition, _I16), place)


def _ints(value: int) -> ir.Constant:
    return ir.Constant(_INT_VECTOR, [value] * LANES)


def _spread_int(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """An int64 in every lane, as 32 bits."""
    anything = ir.Constant(_INT_VECTOR, ir.Undefined)
    first = builder.insert_element(anything, _value(builder.trunc(value, _I32)), ir.Constant(_I32, 0))
    return _shuffle(builder, first, anything, [0] * LANES)


def _spread(builder: ir.IRBuilder, array: ir.Value, at: ir.Value) -> ir.Value:
    """One float of an array in every lane."""
    scalar = builder.load(builder.gep(array, [at], source_etype=_F32), typ=_F32)
    anything = ir.Constant(_VECTOR, ir.Undefined)
    first = builder.insert_element(anything, scalar, ir.Constant(_I32, 0))
    return _shuffle(builder, first, anything, [0] * LANES)


def _shuffle(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, order: Sequence[int]) -> ir.Value:
    """Vector of the entries of a and b, counted through, in that order."""
    mask = ir.Constant(ir.VectorType(_I32, len(order)), list(order))
    return builder.shuffle_vector(a, b, mask)
