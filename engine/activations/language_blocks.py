"""Order of language pairs that reads each language seldom: block by block, two blocks in memory at a time.

All pairs of n languages in blocks of k read n / k languages for each language at most, not n - 1.
"""

import itertools
from collections.abc import Iterable, Iterator, Sequence

Pair = tuple[str, str]


def blocks(pairs: Sequence[Pair], size: int) -> Iterator[tuple[Pair, frozenset[str]]]:
    """Pairs in an order that needs few languages at a time, each with the languages to keep in memory.

    Languages are divided into blocks of `size`; all pairs of the same two blocks are consecutive.
    """
    languages = sorted({code for pair in pairs for code in pair})
    block = {code: i // size for i, code in enumerate(languages)}
    ordered = sorted(pairs, key=lambda pair: (sorted(block[code] for code in pair), pair))
    for kept, of_blocks in itertools.groupby(ordered, key=lambda pair: {block[code] for code in pair}):
        # One set for all of these pairs: of a hundred languages it would be kept thousands of times.
        stay = frozenset(code for code in languages if block[code] in kept)
        yield from ((pair, stay) for pair in of_blocks)


def arrivals(ordered: Iterable[tuple[Pair, frozenset[str]]]) -> Iterator[tuple[Pair, tuple[str, ...]]]:
    """Pairs in the order of `blocks`, each with those of its languages that have to be read for it."""
    held: frozenset[str] = frozenset()
    for pair, kept in ordered:
        held &= kept
        yield pair, tuple(code for code in dict.fromkeys(pair) if code not in held)
        held |= set(pair)
