"""engine.drawing.panels: which states have a label, and figures of many panels."""

import itertools

import pytest

from isogloss.engine.drawing import panels


@pytest.mark.parametrize("states", [1, 2, 8, 14, 34, 50])
def test_labels_are_few_evenly_spaced_and_end_with_the_last_state(states):
    shown = panels.labelled(states, 12)
    assert (shown[0], shown[-1]) == (0, states - 1)
    assert len(shown) <= 13
    steps = {b - a for a, b in itertools.pairwise(shown[:-1])}
    assert len(steps) <= 1
    assert all(shown[-1] - shown[-2] >= step for step in steps)  # nothing stands too near to the last


def test_panels_without_content_have_no_axes():
    figure, made = panels.several(4, row=2.8, rest=0.9, shared=True)
    assert [panel.axison for panel in made] == [True] * 4 + [False] * 2
    assert figure.get_size_inches() == pytest.approx([10.8, 6.5])
    assert len(panels.several(0, row=2.8, rest=0.9, shared=False)[1]) == 1
