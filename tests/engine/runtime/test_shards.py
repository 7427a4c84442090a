"""engine.runtime.shards: shares cover the plan without overlap."""

import pytest
from hypothesis import given, strategies as st

from isogloss.engine.runtime import shards


@given(st.integers(0, 60), st.integers(1, 9))
def test_shares_cover_everything_once(units, count):
    shares = [shards.Share(index=i, count=count).of(range(units)) for i in range(count)]
    assert [unit for share in shares for unit in share] == list(range(units))
    assert max(map(len, shares)) - min(map(len, shares)) <= 1


@given(st.lists(st.integers(0, 9), max_size=9), st.integers(1, 9))
def test_rows_of_several_lists_are_the_share_of_all_of_them(sizes, count):
    units = [(number, row) for number, size in enumerate(sizes) for row in range(size)]
    for index in range(count):
        share = shards.Share(index=index, count=count)
        rows = share.rows(sizes)
        assert len(rows) == len(sizes)
        assert [(number, row) for number, own in enumerate(rows) for row in own] == share.of(units)


@pytest.mark.parametrize(("index", "count"), [(-1, 2), (2, 2), (0, 0)])
def test_a_share_that_does_not_exist(index, count):
    with pytest.raises(ValueError, match="--shard_index must be from 0"):
        shards.Share(index=index, count=count)


def test_speed_is_measured():
    assert shards.product_flops("cpu") > 1e9
