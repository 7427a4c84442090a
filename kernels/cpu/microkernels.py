"""The inner loops of the CPU kernels, written as LLVM vectors of sixteen floats or words of four bytes.

Numba keeps small arrays in memory, and an accumulator in memory costs a factor of five. These loops keep
theirs in registers. In the product each lane holds another frame of B and no lane reads another, so a cosine
doesn't depend on its neighbours. Nothing checks bounds.

Source: the product is the micro-kernel of Goto & van de Geijn, ACM TOMS 34(3), 2008.
"""

from collections.abc import Callable, Sequence

import llvmlite.binding
from llvmlite import ir
from numba.core import cgutils, config
from numba.extending import intrinsic

from isogloss.kernels.cpu.llvm_builder import (
    F32,
    FLOATS,
    I64,
    INT,
    INT_VECTOR,
    INTS,
    LANES,
    VECTOR,
    WORDS,
    ZERO,
    Loop,
    add_product,
    cases,
    choose,
    fetch,
    index,
    ints,
    load,
    load_at,
    load_ints,
    load_words,
    made,
    plus,
    routine,
    shuffle,
    spread,
    spread_int,
    spread_word,
    store,
    transposed,
    whole,
)

COLUMNS = 8  # blocks of B in a tile: the column maxima of so many stay in registers

# Numbers of rows to choose from, and panels, of the product. With the most rows, sums and operands just fit
# the registers: 32 of 16 floats with AVX-512, 16 of 8 with AVX2, 32 of 4 with NEON. Even the fewest rows have
# enough independent accumulators to hide the latency of a fused multiply-add. Found by trying; all have the
# same sums. If Numba compiles for another machine (NUMBA_CPU_NAME), only what every machine has is used.
_TOLD = (getattr(config, name) for name in ("CPU_NAME", "CPU_FEATURES"))
_ELSEWHERE = any(told is not None for told in _TOLD) or not config.ENABLE_AVX  # pyright: ignore[reportAttributeAccessIssue]
_HOST = {} if _ELSEWHERE else llvmlite.binding.get_host_cpu_features()
HEIGHTS, PANELS = ((14, 12, 10), 2) if _HOST.get("avx512f", False) else ((6, 4), 1)

HAS_BYTE_PRODUCT = bool(_HOST.get("avx512vnni", False))  # one instruction adds up four products of bytes


def product(heights: Sequence[int], panels: int) -> Callable[..., None]:
    """Compiled-code function (a, b, c, stride, rows, depth, count, resume) -> None on flat float32 arrays.

    With `rows` one of `heights`, c[r * stride + p * LANES + l] = sum over k < count of a[k * rows + r] times
    b[(p * depth + k) * LANES + l], one chain of fused multiply-adds in the order of k. If `resume` isn't 0,
    sums begin with the values of c, so a long sum has the same bits when it is computed in pieces.
    """

    @intrinsic
    def kernel(typing, a, b, c, stride, rows, depth, count, resume):  # noqa: ANN001, ANN202 Numba's own types
        def body(builder: ir.IRBuilder, given: Sequence[ir.Value]) -> None:
            for height in cases(builder, given[4], heights):
                _emit_product(builder, given, height, panels)

        name = "_".join(map(str, ("isogloss_product", panels, *heights)))
        return routine(name, [*[FLOATS] * 3, *[INT] * 5], body)

    return kernel


def product_of_bytes(heights: Sequence[int], panels: int, *, by_instruction: bool) -> Callable[..., None]:
    """Compiled-code function (a, b, c, stride, rows, words) -> None on flat arrays, int32 but for c, float32.

    A word is four bytes: unsigned in a, (word, row), signed in b, (panel, 1 + words, lane). The first entry
    of b is the initial accumulator. c[r * stride + p * LANES + l] is that plus the products of all bytes of
    row r with those of lane l: an exact 32-bit integer, then rounded to float32.

    Args:
      heights: that `rows`, of a, may have.
      panels: of b.
      by_instruction: use the machine's own, see HAS_BYTE_PRODUCT; otherwise several that every machine has.
    """

    @intrinsic
    def kernel(typing, a, b, c, stride, rows, words):  # noqa: ANN001, ANN202 Numba's own types
        def body(builder: ir.IRBuilder, given: Sequence[ir.Value]) -> None:
            for height in cases(builder, given[4], heights):
                _emit_product_of_bytes(builder, given, height, panels, by_instruction)

        name = "_".join(map(str, ("isogloss_bytes", int(by_instruction), panels, *heights)))
        return routine(name, [WORDS, WORDS, FLOATS, *[INT] * 3], body)

    return kernel


