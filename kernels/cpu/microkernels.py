"""The inner loops of the CPU kernels, spelled out as LLVM vectors of sixteen floats or words of four bytes.

Numba keeps small arrays in memory, and an accumulator in memory costs a factor of five; these
loops keep theirs in registers. In the product a lane is a frame of B, and no lane sees another: a
cosine cannot depend on its neighbours. Nothing checks bounds.

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
    MASKS,
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
    store_bits,
    transposed,
    whole,
)

COLUMNS = 8  # blocks of B in a tile: their column maxima stay in registers

# Numbers of rows to choose from, and panels of the product. With the most rows, sums and operands just fit
# the registers: 32 of 16 floats with AVX-512, 16 of 8 with AVX2, 32 of 4 with NEON; with the fewest there are
# still sums enough to wait for none. Found by trying; sums are the same in all. If Numba was told to compile
# for another machine, as by NUMBA_CPU_NAME, what every machine has.
_TOLD = (getattr(config, name) for name in ("CPU_NAME", "CPU_FEATURES"))
_ELSEWHERE = any(told is not None for told in _TOLD) or not config.ENABLE_AVX  # pyright: ignore[reportAttributeAccessIssue]
_HOST = {} if _ELSEWHERE else llvmlite.binding.get_host_cpu_features()
HEIGHTS, PANELS = ((14, 12, 10), 2) if _HOST.get("avx512f", False) else ((6, 4), 1)

HAS_BYTE_PRODUCT = bool(_HOST.get("avx512vnni", False))  # four products of bytes and their sum at once


def product(heights: Sequence[int], panels: int) -> Callable[..., None]:
    """Compiled-code function (a, b, c, stride, rows, depth, count, resume) -> None on flat float32 arrays.

    With `rows` one of `heights`, c[r * stride + p * LANES + l] = sum over k < count of a[k * rows + r] times
    b[(p * depth + k) * LANES + l], one chain of fused multiply-adds in the order of k. It goes on
    from what c holds if `resume` isn't 0, so a long sum has the same bits in pieces.
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

    A word is four bytes: unsigned in a, (word, row), signed in b, (panel, 1 + words, lane), whose first
    row is where sums begin. c[r * stride + p * LANES + l] is that plus the products of all bytes of row r
    with those of lane l, an exact 32-bit integer, rounded to float32.

    Args:
      heights: that `rows`, of a, may have.
      panels: of b.
      by_instruction: use the machine's own, see HAS_BYTE_PRODUCT; else several that every machine has.
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

    All flat float32. What follows the last k's `width` is overwritten up to LANES.
    """
    return routine(
        "isogloss_transpose",
        [FLOATS, *[INT] * 2, *[FLOATS] * 2, *[INT] * 2],
        _emit_transpose,
    )


@intrinsic
def raise_maxima(typing, tile, row_maxima, column_maxima, rows):  # noqa: ANN001, ANN201
    """Raise row_maxima (row, lane) and column_maxima (column, lane) to those of a tile.

    tile (row, column, lane) has COLUMNS columns. All flat float32; NaN raises nothing.
    """
    return routine("isogloss_maxima", [*[FLOATS] * 3, INT], _emit_maxima)


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

        kinds = [
            FLOATS,
            INT,
            INTS,
            FLOATS,
            FLOATS,
            INT,
            INT,
            MASKS,
        ]
        return routine(f"isogloss_strip_{int(record)}", kinds, body)

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
        for r in range(rows):  # one operand at a time: all at once, they push sums out to memory
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
    for byte in range(4):
        ours = builder.and_(builder.lshr(a, ints(8 * byte)), ints(255))
        theirs = builder.ashr(builder.shl(b, ints(24 - 8 * byte)), ints(24))
        total = made(builder.add(total, builder.mul(ours, theirs)))
    return total


def _emit_transpose(builder: ir.IRBuilder, given: Sequence[ir.Value]) -> None:
    source, stride, last, factors, out, width, count = given
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


def _emit_strip(builder: ir.IRBuilder, given: Sequence[ir.Value], record: bool) -> None:
    source, ahead, lanes, state, edge, first, blocks, choices = given
    places = [builder.gep(lanes, [whole(lane)], source_etype=I64) for lane in range(LANES)]
    starts = [builder.load(place, typ=I64) for place in places]
    enters, stays = (load_ints(builder, lanes, part) for part in (1, 2))
    off = ir.Constant(VECTOR, [float("inf")] * LANES)
    down = [*range(1, LANES + 1)]  # every lane takes from the row above, the highest one from the edge
    with Loop(builder, blocks, [load(builder, state, whole(0)), off]) as loop:
        diagonal, left = loop.carried
        passed = made(builder.mul(loop.index, whole(LANES)))
        k = made(builder.add(first, passed))
        since = builder.sub(spread_int(builder, k), enters)
        here = [made(builder.add(start, passed)) for start in starts]
        rows = [load_at(builder, source, at) for at in here]
        for at in here:  # of the next strip: sixteen short rows are more than the machine foresees
            fetch(builder, source, made(builder.add(at, ahead)))
        for step, entry in enumerate(transposed(builder, rows)):
            inside = builder.icmp_unsigned("<", builder.add(since, ints(step)), stays)
            distance = builder.select(inside, entry, off)
            above = spread(builder, edge, plus(builder, k, LANES + step))
            up = shuffle(builder, left, above, down)
            if record:
                before = choose(builder, "<", diagonal, up)
                came = builder.fcmp_ordered("<", up, diagonal), builder.fcmp_ordered("<", left, before)
                store_bits(builder, came, choices, plus(builder, passed, step))
            # A NaN stays in its row: `left` is what a comparison with NaN chooses.
            before = choose(builder, "<", up, choose(builder, "<", diagonal, left))
            diagonal, left = up, made(builder.fadd(distance, before))
            lowest = builder.extract_element(left, whole(0))
            builder.store(
                lowest,
                builder.gep(edge, [plus(builder, k, step + 1)], source_etype=F32),
            )
        loop.carry([diagonal, left])
    store(builder, loop.results[1], state, whole(0))


def _cell(builder: ir.IRBuilder, row: ir.Value, column: int) -> ir.Value:
    """Which vector of a tile is (row, column)."""
    return index(builder, row, COLUMNS, whole(column))
