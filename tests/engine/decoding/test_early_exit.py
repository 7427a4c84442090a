"""The exits of the encoder, each once."""

import pytest

from isogloss.engine.decoding import early_exit


def names(states, norm):
    return [f"{e.state}{'+' if e.exit_norm else '-'}" for e in early_exit.choose(states, norm, 3)]


@pytest.mark.parametrize(
    ("states", "norm", "expected"),
    [
        ((), "true", ["1+", "2+", "final+"]),
        ((), "false", ["1-", "2-", "3-", "final+"]),
        ((), "both", ["1+", "1-", "2+", "2-", "3-", "final+"]),
        (("final",), "both", ["final+"]),
        (("final", "2"), "false", ["2-", "final+"]),
        (("3",), "true", ["final+"]),
        (("3",), "both", ["3-", "final+"]),
        (("3", "final"), "true", ["final+"]),
        (("3",), "false", ["3-"]),
    ],
)
def test_each_exit_is_taken_once(states, norm, expected):
    assert names(states, norm) == expected


def test_nonsense_is_refused():
    with pytest.raises(ValueError, match="--exit_norm"):
        names((), "maybe")
    for states in (("0",), ("2", "2")):
        with pytest.raises(ValueError, match="1, 2, 3, final"):
            names(states, "true")
