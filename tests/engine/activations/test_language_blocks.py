"""activations.language_blocks: every pair once, few languages in memory, few reads."""

import itertools

import pytest

from isogloss.engine.activations import language_blocks

CODES = [f"l{i:02d}" for i in range(11)]
PAIRS = list(itertools.combinations(CODES, 2))


def test_blocks_visit_every_pair_and_keep_few_languages():
    visited = list(language_blocks.blocks(PAIRS, 3))
    assert sorted(pair for pair, _ in visited) == PAIRS
    assert all(set(pair) <= kept and len(kept) <= 6 for pair, kept in visited)


@pytest.mark.parametrize(("size", "reads"), [(11, 11), (6, 11), (3, 24), (1, 64)])
def test_a_language_is_read_at_most_once_for_a_pair_of_blocks(size, reads):
    read = [codes for _, codes in language_blocks.arrivals(language_blocks.blocks(PAIRS, size))]
    assert len(read) == len(PAIRS)
    assert sum(map(len, read)) == reads


def test_a_pair_of_a_language_with_itself_reads_it_once():
    assert list(language_blocks.arrivals(language_blocks.blocks([("a", "a")], 2))) == [(("a", "a"), ("a",))]