@intrinsic
def transpose(typing, source, stride, last, factors, out, width, count):  # noqa: ANN001, ANN201
    """out[k * width + i] = source[min(i, last) * stride + k] * factors[i], for i < LANES, k < count * LANES.

    All flat float32. LANES entries are written for each k, in order, so those beyond `width` are overwritten
    by the next k; those behind the last k stay overwritten.
    """
    return routine(
        "isogloss_transpose",
        [FLOATS, *[INT] * 2, *[FLOATS] * 2, *[INT] * 2],
        _emit_transpose,
    )


@intrinsic
def raise_maxima(typing, tile, row_maxima, column_maxima, rows):  # noqa: ANN001, ANN201
    """Update row_maxima (row, lane) and column_maxima (column, lane) with the cells of a tile.

    tile (row, column, lane) has COLUMNS columns. All flat float32; NaN raises nothing.
    """
    return routine("isogloss_maxima", [*[FLOATS] * 3, INT], _emit_maxima)


def strip(count: bool) -> Callable[..., None]:
    """Compiled-code function (source, ahead, lanes, state, sums, cells, first, blocks) of the DTW recursion.

    Runs along LANES rows of one table, an anti-diagonal k of the strip at a time, from k = first for
    blocks * LANES steps. The lowest row has lane 0; the row i rows below the highest is at column k - i.

    Args of the function, all arrays flat float32 but for `lanes`, int64:
      source: distances.
      ahead: distance in `source` from a row to the one that the next strip reads, to fetch it meanwhile.
      lanes: (2, lane): where in `source` a lane reads at k = first, and the columns it has in use. Cells
        beyond are impassable, whatever their distance.
      state: on entry, the sums diagonally before each lane's first cell; on return a NaN in each lane whose
        row had one in use.
      sums: entry LANES + j is the sum in column j of the row above, on return of the lowest row. LANES
        entries of room at both ends.
      cells: if `count`, the same for the number of cells on each sum's path.
    """

    @intrinsic
    def kernel(typing, source, ahead, lanes, state, sums, cells, first, blocks):  # noqa: ANN001, ANN202
        def body(builder: ir.IRBuilder, given: Sequence[ir.Value]) -> None:
            _emit_strip(builder, given, count)

        kinds = [FLOATS, INT, INTS, FLOATS, FLOATS, FLOATS, INT, INT]
        return routine(f"isogloss_strip_{int(count)}", kinds, body)

    return kernel


def _emit_product(builder: ir.IRBuilder, given: Sequence[ir.Value], rows: int, panels: int) -> None:
    a, b, c, stride, _, depth, count, resume = given
    cells = [(r, p) for r in range(rows) for p in range(panels)]
    below = [builder.gep(c, [builder.mul(stride, whole(r))], source_etype=F32) for r in range(rows)]
    again = builder.icmp_signed("!=", resume, whole(0))
    start = [builder.select(again, load(builder, below[r], whole(p)), ZERO) for r, p in cells]
    with Loop(builder, count, start) as loop:
        right = [load(builder, b, index(builder, depth, p, loop.index)) for p in range(panels)]
        sums = iter(loop.carried)
        totals = []
        for r in range(rows):  # one operand at a time: all at once, they would push sums out to memory
            left = spread(builder, a, index(builder, loop.index, rows, whole(r)))
            totals += [add_product(builder, left, right[p], next(sums)) for p in range(panels)]
        loop.carry(totals)
    for (r, p), total in zip(cells, loop.results, strict=True):
        store(builder, total, below[r], whole(p))


