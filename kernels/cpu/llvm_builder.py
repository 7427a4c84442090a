"""Functions that write LLVM code on vectors of sixteen floats or integers, for Numba's compiled code.

A function that takes a builder adds instructions at the builder's position and returns their value. `routine`
wraps such code so that functions compiled by Numba can call it. Arguments named `vector` are positions in an
array counted in vectors, those named `at` in entries.
"""

from collections.abc import Callable, Iterator, Sequence

from llvmlite import ir
from numba.core import cgutils, types

LANES = 16  # one register of AVX-512, two of AVX2, four of NEON

FLOATS, INTS = types.Array(types.float32, 1, "C"), types.Array(types.int64, 1, "C")
WORDS = types.Array(types.int32, 1, "C")
_ARRAYS, INT = (FLOATS, INTS, WORDS), types.intp
F32, _I32, I64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
VECTOR = ir.VectorType(F32, LANES)
INT_VECTOR = ir.VectorType(_I32, LANES)
ZERO = ir.Constant(VECTOR, [0.0] * LANES)
_Body = Callable[[ir.IRBuilder, Sequence[ir.Value]], None]


def transposed(builder: ir.IRBuilder, rows: Sequence[ir.Value]) -> list[ir.Value]:
    """Columns of a square of LANES vectors.

    Blocks off the diagonal are swapped: first the two of half the size, then those of a quarter, and so on.
    That takes 4 * LANES shuffles, where picking entries one by one would take LANES * LANES.
    """
    block = list(rows)
    for step in (8, 4, 2, 1):
        # Of two rows whose numbers differ in this bit, `low` gathers the entries of both whose own bit is 0,
        # `high` the others: so the bit changes places between the numbers of rows and of columns.
        low = [k if not k & step else LANES + k - step for k in range(LANES)]
        high = [k + step if not k & step else LANES + k for k in range(LANES)]
        for k in [k for k in range(LANES) if not k & step]:
            pair = block[k], block[k + step]
            block[k], block[k + step] = (shuffle(builder, *pair, m) for m in (low, high))
    return block


def cases(builder: ir.IRBuilder, value: ir.Value, numbers: Sequence[int]) -> Iterator[int]:
    """Each of `numbers` in turn, with the builder inside the branch that runs if `value` is that number.

    Afterwards the builder stands behind all branches. Any other value runs none of them.
    """
    # A switch, because the code of each number keeps as many sums in registers as that number needs.
    after = builder.append_basic_block("after")
    switch = builder.switch(value, after)
    for case in numbers:
        block = builder.append_basic_block(f"case{case}")
        switch.add_case(whole(case), block)
        builder.position_at_end(block)
        yield case
        builder.branch(after)
    builder.position_at_end(after)


class Loop:
    """`for index in range(count)`, count >= 1, with values carried from step to step in registers."""

    def __init__(self, builder: ir.IRBuilder, count: ir.Value, start: Sequence[ir.Value]) -> None:
        """A loop that is written on entering `with`.

        Args:
          builder: stands in the loop inside of `with`, behind the loop afterwards.
          count: of steps.
          start: values of `carried` in the first step.
        """
        self._builder, self._count, self._start = builder, count, start
        self.results: list[ir.Value] = []

    def __enter__(self) -> "Loop":
        """The loop, with `index` and `carried` of the step."""
        before = self._builder.block
        self._block = self._builder.append_basic_block("loop")
        self._builder.branch(self._block)
        self._builder.position_at_end(self._block)
        # LLVM wants all phis of a block before its other instructions.
        self.index = self._builder.phi(I64)
        self.index.add_incoming(whole(0), before)
        self.carried = [self._builder.phi(value.type) for value in self._start]  # pyright: ignore[reportAttributeAccessIssue]
        for phi, value in zip(self.carried, self._start, strict=True):
            phi.add_incoming(value, before)
        return self

    def carry(self, values: Sequence[ir.Value]) -> None:
        """Pass `values` on to the next step, or out of the loop as `results`."""
        # A step is one block: if it branched, values would reach the next step from another block.
        self.results = list(values)
        for phi, value in zip(self.carried, self.results, strict=True):
            phi.add_incoming(value, self._block)

    def __exit__(self, *failure: object) -> None:
        """End the loop; `results` are the values carried out of the last step."""
        # Tested at the end only, because there always is a first step.
        after = self._builder.append_basic_block("after")
        following = self._builder.add(self.index, whole(1))
        self.index.add_incoming(following, self._block)
        again = self._builder.icmp_signed("<", following, self._count)
        self._builder.cbranch(again, self._block, after)
        self._builder.position_at_end(after)


def routine(name: str, kinds: Sequence[types.Type], body: _Body) -> tuple:
    """Signature and code generator of an intrinsic on flat arrays and integers.

    The body is a function of its own that is never inlined: when inlined, the optimiser spilled the product's
    sums to memory, which halved the speed.
    """
    signature = types.void(*kinds)

    def call(context, builder, signature, arguments):  # noqa: ANN001, ANN202 llvmlite's own types
        given = [
            context.make_array(kind)(context, builder, value).data if kind in _ARRAYS else value
            for kind, value in zip(kinds, arguments, strict=True)
        ]
        kind = ir.FunctionType(ir.VoidType(), [value.type for value in given])
        function = cgutils.get_or_insert_function(builder.module, kind, name)
        if not function.blocks:
            # Modules that Numba links may each hold a copy of it; with this linkage one of them is kept.
            function.linkage = "linkonce_odr"
            function.attributes.add("noinline")
            inside = ir.IRBuilder(function.append_basic_block())
            body(inside, function.args)
            inside.ret_void()
        builder.call(function, given)
        return context.get_dummy_value()

    return signature, call


