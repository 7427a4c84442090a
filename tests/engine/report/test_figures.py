"""Figures: what is drawn, read back from matplotlib's objects and from pixels."""

import io
import itertools

import numpy as np
import pyarrow as pa
import pytest
from matplotlib import image

from isogloss.engine.drawing import style
from isogloss.engine.report import figures, report_tables
from isogloss.engine.retrieval import metrics

nan = np.nan


def results(languages=("en", "es", "fr"), measures=("seqsim", "dtw"), states=("0", "1", "final")):
    pairs = tuple(itertools.combinations(languages, 2))
    rng = np.random.default_rng(0)
    values = rng.random((len(pairs), len(states), len(measures), 2, len(metrics.ALL_FIGURES)))
    return metrics.Results(
        pairs=pairs,
        states=states,
        measures=measures,
        n=np.full(len(pairs), 50),
        computed=np.ones(values.shape[:3], bool),
        values=values,
    )


def numbers(figure):
    return {(t.get_position()[1], t.get_position()[0]): t.get_text() for t in figure.axes[0].texts}


def test_each_known_cell_has_its_number_and_unknown_ones_none():
    given = results()
    given.values[1, 2] = nan  # en-fr at the last state
    drawn = numbers(figures.heatmap(given, "dtw", 2, clustered=False))
    recall = given.matrix("recall_at_1", "dtw", 2)  # by group: codes in order, as they are
    known = {(r, c): f"{100 * recall[r, c]:.0f}" for r in range(3) for c in range(3) if (r + c) % 2}
    known[1, 2], known[2, 1] = (f"{100 * recall[i]:.0f}" for i in ((1, 2), (2, 1)))
    intervals = {place: text for place, text in drawn.items() if text.startswith("[")}
    drawn = {place: text for place, text in drawn.items() if place not in intervals}
    assert drawn == known
    ends = (100 * given.matrix(end, "dtw", 2)[0, 1] for end in ("ci_low", "ci_high"))
    assert intervals[0.08, 1] == "[{:.0f}, {:.0f}]".format(*ends)
    assert len(intervals) == len(known)
    assert (0, 2) not in drawn
    assert (2, 0) not in drawn


def test_cells_that_guessing_might_give_have_a_dot():
    given = results()
    p = given.values[..., metrics.ALL_FIGURES.index("p")]
    p[:] = 0.001
    p[0, 2, 0, 1] = 0.2  # es->en at the last state
    given.values[1, 2, 0] = nan
    figure = figures.heatmap(given, "seqsim", 2, clustered=False, certain=0.04)
    [dots] = figure.axes[0].collections
    assert np.rint(dots.get_offsets()).tolist() == [[0, 1]]  # column en, row es
    assert figures.DOTTED in figure.texts[1].get_text()
    plain = figures.heatmap(given, "seqsim", 2, clustered=False)
    assert figures.DOTTED not in plain.texts[1].get_text()
    assert (plain.axes[0].get_ylabel(), plain.axes[0].get_xlabel()) == ("asks", "answers")


def test_the_largest_certain_p_is_that_of_the_table():
    found = pa.table({"p": [0.04, 0.001, 0.02, nan], "q": [0.06, 0.003, 0.04, nan]})
    assert report_tables.certain(found) == 0.02
    assert report_tables.certain(found.slice(3)) == 0


def test_unknown_cells_are_hatched_not_coloured():
    given = results(measures=("seqsim",))
    file = io.BytesIO()
    given.values[:] = nan
    figure = figures.heatmap(given, "seqsim", 0, clustered=True)
    axes = figure.axes[0]
    assert axes.patch.get_hatch()
    assert np.ma.getmaskarray(axes.images[-1].get_array()).all()
    figure.savefig(file)
    pixels = image.imread(io.BytesIO(file.getvalue()))
    assert pixels.std() > 0


@pytest.mark.parametrize("count", [2, 3, 25])
@pytest.mark.parametrize("clustered", [True, False])
def test_heatmaps_of_any_number_of_languages_are_drawn(count, clustered):
    given = results(
        languages=tuple(f"l{i:02}" for i in range(count)), measures=("seqsim",), states=("final",)
    )
    figure = figures.heatmap(given, "seqsim", 0, clustered=clustered)
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert sorted(labels) == list(given.languages)
    figure.savefig(io.BytesIO())


def test_groups_are_separated_and_named():
    figure = figures.heatmap(results(languages=("ja_jp", "fr_fr", "de_de")), "seqsim", 0, clustered=False)
    assert [text.get_text() for text in figure.axes[0].get_yticklabels()] == ["German", "French", "Japanese"]
    assert [line.get_ydata()[0] for line in figure.axes[0].lines[::2]] == [1.5]
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert "CJK" in texts


def test_few_pairs_have_a_line_each_many_a_mean():
    given = results(measures=("seqsim", "dtw", "duration"))
    ends = np.sort(np.random.default_rng(1).random((2, 2, 3, 3)), 1).reshape(4, 3, 3)
    few = figures.curves(given, ends)
    assert [panel.get_title(loc="left") for panel in few.axes] == ["SeqSim", "DTW"]
    labels = few.axes[0].get_legend_handles_labels()[1]
    pairs = itertools.permutations(("English", "Spanish", "French"), 2)
    assert sorted(labels[:6]) == sorted(f"{a} → {b}" for a, b in pairs)
    assert labels[0] == "English → Spanish"
    means = ["95% over sentences", "mean of 3 pairs", "duration alone", "chance", "95% over languages"]
    assert labels[6:] == means
    alone = few.axes[1].lines[-2].get_ydata()
    assert alone[0] == pytest.approx(given.figure("recall_at_1")[:, :, 2].mean())
    band, bars = few.axes[1].collections  # either may be the wider, so they look different
    extent = band.get_paths()[0].get_extents()
    assert (extent.y0, extent.y1) == pytest.approx((ends[0, :, 1].min(), ends[1, :, 1].max()))
    drawn = [[y for _, y in segment] for segment in bars.get_segments()]
    np.testing.assert_allclose(drawn, ends[2:, :, 1].T)
    given = results(languages=tuple("abcde"))
    given.values[:, 0] = nan
    many = figures.curves(given, np.full((4, 3, 2), nan))
    mean = many.axes[1].lines[0].get_ydata()
    np.testing.assert_allclose(mean[1:], given.figure("recall_at_1")[:, 1:, 1].mean((0, 2)))
    assert np.isnan(mean[0])
    assert many.axes[1].get_legend_handles_labels()[1] == ["mean of 10 pairs", "chance"]
    many.savefig(io.BytesIO())


def test_one_scale_for_all_states_ends_at_a_tenth():
    given = results()
    given.values[..., 0] = 0.3
    assert figures.top(given) == pytest.approx(0.3)
    given.values[0, 0, 0, 0, 0] = 0.31
    assert figures.top(given) == pytest.approx(0.4)
    given.values[:] = nan
    assert figures.top(given) == pytest.approx(0.1)


def lightness(color):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in color]
    return 116 * (np.dot([0.2126, 0.7152, 0.0722], linear)) ** (1 / 3) - 16


def test_the_palette_darkens_evenly():
    stops = [[int(c[i : i + 2], 16) / 255 for i in (1, 3, 5)] for c in style.SEQUENTIAL]
    steps = np.diff([lightness(stop) for stop in stops])
    assert (steps < -3).all()