def _emit_product_of_bytes(
    builder: ir.IRBuilder, given: Sequence[ir.Value], rows: int, panels: int, by_instruction: bool
) -> None:
    a, b, c, stride, _, words = given
    cells = [(r, p) for r in range(rows) for p in range(panels)]
    depth = plus(builder, words, 1)
    starts = [load_words(builder, b, made(builder.mul(depth, whole(p)))) for p in range(panels)]
    with Loop(builder, words, [starts[p] for _, p in cells]) as loop:
        following = plus(builder, loop.index, 1)
        right = [load_words(builder, b, index(builder, depth, p, following)) for p in range(panels)]
        sums = iter(loop.carried)
        totals = []
        for r in range(rows):
            left = spread_word(builder, a, index(builder, loop.index, rows, whole(r)))
            totals += [
                _add_products_of_bytes(builder, next(sums), left, right[p], by_instruction)
                for p in range(panels)
            ]
        loop.carry(totals)
    for (r, p), total in zip(cells, loop.results, strict=True):
        below = builder.gep(c, [builder.mul(stride, whole(r))], source_etype=F32)
        store(
            builder,
            made(builder.sitofp(total, VECTOR)),
            below,
            whole(p),
        )


def _add_products_of_bytes(
    builder: ir.IRBuilder, total: ir.Value, a: ir.Value, b: ir.Value, by_instruction: bool
) -> ir.Value:
    if by_instruction:
        kind = ir.FunctionType(INT_VECTOR, [INT_VECTOR] * 3)
        dot = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.vpdpbusd.512")
        return made(builder.call(dot, [total, a, b]))
    # Without the instruction: each byte is shifted to 32 bits, with zeros for A and with its sign for B.
    for byte in range(4):
        ours = builder.and_(builder.lshr(a, ints(8 * byte)), ints(255))
        theirs = builder.ashr(builder.shl(b, ints(24 - 8 * byte)), ints(24))
        total = made(builder.add(total, builder.mul(ours, theirs)))
    return total


def _emit_transpose(builder: ir.IRBuilder, given: Sequence[ir.Value]) -> None:
    source, stride, last, factors, out, width, count = given
    # LANES frames are read LANES features at a time: a square in registers, transposed there by shuffles.
    places, scales = [], []
    for i in range(LANES):
        beyond = builder.icmp_signed(">", whole(i), last)
        places.append(builder.mul(made(builder.select(beyond, last, whole(i))), stride))
        scales.append(spread(builder, factors, whole(i)))
    with Loop(builder, count, []) as loop:
        done = builder.mul(loop.index, whole(LANES))
        rows = [load_at(builder, source, made(builder.add(place, done))) for place in places]
        scaled = [made(builder.fmul(row, scale)) for row, scale in zip(rows, scales, strict=True)]
        for k, column in enumerate(transposed(builder, scaled)):
            at = builder.gep(
                out,
                [builder.mul(plus(builder, made(done), k), width)],
                source_etype=F32,
            )
            store(builder, column, at, whole(0))


def _emit_maxima(builder: ir.IRBuilder, given: Sequence[ir.Value]) -> None:
    tile, row_maxima, column_maxima, rows = given
    # A row's maximum stays a vector, one maximum per lane: `frame_scores` takes the largest lane at the end.
    highest = [load(builder, column_maxima, whole(c)) for c in range(COLUMNS)]
    with Loop(builder, rows, highest) as loop:
        cells = [load(builder, tile, _cell(builder, loop.index, c)) for c in range(COLUMNS)]
        in_row = load(builder, row_maxima, loop.index)
        for cell in cells:
            in_row = choose(builder, ">", cell, in_row)
        store(builder, in_row, row_maxima, loop.index)
        pairs = zip(cells, loop.carried, strict=True)
        loop.carry([choose(builder, ">", cell, top) for cell, top in pairs])
    for c, top in enumerate(loop.results):
        store(builder, top, column_maxima, whole(c))


