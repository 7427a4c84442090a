"""Amounts and sentences that people read."""

import pytest

from isogloss.engine.runtime import amounts, sentences
from isogloss.engine.runtime.shards import Share


@pytest.mark.parametrize(
    ("name", "amount", "text"),
    [
        ("bytes", 0, "0 B"),
        ("bytes", 999, "999 B"),
        ("bytes", 999_600, "1.0 MB"),
        ("bytes", 23_400_000, "23 MB"),
        ("bytes", 4.6e12, "4.6 TB"),
        ("estimated_seconds", 0.0, "about 0 s"),
        ("estimated_seconds", 3.25, "about 3.2 s"),
        ("estimated_seconds", 59.7, "about 1 min 0 s"),
        ("align_estimated_seconds", 12_000, "about 3 h 20 min"),
        ("estimated_seconds", 187_300, "about 2 d 4 h"),
        ("flops", 2_500_000_000, "2.5 GFLOP"),
        ("peak_flops_per_second", 85e9, "85 GFLOP/s"),
        ("utterances", 77_809, "77,809"),
    ],
)
def test_figures_in_the_unit_of_their_name(name, amount, text):
    assert amounts.figure(name, amount) == text


@pytest.mark.parametrize(
    ("counts", "share", "text"),
    [
        ((24, 0, 0), Share(), "stored 24 of 24 utterances (37 MB) in out"),
        ((4, 19, 1), Share(), "stored 23 of 24 utterances (37 MB) in out, 1 failed and is named above"),
        ((0, 24, 0), Share(), "nothing was left to do: all 24 utterances (37 MB) are in out"),
        ((3, 0, 0), Share(index=1, count=8), "stored 3 of 3 utterances of shard 1 of 8 (37 MB) in out"),
    ],
)
def test_last_sentences(counts, share, text):
    assert sentences.stored(*counts, "utterances", "out", share, 37_000_000) == text


def test_a_command_can_be_pasted():
    assert sentences.command("grid", store="a b/s") == "python -m isogloss.jobs.grid '--store=a b/s'"
