"""Blocks of utterances: made together and kept apart."""

import itertools
import threading
import time
from concurrent.futures import CancelledError

import pytest
from processes import PATIENCE

from isogloss.engine.activations.state_source import ListedUtterance
from isogloss.engine.decoding import utterance_blocks
from isogloss.engine.decoding.utterance_blocks import BLOCK, UtteranceBlock

TEXT = {"sentence": "s", "transcription": "t", "seconds": 1.0, "frames": 50, "truncated": False}


class Source:
    """Utterances of two languages; no state is asked for."""

    states, apply_norm, languages, whole_window, step_rows = ("1",), (False,), ("aa", "bb"), True, 1
    corpora, estimated, sizes = ("two",), {}, {"aa": 2 * BLOCK + 1, "bb": 3}

    def encoded(self, language, rows):
        raise AssertionError("no state is asked for")

    def identity(self, language):
        return {}

    def known_identity(self, language):
        raise AssertionError(language)

    def without_states(self, rows):
        raise AssertionError("no state is asked for")

    def sentences(self, language):
        return ["s"] * self.sizes[language]

    def utterances(self, language):
        rows = range(self.sizes[language])
        return tuple(ListedUtterance(row=row, name=f"{language}{row}", **TEXT) for row in rows)


def blocks():
    return [unit for language in Source.languages for unit in utterance_blocks.blocks(Source(), language)]


def test_units_are_blocks_of_one_language():
    assert [unit.name for unit in utterance_blocks.units(Source())] == [unit.name for unit in blocks()]
    made = [(unit.name, len(unit.utterances)) for unit in blocks()]
    assert made == [("aa.00000", BLOCK), ("aa.00001", BLOCK), ("aa.00002", 1), ("bb.00000", 3)]


@pytest.mark.parametrize("rows", [1, BLOCK, BLOCK + 1, 1000])
@pytest.mark.parametrize("each", [1, 3])
def test_what_is_made_together_comes_apart_again(rows, each):
    asked, arrived = [], []

    def make(unit: UtteranceBlock, advance):
        names = [utterance.name for utterance in unit.utterances]
        asked.append(names)
        for _ in names:
            advance()
        return [(name, number) for name in names for number in range(each)]

    units = blocks()
    del units[1]  # one that was made before
    made = list(utterance_blocks.made_together(units, rows, make, lambda: arrived.append(1)))
    assert [unit for unit, _ in made] == units
    for unit, things in made:
        names = [utterance.name for utterance in unit.utterances]
        assert things == list(itertools.product(names, range(each)))
    together = {1: 1, BLOCK: 1}.get(rows, 2)
    assert len(asked) == (3 if together == 1 else 2)
    assert len(arrived) == utterance_blocks.utterance_count(units)


def test_the_next_unit_begins_while_one_is_made():
    """And no third one: memory holds two."""
    units, begun = blocks(), [threading.Event() for _ in range(4)]

    def make(unit: UtteranceBlock, advance):
        number = units.index(unit)
        begun[number].set()
        if number + 1 < len(units):
            assert begun[number + 1].wait(PATIENCE), f"unit {number + 1} waits for unit {number}"
        return unit.utterances

    following = utterance_blocks.made_together(units, 1, make, lambda: None)
    assert next(following)[0] == units[0]
    assert [event.is_set() for event in begun] == [True, True, False, False]
    assert [unit for unit, _ in following] == units[1:]


@pytest.mark.parametrize("fails", [0, 1])
def test_a_failure_ends_the_other_unit_at_its_next_utterance(fails, caplog):
    """What was made before it arrives, and then the exception itself; the other's end is no failure."""
    units, begun, failed = blocks(), threading.Event(), ValueError("the disk is full")
    stopped = []

    def make(unit: UtteranceBlock, advance):
        number = units.index(unit)
        if number < fails:
            return unit.utterances
        if number == fails:
            assert begun.wait(PATIENCE)
            raise failed
        begun.set()
        try:
            for _ in range(100 * PATIENCE):  # takes 10 ms each
                advance()
        except CancelledError:
            stopped.append(number)
            raise

    made = []
    with pytest.raises(ValueError, match="disk is full") as raised:
        made.extend(utterance_blocks.made_together(units, 1, make, lambda: time.sleep(0.01)))
    assert raised.value is failed
    assert stopped == [fails + 1]
    assert not caplog.records


@pytest.mark.parametrize("first", [0, 1])
def test_a_second_failure_is_logged(first, caplog):
    """Whichever unit fails first, the earlier one's failure is raised; neither vanishes."""
    units, broken = blocks(), [ValueError("a bad recording"), MemoryError("the device is full")]
    began, failing = threading.Barrier(2), threading.Event()

    def make(unit: UtteranceBlock, advance):
        began.wait(PATIENCE)
        number = units.index(unit)
        if number == first:
            failing.set()
        assert failing.wait(PATIENCE)
        raise broken[number]

    with pytest.raises(ValueError, match="a bad recording"):
        list(utterance_blocks.made_together(units, 1, make, lambda: None))
    [logged] = caplog.records
    assert logged.getMessage() == f"{units[1].name} failed, too"
    assert logged.exc_info[1] is broken[1]