def whole(value: int) -> ir.Constant:
    """An int64 constant."""
    return ir.Constant(I64, value)


def made(value: object) -> ir.Value:
    """The same value, with the type that llvmlite's annotations leave out."""
    assert isinstance(value, ir.Value)
    return value


def index(builder: ir.IRBuilder, base: ir.Value, times: int, plus: ir.Value) -> ir.Value:
    """`base` * `times` + `plus`."""
    return made(builder.add(builder.mul(base, whole(times)), plus))


def plus(builder: ir.IRBuilder, value: ir.Value, number: int) -> ir.Value:
    """`value` + `number`."""
    return made(builder.add(value, whole(number)))


def add_product(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, total: ir.Value) -> ir.Value:
    """A * b + total of float vectors, rounded once."""
    kind = ir.FunctionType(VECTOR, [VECTOR] * 3)
    fma = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{LANES}f32")
    return made(builder.call(fma, [a, b, total]))


def choose(builder: ir.IRBuilder, order: str, a: ir.Value, b: ir.Value) -> ir.Value:
    """`a` where a `order` b, else b, also where either is NaN; one instruction, unlike LLVM's minimum."""
    return made(builder.select(builder.fcmp_ordered(order, a, b), a, b))


def _place(builder: ir.IRBuilder, array: ir.Value, vector: ir.Value) -> ir.Value:
    at = builder.gep(array, [builder.mul(vector, whole(LANES))], source_etype=F32)
    return made(builder.bitcast(at, VECTOR.as_pointer()))


def load(builder: ir.IRBuilder, array: ir.Value, vector: ir.Value) -> ir.Value:
    """A vector of a float array."""
    # Slices begin anywhere, so no more can be promised than the alignment of a single float.
    return builder.load(_place(builder, array, vector), align=4, typ=VECTOR)


def store(builder: ir.IRBuilder, value: ir.Value, array: ir.Value, vector: ir.Value) -> None:
    """Write a vector of a float array."""
    builder.store(value, _place(builder, array, vector), align=4)


def load_words(builder: ir.IRBuilder, array: ir.Value, vector: ir.Value) -> ir.Value:
    """A vector of an int32 array."""
    at = builder.gep(array, [builder.mul(vector, whole(LANES))], source_etype=_I32)
    return builder.load(made(builder.bitcast(at, INT_VECTOR.as_pointer())), align=4, typ=INT_VECTOR)


def load_at(builder: ir.IRBuilder, array: ir.Value, at: ir.Value) -> ir.Value:
    """LANES floats of an array from entry `at` on, which needs no alignment."""
    place = builder.gep(array, [at], source_etype=F32)
    return made(builder.load(builder.bitcast(place, VECTOR.as_pointer()), align=4, typ=VECTOR))


def fetch(builder: ir.IRBuilder, array: ir.Value, at: ir.Value) -> None:
    """Prefetch the cache line of an entry; one outside of the array does no harm."""
    kind = ir.FunctionType(ir.VoidType(), [F32.as_pointer(), _I32, _I32, _I32])
    prefetch = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
    to_read_soon = [ir.Constant(_I32, value) for value in (0, 3, 1)]  # a read, of all caches, of data
    builder.call(prefetch, [builder.gep(array, [at], source_etype=F32), *to_read_soon])


def load_ints(builder: ir.IRBuilder, array: ir.Value, vector: int) -> ir.Value:
    """A vector of an int64 array, as 32 bits."""
    wide = ir.VectorType(I64, LANES)
    place = builder.gep(array, [whole(vector * LANES)], source_etype=I64)
    # Numbers of columns fit 32 bits, and sixteen of them one register.
    loaded = builder.load(builder.bitcast(place, wide.as_pointer()), align=8, typ=wide)
    return made(builder.trunc(loaded, INT_VECTOR))


def ints(value: int) -> ir.Constant:
    """A constant in every lane."""
    return ir.Constant(INT_VECTOR, [value] * LANES)


def spread_int(builder: ir.IRBuilder, value: ir.Value) -> ir.Value:
    """An int64 in every lane, as 32 bits."""
    return everywhere(builder, made(builder.trunc(value, _I32)), INT_VECTOR)


def spread(builder: ir.IRBuilder, array: ir.Value, at: ir.Value) -> ir.Value:
    """One float of an array in every lane."""
    return everywhere(builder, builder.load(builder.gep(array, [at], source_etype=F32), typ=F32))


def spread_word(builder: ir.IRBuilder, array: ir.Value, at: ir.Value) -> ir.Value:
    """One int32 of an array in every lane."""
    scalar = builder.load(builder.gep(array, [at], source_etype=_I32), typ=_I32)
    return everywhere(builder, scalar, INT_VECTOR)


def everywhere(builder: ir.IRBuilder, scalar: ir.Value, kind: ir.VectorType = VECTOR) -> ir.Value:
    """A value in every lane."""
    # LLVM makes one broadcast instruction of this pair.
    anything = ir.Constant(kind, ir.Undefined)
    first = builder.insert_element(anything, scalar, ir.Constant(_I32, 0))
    return shuffle(builder, first, anything, [0] * LANES)


def shuffle(builder: ir.IRBuilder, a: ir.Value, b: ir.Value, order: Sequence[int]) -> ir.Value:
    """Vector of entries of a (numbered from 0) and b (from LANES on), in that order."""
    mask = ir.Constant(ir.VectorType(_I32, len(order)), list(order))
    return builder.shuffle_vector(a, b, mask)
