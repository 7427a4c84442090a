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

from isogloss.kernels.cpu import llvm_builder as vec
from isogloss.kernels.cpu.llvm_builder import LANES

COLUMNS = 8  # blocks of B in a tile

# Numbers of rows to choose from, and panels, of the product. With the most rows, sums and operands just fit
# the registers: 32 of 16 floats with AVX-512, 16 of 8 with AVX2, 32 of 4 with NEON. Even the fewest rows have
# enough independent accumulators to hide the latency of a fused multiply-add. Found by trying; all have the
# same sums. If Numba compiles for another machine (NUMBA_CPU_NAME), only what every machine has is used.
_CHOSEN = (getattr(config, name) for name in ("CPU_NAME", "CPU_FEATURES"))
_ELSEWHERE = any(chosen is not None for chosen in _CHOSEN) or not config.ENABLE_AVX  # pyright: ignore[reportAttributeAccessIssue]
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
            for height in vec.cases(builder, given[4], heights):
                _emit_product(builder, given, height, panels)

        name = "_".join(map(str, ("isogloss_product", panels, *heights)))
        return vec.routine(name, [*[vec.FLOATS] * 3, *[vec.INT] * 5], body)

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
            for height in vec.cases(builder, given[4], heights):
                _emit_product_of_bytes(builder, given, height, panels, by_instruction)

        name = "_".join(map(str, ("isogloss_bytes", int(by_instruction), panels, *heights)))
        return vec.routine(name, [vec.WORDS, vec.WORDS, vec.FLOATS, *[vec.INT] * 3], body)

    return kernel


@intrinsic
def transpose(typing, source, stride, last, factors, out, width, count):  # noqa: ANN001, ANN201
    """out[k * width + i] = source[min(i, last) * stride + k] * factors[i], for i < LANES, k < count * LANES.

    All flat float32. LANES entries are written for each k, in order, so those beyond `width` are overwritten
    by the next k; those behind the last k stay overwritten.
    """
    kinds = [vec.FLOATS, *[vec.INT] * 2, *[vec.FLOATS] * 2, *[vec.INT] * 2]
    return vec.routine("isogloss_transpose", kinds, _emit_transpose)


@intrinsic
def raise_maxima(typing, tile, row_maxima, column_maxima, rows, first, last):  # noqa: ANN001, ANN201
    """Update row_maxima (row, lane) and column_maxima (lane) with one block of a tile (row, column, lane).

    The tile has COLUMNS columns. Rows are raised by lanes from `first` to before `last`, columns by all rows.
    All flat float32; NaN raises nothing.
    """
    return vec.routine("isogloss_maxima", [*[vec.FLOATS] * 3, *[vec.INT] * 3], _emit_maxima)


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

        kinds = [vec.FLOATS, vec.INT, vec.INTS, vec.FLOATS, vec.FLOATS, vec.FLOATS, vec.INT, vec.INT]
        return vec.routine(f"isogloss_strip_{int(count)}", kinds, body)

    return kernel


def _emit_product(builder: ir.IRBuilder, given: Sequence[ir.Value], rows: int, panels: int) -> None:
    a, b, c, stride, _, depth, count, resume = given
    cells = [(r, p) for r in range(rows) for p in range(panels)]
    below = [builder.gep(c, [builder.mul(stride, vec.whole(r))], source_etype=vec.F32) for r in range(rows)]
    # c is loaded even where sums begin with 0: a choice between values needs no branch before the loop.
    again = builder.icmp_signed("!=", resume, vec.whole(0))
    start = [builder.select(again, vec.load(builder, below[r], vec.whole(p)), vec.ZERO) for r, p in cells]
    with vec.Loop(builder, count, start) as loop:
        # Loaded once for all rows. A sum gets one product a step; those of the others fill its latency.
        right = [vec.load(builder, b, vec.index(builder, depth, p, loop.index)) for p in range(panels)]
        sums = iter(loop.carried)
        totals = []
        for r in range(rows):  # one operand at a time: all at once, they would push sums out to memory
            left = vec.spread(builder, a, vec.index(builder, loop.index, rows, vec.whole(r)))
            totals += [vec.add_product(builder, left, right[p], next(sums)) for p in range(panels)]
        loop.carry(totals)
    for (r, p), total in zip(cells, loop.results, strict=True):
        vec.store(builder, total, below[r], vec.whole(p))


