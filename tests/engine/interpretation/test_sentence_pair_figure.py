"""Figures of matches: what is drawn, where, in which script; and the same bytes every time."""

import hashlib
import io

import numpy as np
import pytest
from hypothesis import given, strategies as st
from matplotlib import patches

from isogloss.engine.drawing import fonts, picture_files
from isogloss.engine.interpretation import match_tests, plane_figure, sentence_pair_figure
from isogloss.engine.interpretation.sentence_pair_figure import FigureSide, Match


def sides(words_a=("one", "two", "three"), words_b=("un", "deux"), *, audio=True):
    wave = np.sin(np.arange(16_000) / 30).astype(np.float32) if audio else None
    count = len(words_a)
    start, end = [0.0, 0.3, 0.6][:count], [0.3, 0.5, 1.0][:count]
    a = FigureSide(language="en", words=words_a, start=start, end=end, wave=wave)
    b = FigureSide(language="fr_fr", words=words_b, start=[0.1, 0.5], end=[0.5, 0.7], wave=None)
    return a, b


def draw(a, b, matches):
    similarity = np.random.default_rng(0).random((50, 40)).astype(np.float32)
    return sentence_pair_figure.sentence_pair(similarity, a, b, matches, frame_seconds=0.02, note="state 6")


def match(a, b, *, mutual=True, transported=True):
    return Match(a=a, b=b, mutual=mutual, transported=transported)


def frames(figure):
    """Places and line styles of the frames around matches, without their white grounds."""
    found = [p for p in figure.axes[0].patches if isinstance(p, patches.Rectangle) and p.get_alpha() == 1]
    boxes = [(*p.get_xy(), p.get_width(), p.get_height()) for p in found]
    return {
        tuple(round(number, 2) for number in box): p.get_linestyle()
        for box, p in zip(boxes, found, strict=True)
    }


def png(figure):
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return hashlib.sha256(file.getvalue()).hexdigest()


def test_frames_are_at_the_words_times():
    a, b = sides()
    figure = draw(a, b, [match(0, 1), match(2, 0, mutual=False), match(-1, 0), match(1, -1)])
    assert frames(figure) == {(0.5, 0.0, 0.2, 0.3): "-", (0.1, 0.6, 0.4, 0.4): (0, (2.2, 1.2))}
    assert figure.axes[0].get_xlim() == (0, 0.8)
    assert figure.axes[0].get_ylim() == (1.0, 0)
    written = {text.get_text() for axes in figure.axes for text in axes.texts}
    assert written >= {*a.words, *b.words}
    assert {text.get_text() for text in figure.texts} == {"English and French", "state 6"}


def test_pictures_are_equal_bytes():
    assert png(draw(*sides(), [match(0, 1)])) == png(draw(*sides(), [match(0, 1)]))
    assert png(draw(*sides(), [match(0, 1)])) != png(draw(*sides(), [match(0, 0)]))


@pytest.mark.parametrize(
    "words",
    [
        ("你好", "नमस्ते", "สวัสดี"),
        ("مرحبا", "שלום", "$x$"),
        ("", " ", "\u200f\u0007"),
        ("x" * 60, "^_", "\\frac"),
        ("𞤀", "\U0010ffff", "e\u0301"),
    ],
)
def test_any_script_is_drawn_without_a_warning(words):
    png(draw(*sides(words_a=words), [match(0, 0)]))  # warnings are errors


def test_no_words_no_matches_and_nothing_but_nan():
    empty = FigureSide(language="en", words=[], start=[], end=[])
    png(
        sentence_pair_figure.sentence_pair(
            np.full((1, 1), np.nan, np.float32), empty, empty, [], frame_seconds=0.02, note=""
        )
    )
    png(
        sentence_pair_figure.sentence_pair(
            np.ones((3, 400), np.float32), empty, empty, [], frame_seconds=0.02, note=""
        )
    )


@given(st.lists(st.floats(0, 10), min_size=0, max_size=12))
def test_labels_are_apart_and_in_order(times):
    at = np.sort(np.asarray(times, np.float64))
    placed = sentence_pair_figure.spread(at, 0.5)
    assert (np.diff(placed) >= 0.5 - 1e-9).all()
    assert placed.mean() == pytest.approx(at.mean()) if len(at) else not len(placed)
    if (np.diff(at) >= 0.5).all():
        np.testing.assert_allclose(placed, at, atol=1e-9)
    twice = sentence_pair_figure.spread(np.asarray([1.0, 1.0]), 0.5)  # of equal times both move as far
    np.testing.assert_allclose(twice, [0.75, 1.25])


def test_fonts_cover_what_they_can():
    assert fonts.cover(["abc é ж ع"]) == ([fonts.OWN], set())
    assert fonts.cover(["a\u0007 \n"]) == ([fonts.OWN], set())
    families, missing = fonts.cover(["a\U0010fffe\ue123b"])
    assert (families[0], missing) == (fonts.OWN, {"\U0010fffe", "\ue123"} & missing)
    assert "\U0010fffe" in missing  # no character at all
    assert fonts.boxed("a\U0010fffe\u0007b", missing) == f"a{fonts.BOX}b"
    assert fonts.boxed("a\u2060b", {"\u2060"}) == "ab"


def test_a_plane_is_drawn_where_both_are_known(checked, tmp_path):
    assert plane_figure.plane(checked, "en", "de", "7") is None
    half = checked._replace(pairs=checked.pairs.assign(sound_distance=np.nan))
    assert plane_figure.plane(half, "en", "de", "1") is None
    figure = plane_figure.plane(checked, "en", "de", "1")
    assert figure.texts[0].get_text() == "English and German, state 1"
    mutual, transport = figure.axes
    offsets = mutual.collections[-1].get_offsets()
    matches = checked.pairs.query("state == '1' and mutual").dropna(subset=list(match_tests.CHECKS))
    assert len(offsets) == len(matches) > 0  # every pair of types is there once
    assert {text.get_text() for text in transport.texts} & {"house · haus", "dog · hund"}
    _, svg, _ = picture_files.save(figure, tmp_path / "plane")
    named = {text.get_text() for text in transport.texts} & {"house · haus", "here · hier", "we · wir"}
    assert len(named) > 1
    assert all(f">{name}</text>" in svg.read_text("utf-8") for name in named)
    none = checked._replace(pairs=checked.pairs.assign(mutual=False, transported=False))
    png(plane_figure.plane(none, "en", "de", "1"))  # is drawn, too
    # Its grey is of random word pairs of its own state, and drawn alike every time.
    here, elsewhere = (checked.random[checked.random["state"] == state] for state in "10")
    assert plane_figure.plane(checked._replace(random=elsewhere), "en", "de", "1") is None
    assert png(plane_figure.plane(checked._replace(random=here), "en", "de", "1")) == png(figure)