def _emit_strip(builder: ir.IRBuilder, given: Sequence[ir.Value], count: bool) -> None:
    source, ahead, lanes, state, sums, cells, first, blocks = given
    places = [builder.gep(lanes, [whole(lane)], source_etype=I64) for lane in range(LANES)]
    starts = [builder.load(place, typ=I64) for place in places]
    width = load_ints(builder, lanes, 1)
    # Lane 0 is the lowest row, so lane l enters the table LANES - 1 - l steps after the highest.
    enters = ir.Constant(INT_VECTOR, [LANES - 1 - lane for lane in range(LANES)])
    off = ir.Constant(VECTOR, [float("inf")] * LANES)
    start = [load(builder, state, whole(0)), off, *([ZERO, ZERO] if count else [])]
    with Loop(builder, blocks, start) as loop:
        diagonal, left, *counts = loop.carried
        passed = made(builder.mul(loop.index, whole(LANES)))
        k = made(builder.add(first, passed))
        since = builder.sub(spread_int(builder, k), enters)
        here = [made(builder.add(start, passed)) for start in starts]
        rows = [load_at(builder, source, at) for at in here]
        for at in here:  # of the next strip: sixteen short rows are more than the prefetcher follows
            fetch(builder, source, made(builder.add(at, ahead)))
        # Each lane reads LANES distances of its own row. Transposed, they are LANES anti-diagonals, because
        # the places in `lanes` are skewed already: every row begins a cell later than the row above.
        for step, entry in enumerate(transposed(builder, rows)):
            # Compared as unsigned numbers, a lane that hasn't entered yet is beyond the last column, too.
            inside = builder.icmp_unsigned("<", builder.add(since, ints(step)), width)
            distance = builder.select(inside, entry, off)
            up = _from_above(builder, left, sums, plus(builder, k, LANES + step))
            # A NaN stays in its row: where a comparison meets NaN, `choose` takes its second vector, and
            # `left` is always second.
            diagonal_or_left = choose(builder, "<", diagonal, left)
            before = choose(builder, "<", up, diagonal_or_left)
            if count:
                counts = _count_cells(builder, (diagonal, up, left), counts, cells, plus(builder, k, step))
            diagonal, left = up, made(builder.fadd(distance, before))
            _store_lowest(builder, left, sums, plus(builder, k, step + 1))
        loop.carry([diagonal, left, *counts])
    store(builder, loop.results[1], state, whole(0))


def _count_cells(
    builder: ir.IRBuilder, sums: Sequence[ir.Value], counts: Sequence[ir.Value], cells: ir.Value, at: ir.Value
) -> list[ir.Value]:
    """Cells of the paths to (diagonal, left) of the next step; of equal sums the diagonal, up, then left.

    Floats hold the counts, so that they fill the same registers as sums; below 2**24 they are exact.
    """
    diagonal, up, left = sums
    of_diagonal, of_left = counts
    of_up = _from_above(builder, of_left, cells, plus(builder, at, LANES))
    came_up = builder.fcmp_ordered("<", up, diagonal)
    came_left = builder.fcmp_ordered("<", left, choose(builder, "<", up, diagonal))
    before = builder.select(came_left, of_left, builder.select(came_up, of_up, of_diagonal))
    now = made(builder.fadd(before, ir.Constant(VECTOR, [1.0] * LANES)))
    _store_lowest(builder, now, cells, plus(builder, at, 1))
    return [of_up, now]


def _from_above(builder: ir.IRBuilder, values: ir.Value, edge: ir.Value, at: ir.Value) -> ir.Value:
    """Each lane's value of the row above: that of the next lane, for the highest row the edge's entry."""
    return shuffle(builder, values, spread(builder, edge, at), [*range(1, LANES + 1)])


def _store_lowest(builder: ir.IRBuilder, values: ir.Value, edge: ir.Value, at: ir.Value) -> None:
    """Write the lowest row's value to the edge, LANES - 1 columns behind where the highest row reads it."""
    builder.store(builder.extract_element(values, whole(0)), builder.gep(edge, [at], source_etype=F32))


def _cell(builder: ir.IRBuilder, row: ir.Value, column: int) -> ir.Value:
    """Position of (row, column) in a tile, in vectors."""
    return index(builder, row, COLUMNS, whole(column))