def _emit_product_of_bytes(
    builder: ir.IRBuilder, given: Sequence[ir.Value], rows: int, panels: int, by_instruction: bool
) -> None:
    a, b, c, stride, _, words = given
    cells = [(r, p) for r in range(rows) for p in range(panels)]
    depth = vec.plus(builder, words, 1)  # of a frame of B, whose first entry isn't multiplied
    starts = [vec.load_words(builder, b, vec.made(builder.mul(depth, vec.whole(p)))) for p in range(panels)]
    with vec.Loop(builder, words, [starts[p] for _, p in cells]) as loop:
        following = vec.plus(builder, loop.index, 1)
        right = [vec.load_words(builder, b, vec.index(builder, depth, p, following)) for p in range(panels)]
        sums = iter(loop.carried)
        totals = []
        for r in range(rows):
            left = vec.spread_word(builder, a, vec.index(builder, loop.index, rows, vec.whole(r)))
            totals += [
                _add_products_of_bytes(builder, next(sums), left, right[p], by_instruction)
                for p in range(panels)
            ]
        loop.carry(totals)
    for (r, p), total in zip(cells, loop.results, strict=True):
        below = builder.gep(c, [builder.mul(stride, vec.whole(r))], source_etype=vec.F32)
        vec.store(builder, vec.made(builder.sitofp(total, vec.VECTOR)), below, vec.whole(p))


def _add_products_of_bytes(
    builder: ir.IRBuilder, total: ir.Value, a: ir.Value, b: ir.Value, by_instruction: bool
) -> ir.Value:
    if by_instruction:
        kind = ir.FunctionType(vec.INT_VECTOR, [vec.INT_VECTOR] * 3)
        dot = cgutils.get_or_insert_function(builder.module, kind, "llvm.x86.avx512.vpdpbusd.512")
        return vec.made(builder.call(dot, [total, a, b]))
    # Without the instruction: each byte is shifted to 32 bits, with zeros for A and with its sign for B.
    for byte in range(4):
        ours = builder.and_(builder.lshr(a, vec.ints(8 * byte)), vec.ints(255))
        theirs = builder.ashr(builder.shl(b, vec.ints(24 - 8 * byte)), vec.ints(24))
        total = vec.made(builder.add(total, builder.mul(ours, theirs)))
    return total


def _emit_transpose(builder: ir.IRBuilder, given: Sequence[ir.Value]) -> None:
    source, stride, last, factors, out, width, count = given
    # LANES frames are read LANES features at a time: a square in registers, transposed there by shuffles.
    places, scales = [], []
    for i in range(LANES):
        # Of rows beyond the last it is read again, so that nothing outside of the array is.
        beyond = builder.icmp_signed(">", vec.whole(i), last)
        places.append(builder.mul(vec.made(builder.select(beyond, last, vec.whole(i))), stride))
        scales.append(vec.spread(builder, factors, vec.whole(i)))
    with vec.Loop(builder, count, []) as loop:
        done = builder.mul(loop.index, vec.whole(LANES))
        rows = [vec.load_at(builder, source, vec.made(builder.add(place, done))) for place in places]
        scaled = [vec.made(builder.fmul(row, scale)) for row, scale in zip(rows, scales, strict=True)]
        for k, column in enumerate(vec.transposed(builder, scaled)):
            place = builder.mul(vec.plus(builder, vec.made(done), k), width)
            at = builder.gep(out, [place], source_etype=vec.F32)
            vec.store(builder, column, at, vec.whole(0))


def _emit_maxima(builder: ir.IRBuilder, given: Sequence[ir.Value]) -> None:
    tile, row_maxima, column_maxima, rows, first, last = given
    lanes = ir.Constant(vec.INT_VECTOR, list(range(LANES)))
    # Compared as unsigned numbers, a lane before the first is beyond the last, too.
    since = builder.sub(lanes, vec.spread_int(builder, first))
    inside = builder.icmp_unsigned("<", since, vec.spread_int(builder, vec.made(builder.sub(last, first))))
    # A row's maximum stays a vector, one maximum per lane: `frame_scores` takes the largest lane at the end.
    with vec.Loop(builder, rows, [vec.load(builder, column_maxima, vec.whole(0))]) as loop:
        cell = vec.load(builder, tile, vec.made(builder.mul(loop.index, vec.whole(COLUMNS))))
        in_row = vec.load(builder, row_maxima, loop.index)
        raised = builder.select(inside, vec.choose(builder, ">", cell, in_row), in_row)
        vec.store(builder, vec.made(raised), row_maxima, loop.index)
        loop.carry([vec.choose(builder, ">", cell, loop.carried[0])])
    vec.store(builder, loop.results[0], column_maxima, vec.whole(0))


