"""Error rates, their intervals and gains, against plain loops; normalisers; BLEU and chrF."""

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies as st
from sacrebleu.metrics.bleu import BLEU
from sacrebleu.metrics.chrf import CHRF

from isogloss.engine.transcription import bleu_chrf, edit_counts, error_rates
from isogloss.kernels import bootstrap

BASIC = edit_counts.normaliser("fr", None)


def distance(a, b):
    """Levenshtein by its definition."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        above, row = row, [i]
        for j, y in enumerate(b, 1):
            row.append(min(row[-1] + 1, above[j] + 1, above[j - 1] + (x != y)))
    return row[-1]


texts = st.lists(st.sampled_from(["a", "b", "ab", "c"]), max_size=6).map(" ".join)
pairs = st.lists(st.tuples(texts.filter(bool), texts), min_size=1, max_size=8)


def counts(references, texts, normal=BASIC):
    return {name: column.tolist() for name, column in edit_counts.counts(references, texts, normal).items()}


@hypothesis.given(pairs)
def test_counts_equal_plain_loops(drawn):
    references, given = zip(*drawn, strict=True)
    expected = {
        "word_edits": [distance(r.split(), t.split()) for r, t in drawn],
        "words": [len(r.split()) for r in references],
        "char_edits": [distance(r, t) for r, t in drawn],
        "chars": [len(r) for r in references],
    }
    found = counts(references, given)
    assert tuple(found) == edit_counts.COUNTS
    assert found == expected | {f"{name}_normalised": column for name, column in expected.items()}


def test_counts_as_written_and_normalised():
    """Normalising forgives case and punctuation; an empty text costs the whole reference."""
    found = counts(["Hello, World!", "one two three", "a"], ["hello world", "", " "])
    assert (found["word_edits"], found["word_edits_normalised"]) == ([2, 3, 1], [0, 3, 1])
    assert (found["char_edits"][0], found["char_edits_normalised"]) == (4, [0, 13, 1])
    assert found["words"] == [2, 3, 1]


def test_words_are_split_at_spaces_and_at_runs_of_white_space():
    found = counts(["l'«\u00a0or\u00a0» fin", "a \n b\tc"], ["fin", "b\tc"])
    assert (found["words"], found["word_edits"]) == ([2, 2], [1, 1])


def test_english_has_rules_of_its_own_and_a_name_of_them():
    with_table = edit_counts.normaliser("en", {"colour": "color"})
    without = edit_counts.normaliser("en", None)
    assert (with_table.name, without.name) == ("english", "english without spellings")
    assert with_table("Mr. Smith's colour won't do") == "mister smith is color will not do"
    assert without("twenty one colours") == "21 colours"
    assert BASIC("Mr. Smith's") == "mr smith s"


@pytest.mark.parametrize("language", ["zh", "km", "bo"])
def test_languages_without_spaces_are_compared_without_spaces(language):
    found = counts(["你好,世界"], ["你好 世界"], edit_counts.normaliser(language, None))
    assert [found[f"{name}_normalised"] for name in ("char_edits", "chars", "word_edits")] == [[0], [4], [0]]


def test_parts_that_counted_spaces_are_found_no_more():
    """Other languages keep the parts of earlier versions, which know the normaliser by its name."""
    made = {code: edit_counts.normaliser(code, None) for code in ("bo", "km", "zh", "en", "fr")}
    assert [code for code, normal in made.items() if normal.rules != normal.name] == ["bo", "km"]


def test_a_reference_of_punctuation_alone_is_of_no_use():
    assert [edit_counts.usable(text, BASIC) for text in ("...", "", "a.")] == [False, False, True]


def test_spellings_are_read_or_refused(tmp_path):
    (tmp_path / "good.json").write_text('{"colour": "color"}')
    assert edit_counts.read_spellings(tmp_path / "good.json") == {"colour": "color"}
    for name, content in (("cut.json", '{"colour"'), ("list.json", "[1]"), ("number.json", '{"a": 1}')):
        (tmp_path / name).write_text(content)
        with pytest.raises(ValueError, match=rf"{name}.*fetch the file again"):
            edit_counts.read_spellings(tmp_path / name)


def test_rate_and_interval_equal_a_plain_loop():
    edits, lengths = np.array([0, 3, 1, 7]), np.array([5, 4, 1, 6])
    made = error_rates.rate(edits, lengths)
    assert made.value == 11 / 16
    rng = np.random.default_rng(bootstrap.SEED)
    drawn = rng.integers(4, size=(bootstrap.RESAMPLES, 4))
    loops = [sum(edits[i] for i in row) / sum(lengths[i] for i in row) for row in drawn]
    np.testing.assert_allclose(made.draws, loops, rtol=4e-16)
    figure, ordered = made.figure(), np.sort(made.draws)
    assert (figure.low, figure.high) == (ordered[49], ordered[1949])


def test_a_gain_is_paired():
    """A state that saves one word in every utterance gains without doubt, however much utterances differ."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(5, 30, 50)
    worse = rng.integers(1, 40, 50)
    one, other = (error_rates.rate(edits, lengths) for edits in (worse - 1, worse))
    gain = one.gain_over(other, smaller_is_better=True)
    assert gain.value == pytest.approx(50 / lengths.sum(), abs=1e-15)
    apart = one.figure().high - one.figure().low
    assert 0 < gain.high - gain.low < apart / 5
    back = other.gain_over(one, smaller_is_better=True)
    assert back.value == -gain.value
    assert back.low < 0 and back.high < 0  # noqa: PT018
    assert one.gain_over(one, smaller_is_better=True) == error_rates.Figure(value=0.0, low=0.0, high=0.0)
    assert one.gain_over(other, smaller_is_better=False).value == -gain.value


