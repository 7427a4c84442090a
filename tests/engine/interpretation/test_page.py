"""The page of matches: what it holds, that nothing escapes it, and that it needs no network."""

import base64
import json
import re
import zlib

import numpy as np
import pandas as pd
import pytest

from isogloss.engine.interpretation import match_tests, page as interpret_page


def sentence_pairs(checked):
    keys = ["language_a", "language_b", "state", "query", "candidate", "utterance_a", "utterance_b", "gold"]
    table = checked.pairs.groupby(keys, as_index=False, sort=False)["share"].sum()
    shares = {"score": table["share"], "precision": 0.5, "recall": 0.25, "share_gap": 0.1, "problem": ""}
    return table.assign(**shares)


def render(checked, pairs=None, **settings):
    pairs = sentence_pairs(checked) if pairs is None else pairs
    return interpret_page.render(checked, pairs, settings, name="run")


def block(page, key):
    packed = re.search(rf'id="{re.escape(key)}">([^<]*)</script>', page).group(1)
    return json.loads(zlib.decompress(base64.b64decode(packed)))


def meta(page):
    return json.loads(re.search(r'id="meta">(.*?)</script>', page, re.DOTALL).group(1))


def test_words_and_matches_are_all_there(checked):
    page = render(checked)
    assert block(page, "words-en")["s1.0"] == [["the", "cat"], [0, 1], [0, 50], [40, 90]]
    sets = meta(page)["sets"]
    assert [(s["a"], s["b"], s["state"], s["n"]) for s in sets] == [
        ("en", "de", "0", 4),
        ("en", "de", "1", 4),
    ]
    row = {row["query"]: row for row in block(page, "set-1")}["s1"]
    assert [row[name] for name in ("candidate", "utterance_a", "gold")] == ["s1", "s1.0", 1]
    # nine pairs of 0.05, gap included
    scores = [row[name] for name in ("score", "precision", "recall", "share_gap")]
    assert scores == [4500, 5000, 2500, 1000]
    ia, ib, similarity = row["index_a"], row["index_b"], row["similarity"]
    assert sorted(zip(ia, ib, row["flags"], strict=True)) == sorted(
        (i, j, 3 if i == j >= 0 else 0) for i in range(-1, 2) for j in range(-1, 2)
    )
    assert set(row["share"]) == {500}
    assert {similarity[k] for k in range(9) if ia[k] < 0 or ib[k] < 0} == {None}
    tests = meta(page)["tests"]
    assert len(tests) == len(checked.tests)
    assert tests[0]["p_t"] is None  # unknown is null, not NaN


def test_pairs_that_say_nothing_stay_out(checked):
    quiet = checked._replace(pairs=checked.pairs.assign(share=0.0))
    row = {row["query"]: row for row in block(render(quiet), "set-1")}["s1"]
    assert list(zip(row["index_a"], row["index_b"], strict=True)) == [(0, 0), (1, 1)]


def test_the_page_is_whole_and_local(checked, tmp_path):
    page = render(checked, model="whisper-nano")
    assert "default-src 'none'" in page
    assert not re.search(r"(src|href)\s*=\s*[\"']?(?!data:)[a-z]+:", page)
    assert not re.search(r"@import|url\(", page)
    assert "$" + "css" not in page
    assert "whisper-nano" in page
    path = tmp_path / "page.html"
    interpret_page.write(path, checked, sentence_pairs(checked), {"model": "whisper-nano"}, name="run")
    assert path.read_text("utf-8") == page


def test_text_cannot_leave_its_place(checked):
    bad = "</script><script>alert(1)</script>"
    pairs = checked.pairs.replace({"word_a": {"cat": bad}, "language_b": {"de": bad}, "query": {"s1": bad}})
    other = checked._replace(pairs=pairs, tests=checked.tests.replace({"language_b": {"de": bad}}))
    page = render(other, **{bad: bad})
    assert bad not in page
    assert page.count("</script>") == render(checked).count("</script>")


def test_problems_are_counted(checked):
    pairs = sentence_pairs(checked)
    pairs.loc[0, "problem"] = "no words"
    page = render(checked, pairs)
    assert "can&#x27;t be compared: 1;" in page
    assert meta(page)["sets"][0]["n"] == 3
    assert "can&#x27;t be compared" not in render(checked)


def test_nothing_to_show(checked):
    empty = match_tests.CheckedMatches(
        checked.pairs.iloc[:0], checked.random.iloc[:0], pd.DataFrame(), pd.DataFrame()
    )
    page = render(empty, sentence_pairs(checked).iloc[:0])
    assert meta(page)["sets"] == []


def test_unknown_meaning_and_sound(checked):
    blank = checked.pairs.assign(meaning=np.nan, sound_distance=np.nan)
    page = render(checked._replace(pairs=blank, random=checked.random.assign(meaning=np.nan)))
    assert sum(meta(page)["random"][0]["cells"]) == 0
    assert set(block(page, "set-1")[0]["sound_distance"]) == {None}


def test_chance_is_that_of_each_state(checked):
    random = checked.random
    fewer = random[(random["state"] == "1") | (random["utterance_a"] == "s0.0")]
    shown = meta(render(checked._replace(random=fewer)))["random"]
    assert [(one["a"], one["b"], one["state"]) for one in shown] == [("en", "de", "0"), ("en", "de", "1")]
    known = fewer.dropna(subset=list(match_tests.CHECKS))["state"].value_counts()
    assert [sum(one["cells"]) for one in shown] == [known["0"], known["1"]]


def test_in_what_words_are_alike_is_told_not_computed_again(checked):
    """Numbers are rounded for the page, so that they don't tell on which side of a limit a word pair is."""
    page = render(checked)
    own = checked.pairs[(checked.pairs["state"] == "1") & (checked.pairs["utterance_a"] == "s0.0")]
    codes = block(page, "set-1")[0]["alike"]
    names = [None if code is None else meta(page)["alike"][code] for code in codes]
    assert names == [None if pd.isna(name) else name for name in own["alike"]]
    assert len(set(names)) > 2
    assert "meta.alike[pair.alike[k]" in page


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_json_lacks_are_null(value):
    assert interpret_page._number(value, 1000) is None