def _emit_strip(builder: ir.IRBuilder, given: Sequence[ir.Value], count: bool) -> None:
    source, ahead, lanes, state, sums, cells, first, blocks = given
    places = [builder.gep(lanes, [vec.whole(lane)], source_etype=vec.I64) for lane in range(LANES)]
    starts = [builder.load(place, typ=vec.I64) for place in places]
    width = vec.load_ints(builder, lanes, 1)
    # Lane 0 is the lowest row, so lane l enters the table LANES - 1 - l steps after the highest.
    enters = ir.Constant(vec.INT_VECTOR, [LANES - 1 - lane for lane in range(LANES)])
    off = ir.Constant(vec.VECTOR, [float("inf")] * LANES)  # of impassable cells: no minimum takes it
    # Two anti-diagonals are carried. The cell left of a lane's is the lane's own of one step ago, the cell
    # above is the next lane's; and what was above one step ago is diagonal now.
    start = [vec.load(builder, state, vec.whole(0)), off, *([vec.ZERO, vec.ZERO] if count else [])]
    with vec.Loop(builder, blocks, start) as loop:
        diagonal, left, *counts = loop.carried
        passed = vec.made(builder.mul(loop.index, vec.whole(LANES)))
        k = vec.made(builder.add(first, passed))
        since = builder.sub(vec.spread_int(builder, k), enters)
        here = [vec.made(builder.add(start, passed)) for start in starts]
        rows = [vec.load_at(builder, source, at) for at in here]
        for at in here:  # of the next strip: sixteen short rows are more than the prefetcher follows
            vec.fetch(builder, source, vec.made(builder.add(at, ahead)))
        # Each lane reads LANES distances of its own row. Transposed, they are LANES anti-diagonals, because
        # the places in `lanes` are skewed already: every row begins a cell later than the row above.
        for step, entry in enumerate(vec.transposed(builder, rows)):
            # Compared as unsigned numbers, a lane that hasn't entered yet is beyond the last column, too.
            inside = builder.icmp_unsigned("<", builder.add(since, vec.ints(step)), width)
            distance = builder.select(inside, entry, off)
            up = _from_above(builder, left, sums, vec.plus(builder, k, LANES + step))
            # A NaN stays in its row: where a comparison meets NaN, `choose` takes its second vector, and
            # `left` is always second.
            diagonal_or_left = vec.choose(builder, "<", diagonal, left)
            before = vec.choose(builder, "<", up, diagonal_or_left)
            if count:
                counts = _count_cells(
                    builder, (diagonal, up, left), counts, cells, vec.plus(builder, k, step)
                )
            diagonal, left = up, vec.made(builder.fadd(distance, before))
            _store_lowest(builder, left, sums, vec.plus(builder, k, step + 1))
        loop.carry([diagonal, left, *counts])
    vec.store(builder, loop.results[1], state, vec.whole(0))


def _count_cells(
    builder: ir.IRBuilder, sums: Sequence[ir.Value], counts: Sequence[ir.Value], cells: ir.Value, at: ir.Value
) -> list[ir.Value]:
    """Cells of the paths to (diagonal, left) of the next step; of equal sums the diagonal, up, then left.

    Floats hold the counts, so that they fill the same registers as sums; below 2**24 they are exact.
    """
    diagonal, up, left = sums
    of_diagonal, of_left = counts
    of_up = _from_above(builder, of_left, cells, vec.plus(builder, at, LANES))
    # Strict comparisons in this order: an equal sum never displaces the one that the rule prefers.
    came_up = builder.fcmp_ordered("<", up, diagonal)
    came_left = builder.fcmp_ordered("<", left, vec.choose(builder, "<", up, diagonal))
    before = builder.select(came_left, of_left, builder.select(came_up, of_up, of_diagonal))
    now = vec.made(builder.fadd(before, ir.Constant(vec.VECTOR, [1.0] * LANES)))
    _store_lowest(builder, now, cells, vec.plus(builder, at, 1))
    return [of_up, now]


def _from_above(builder: ir.IRBuilder, values: ir.Value, edge: ir.Value, at: ir.Value) -> ir.Value:
    """Each lane's value of the row above: that of the next lane, for the highest row the edge's entry."""
    # Lanes count upwards from the lowest row, so the row above is one lane further.
    return vec.shuffle(builder, values, vec.spread(builder, edge, at), [*range(1, LANES + 1)])


def _store_lowest(builder: ir.IRBuilder, values: ir.Value, edge: ir.Value, at: ir.Value) -> None:
    """Write the lowest row's value to the edge, LANES - 1 columns behind where the highest row reads it."""
    builder.store(
        builder.extract_element(values, vec.whole(0)), builder.gep(edge, [at], source_etype=vec.F32)
    )
