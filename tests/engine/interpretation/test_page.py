"""The page of matches: what it holds, that nothing escapes it, and that it needs no network."""

import json
import re

import numpy as np
import pages
import pandas as pd

from isogloss.engine.interpretation import match_tests, page as interpret_page


def sentence_pairs(checked):
    keys = ["language_a", "language_b", "state", "query", "candidate", "utterance_a", "utterance_b", "gold"]
    table = checked.pairs.groupby(keys, as_index=False, sort=False)["share"].sum()
    shares = {"score": table["share"], "precision": 0.5, "recall": 0.25, "share_gap": 0.1, "problem": ""}
    return table.assign(**shares)


def render(checked, pairs=None, **settings):
    pairs = sentence_pairs(checked) if pairs is None else pairs
    return pages.opened(interpret_page.render(checked, pairs, settings, name="run"))


def block(page, key):
    return json.loads(pages.inflated(pages.script(page, key)))


def meta(page):
    return json.loads(re.search(r'id="meta">(.*?)</script>', page, re.DOTALL).group(1))


def test_words_and_matches_are_all_there(checked):
    page = render(checked)
    assert block(page, "words-en")["s1.0"] == [["the", "cat"], [0, 1], [0, 50], [40, 90]]
    assert meta(page)["sets"] == [{"a": "en", "b": "de", "state": state, "n": 4} for state in "01"]
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
    assert [interpret_page._number(value, 1000) for value in (np.nan, np.inf)] == [None, None]


def test_it_names_its_model_and_links_to_the_report_beside_it(checked, tmp_path):
    path = tmp_path / "interpret" / "interpret.html"
    path.parent.mkdir()

    def written():
        interpret_page.write(path, checked, sentence_pairs(checked), {}, name="run", model="base & co")
        return pages.opened(path.read_text())

    assert "in base &amp; co</h1>" in written()
    assert "report.html" not in written()
    beside = tmp_path / "report" / "report.html"
    beside.parent.mkdir()
    beside.touch()
    assert '<a href="../report/report.html">' in written()


def test_pairs_without_a_match_or_a_share_stay_out(checked):
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
    interpret_page.write(
        path, checked, sentence_pairs(checked), {"model": "whisper-nano"}, name="run", model=""
    )
    assert pages.opened(path.read_text("utf-8")) == page


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
    empty = match_tests.CheckedMatches(*(part.iloc[:0] for part in checked))
    assert meta(render(empty, pairs.iloc[:0]))["sets"] == []


def test_unknown_meaning_and_sound(checked):
    blank = checked.pairs.assign(meaning=np.nan, sound_distance=np.nan)
    page = render(checked._replace(pairs=blank, random=checked.random.assign(meaning=np.nan)))
    assert sum(meta(page)["random"][0]["cells"]) == 0
    assert set(block(page, "set-1")[0]["sound_distance"]) == {None}


def test_chance_is_that_of_each_state(checked):
    random = checked.random
    fewer = random[(random["state"] == "1") | (random["utterance_a"] == "s0.0")]
    shown = meta(render(checked._replace(random=fewer)))["random"]
    assert [(one["a"], one["b"], one["state"]) for one in shown] == [("en", "de", state) for state in "01"]
    known = fewer.dropna(subset=list(match_tests.CHECKS))["state"].value_counts()
    assert [sum(one["cells"]) for one in shown] == [known["0"], known["1"]]


def test_the_page_holds_in_what_words_are_alike(checked):
    """Its numbers are rounded: the side of a limit on which a word pair lies can't be computed from them."""
    page = render(checked)
    own = checked.pairs[(checked.pairs["state"] == "1") & (checked.pairs["utterance_a"] == "s0.0")]
    codes = block(page, "set-1")[0]["alike"]
    names = [None if code is None else meta(page)["alike"][code] for code in codes]
    assert names == [None if pd.isna(name) else name for name in own["alike"]]
    assert len(set(names)) > 2
    assert "meta.alike[pair.alike[k]" in pages.script(page, "script")
