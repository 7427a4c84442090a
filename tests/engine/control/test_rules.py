"""Rules and raters against sentences that are marked by hand."""

import pytest

from isogloss.engine.control import names, rules

BY_HAND = """
- Please hold.
n The bridge in Halifax is closed.
d Press 2 to listen.
nd Apollo 11 landed on the Moon.
- It is twenty past six.
d The year १९८४ was long.
n Veuillez called Marie.
- all of this is lower case
d Channel 5a is free.
n Ask the Beatles.
- A room with a view.
d It costs 3.50 today.
n Lake Geneva is deep.
- Nobody answered.
d Room 101 is locked.
n Professor Curie spoke.
- The line is busy.
d ٣ calls wait.
n From Paris to Rome.
- Thank you for waiting.
d Dial *98.
n Kyrgyz is spoken there.
- Good bye.
d Wait 10-12 minutes.
n In Tokyo it rains.
- The conference is full.
d Extension 42.
n Miss Bennet left.
- Enter your password.
d Six or 7.
""".strip().splitlines()


@pytest.fixture(scope="module")
def marked():
    assert len(BY_HAND) == 30
    return [line.split(" ", 1) for line in BY_HAND]


def test_numbers_are_those_marked_by_hand(marked):
    found = rules.evidence({"en": {str(i): text for i, (_, text) in enumerate(marked)}}, {})
    assert found.numbered == {str(i) for i, (mark, _) in enumerate(marked) if "d" in mark}
    assert found.named is None
    assert found.numbers["en"]["2"] == ("2",)


@pytest.fixture(scope="module")
def spacy_model(tmp_path_factory):
    """A model that finds the names of the sentences marked by hand, and a date, which is none."""
    spacy = pytest.importorskip("spacy", reason="the extra `names` isn't installed")
    found = "Halifax Apollo Moon Veuillez Marie Beatles Geneva Curie Paris Rome Kyrgyz Tokyo Bennet".split()
    model = spacy.blank("en")
    ruler = model.add_pipe("entity_ruler")
    ruler.add_patterns([{"label": "PERSON", "pattern": each} for each in found])
    ruler.add_patterns([{"label": "DATE", "pattern": "today"}])
    folder = tmp_path_factory.mktemp("spacy") / "model"
    model.to_disk(folder)
    return folder


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_names_by_spacy_are_those_marked_by_hand(marked, spacy_model):
    texts = {"en": {str(i): text for i, (_, text) in enumerate(marked)}}
    found = names.find([f"en:spacy:{spacy_model}"], texts)
    assert rules.voted(found) == {str(i) for i, (mark, _) in enumerate(marked) if "n" in mark}
    assert found["en"]["6"] == ("Veuillez", "Marie")
    assert found["en"]["11"] == ()
    with pytest.raises(ValueError, match=r"spacy download no_such_model"):
        names.find(["en:spacy:no_such_model"], texts)
    with pytest.raises(ValueError, match="en twice"):
        names.find([f"en:spacy:{spacy_model}"] * 2, texts)


def test_two_raters_must_agree_and_one_decides_alone():
    both = {"en": {"1": ("A",), "2": ()}, "fr": {"1": ("A",), "2": ("Veuillez",)}}
    assert rules.voted(both) == {"1"}
    assert rules.voted({"fr": both["fr"]}) == {"1", "2"}
    more = both | {"de": {"2": ("V",)}}
    assert rules.voted(more) == {"1", "2"}  # two of three


def test_removals_are_alone_then_cumulated():
    alone = (("names",), ("numbers",), ("alike",))
    assert rules.removals(("alike", "names", "numbers")) == (
        *alone,
        ("names", "numbers"),
        ("names", "numbers", "alike"),
    )
    assert rules.removals(("numbers",)) == (("numbers",),)


@pytest.mark.parametrize(
    ("content", "message"),
    [("language\tsentence\n", "lacks name"), ("language\tsentence\tname\nen\t1\n", "line 2: 2 fields")],
)
def test_broken_tables_are_refused(tmp_path, content, message):
    path = tmp_path / "names.tsv"
    path.write_text(content)
    with pytest.raises(ValueError, match=message):
        names.find([f"table:{path}"], {"en": {}})