def test_one_utterance_and_none():
    half = error_rates.Figure(value=0.5, low=0.5, high=0.5)
    assert error_rates.rate(np.array([2]), np.array([4])).figure() == half
    nothing = error_rates.rate(np.zeros(0, np.int64), np.zeros(0, np.int64))
    gain = nothing.gain_over(nothing, smaller_is_better=True)
    assert np.isnan([nothing.value, nothing.figure().low, gain.value]).all()
    with pytest.raises(ValueError, match="at least one word"):
        error_rates.rate(np.array([1]), np.array([0]))


sentence = st.lists(st.sampled_from(["the", "cat", "sat", "on", "it,", "a"]), max_size=9).map(" ".join)
sentences = st.lists(sentence, min_size=8, max_size=8)


@hypothesis.settings(max_examples=20)
@hypothesis.given(sentences, sentences)
def test_resampled_statistics_make_the_figures_of_sacrebleu(given, expected):
    """Of some resamples, and of every sentence once."""
    bleu, signature = bleu_chrf.bleu(given, expected, "13a")
    chrf, chrf_signature = bleu_chrf.chrf(given, expected)
    assert signature.startswith("nrefs:1|case:mixed|eff:no|tok:13a|smooth:exp|version:")
    assert chrf_signature.startswith("nrefs:1|case:mixed|eff:yes|nc:6|nw:0|space:no|version:")
    counts = bootstrap.resamples(8)[:3].astype(int)
    for row, b, c in zip(counts, bleu.draws, chrf.draws, strict=False):
        ours, theirs = (np.repeat(texts, row).tolist() for texts in (given, expected))
        assert b == pytest.approx(BLEU().corpus_score(ours, [theirs]).score, abs=1e-9)
        assert c == pytest.approx(CHRF().corpus_score(ours, [theirs]).score, abs=1e-9)
    matches = np.asarray([bleu_chrf._matches(t, r) for t, r in zip(given, expected, strict=True)])
    whole = bleu_chrf.chrf_of(matches.sum(0, keepdims=True))[0]
    assert whole == pytest.approx(chrf.value, abs=1e-9)


def test_no_translation_has_no_score():
    for made, signature in (bleu_chrf.bleu([], [], "13a"), bleu_chrf.chrf([], [])):
        assert np.isnan(made.value)
        assert signature == ""


@pytest.mark.parametrize(
    ("language", "tokenizer"),
    [
        *(("zh", "zh"), ("yue", "zh"), ("ja", "char"), ("th", "char"), ("lo", "char"), ("km", "char")),
        *(("my", "char"), ("bo", "char"), ("en", "13a"), ("ko", "13a"), ("ky", "13a")),
    ],
)
def test_bleu_of_languages_without_spaces_counts_characters(language, tokenizer):
    texts = ["门是红色的。", "那只猫睡了很久, OK", "明天会再下雨吗"]
    references = ["这扇门是红色的。", "那只猫睡得很久, OK", "明天又要下雨了"]
    normal = edit_counts.normaliser(language, None)
    assert normal.tokenizer == tokenizer
    made, signature = bleu_chrf.bleu(texts, references, normal.tokenizer)
    expected = BLEU(tokenize=tokenizer).corpus_score(texts, [references]).score
    assert made.value == bleu_chrf.corpus_bleu(texts, references, tokenizer) == pytest.approx(expected)
    assert f"|tok:{tokenizer}|" in signature
    for row, drawn in zip(bootstrap.resamples(3)[:5].astype(int), made.draws, strict=False):
        ours, theirs = (np.repeat(of, row).tolist() for of in (texts, references))
        again = BLEU(tokenize=tokenizer).corpus_score(ours, [theirs]).score
        assert drawn == pytest.approx(again, abs=1e-9)
    if tokenizer != "13a":
        assert made.value > 4 * BLEU().corpus_score(texts, [references]).score
