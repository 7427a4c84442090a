"""The lexicon job on one-hot states: what must be found, tables against plain loops, refusals, resuming."""

import dataclasses
import itertools
import shutil

import numpy as np
import pandas as pd
import pytest
from dictionary import described
from drawn_figures import looks
from scipy import stats

from isogloss.engine.lexicon import figures, lexicon, tables
from isogloss.engine.lexicon.lexicon_config import POOLINGS, LexiconConfig
from isogloss.engine.runtime.refusal import Refusal


@pytest.fixture(scope="module")
def ran(stored, made_words, tmp_path_factory):
    """A run on aa and bb."""
    patch = pytest.MonkeyPatch()
    patch.setattr(lexicon.phones, "Phones", made_words.letters)
    config = LexiconConfig(
        store=stored,
        out=tmp_path_factory.mktemp("ran") / "out",
        languages=("aa", "bb"),
        matches=5,
        pooling=POOLINGS,
    )
    summary = lexicon.run(config)
    patch.undo()
    return config, summary


def read(out, name):
    table = pd.read_parquet(out / f"{name}.parquet")
    text = pd.read_csv(out / f"{name}.csv", dtype={"state": str})
    pd.testing.assert_frame_equal(text, table, check_dtype=False)
    return table


def test_one_hot_phones_and_concepts_give_1_and_one_half(ran):
    """State 0 is sound, state 1 meaning: what shares neither is as far away as unrelated pairs, exactly."""
    config, summary = ran
    assert summary.complete
    assert (summary.done, summary.words) == (1, {"aa": 20, "bb": 20})
    table = read(config.out, "classes").set_index(["pooling", "state", "class"])
    assert described(config.out) == {"word_pairs", "classes"}
    assert list(table.n.unique()) == [4, 16]
    expected = {
        ("0", "cognate"): 1, ("0", "synonym"): 0.5, ("0", "near-homophone"): 1,
        ("1", "cognate"): 1, ("1", "synonym"): 1, ("1", "near-homophone"): 0.5,
    }  # fmt: skip
    for pooling in ("mean", "seqsim"):
        for key, value in expected.items():
            row = table.loc[(pooling, *key)]
            assert row.auc == row.auc_unmatched == value, (pooling, key)
            if value == 0.5 and row.n > 4:
                assert row.ci_low == row.ci_high == 0.5
    for name in ("cognate", "synonym", "near-homophone"):  # noise is no class
        assert 0.1 < table.loc[("mean", "final", name)].auc < 0.9


def test_word_pairs_by_plain_loops(ran, made_words):
    config, summary = ran
    table = read(config.out, "word_pairs")
    assert len(table) == summary.rows["word_pairs"]
    assert list(table.columns)[: len(tables.WORD_PAIRS)] == tables.WORD_PAIRS.names
    assert list(table.columns)[len(tables.WORD_PAIRS) :] == [
        f"{pooling}_{state}" for pooling in config.pooling for state in made_words.names
    ]
    found = {(int(row.sentence_a[1:]), int(row.sentence_b[1:])): row for row in table.itertuples(index=False)}
    classes = {}
    for x, y in itertools.product(range(made_words.concepts), repeat=2):
        a, b = made_words.word("aa", x), made_words.word("bb", y)
        near = sum(p != q for p, q in zip(a, b, strict=True)) / 5 <= 0.4
        kind = ("cognate" if near else "synonym") if x == y else ("near-homophone" if near else "random")
        classes.setdefault(kind, set()).add((x, y))
    for kind, pairs in classes.items():
        mine = {pair for pair, row in found.items() if row[2] == kind}
        assert mine < pairs if kind == "random" else mine == pairs, kind
    for (x, y), row in found.items():
        n, m = made_words.frames("aa", x), made_words.frames("bb", y)
        assert (row.frames_a, row.frames_b, row.word_a) == (n, m, made_words.word("aa", x))
        assert row.length_ratio == pytest.approx(np.log(n / m))
        means = [made_words.states(*at)[2, :k].mean(0) for at, k in ((("aa", x), n), (("bb", y), m))]
        cosine = means[0] @ means[1] / np.prod([np.linalg.norm(mean) for mean in means])
        assert row.mean_final == pytest.approx(cosine, abs=1e-5)


@pytest.mark.parametrize("pooling", ["centre", "middle"])
def test_centre_and_middle_are_frames_less_the_language_mean(ran, made_words, pooling):
    config, _ = ran
    table = read(config.out, "word_pairs")

    def vector(code, concept):
        n = made_words.frames(code, concept)
        own = made_words.states(code, concept)[2, :n]
        return own.mean(0) if pooling == "centre" else own[n // 2]

    means = {code: np.stack([vector(code, c) for c in range(20)]) for code in ("aa", "bb")}
    units = {code: each - each.mean(0) for code, each in means.items()}
    units = {code: each / np.linalg.norm(each, axis=1, keepdims=True) for code, each in units.items()}
    at = [table[f"sentence_{side}"].str[1:].astype(int).to_numpy() for side in "ab"]
    expected = (units["aa"][at[0]] * units["bb"][at[1]]).sum(1)
    np.testing.assert_allclose(table[f"{pooling}_final"], expected, atol=1e-5)


def test_figures_of_classes_follow_from_word_pairs(ran):
    """AUC by SciPy, of the rows that a reader has; unmatched ones need all unrelated pairs."""
    config, _ = ran
    pairs, classes = read(config.out, "word_pairs"), read(config.out, "classes")
    for row in classes.itertuples(index=False):
        name = row[classes.columns.get_loc("class")]
        column = f"{row.pooling}_{row.state}"
        mine = pairs.loc[pairs["class"] == name, column]
        times = pairs[f"matched_{name.replace('-', '_')}"]
        assert times.sum() == 5 * len(mine)
        others = np.repeat(pairs[column], times)
        u = stats.mannwhitneyu(mine, others).statistic
        assert row.auc == pytest.approx(u / (len(mine) * len(others)))
        assert row.matched == (times > 0).sum()
        assert row.length_matched == pytest.approx(np.average(pairs.length_ratio.abs(), weights=times))
        assert abs(row.length - row.length_matched) <= abs(row.length - row.length_unmatched) + 0.05


def test_shards_join_and_a_lost_part_is_made_again(ran, stored, tmp_path, spoken_letters):
    whole = LexiconConfig(store=stored, out=tmp_path / "whole", states=("1",), pooling=("mean",), matches=5)
    first = lexicon.run(whole)
    assert (first.done, first.left_out, first.without_phones) == (3, {"cc": 1}, {"cc": ("zzz",)})
    assert first.words["cc"] == 18
    for index in (1, 0):
        shard = dataclasses.replace(whole, out=tmp_path / "shards", num_shards=2, shard_index=index)
        summary = lexicon.run(shard)
        assert (summary.waiting > 0) == (summary.table is None) == (index == 1)
    again = lexicon.run(whole)
    assert (again.done, again.skipped) == (0, 3)
    parts = sorted((whole.out / "parts").glob("aa-cc.*"))
    for part in parts:
        part.unlink()
    (whole.out / "classes.csv").unlink()
    assert lexicon.run(dataclasses.replace(whole, dry_run=True)).plan["pairs"] == 1
    mended = lexicon.run(whole)
    assert (mended.done, mended.skipped) == (1, 2)
    for name in ("word_pairs.parquet", "classes.csv", "classes.svg"):
        assert (tmp_path / "shards" / name).read_bytes() == (whole.out / name).read_bytes()


def test_translations_take_the_place_of_ids(stored, tmp_path, made_words, spoken_letters):
    """Words that they lack are no pairs, and c19 is a translation of c18 in them."""
    rows = ["language_b\tword_b\tlanguage_a\tword_a"]
    for x, y in [(c, c) for c in range(8)] + [(18, 19)]:
        rows.append(f"aa\t{made_words.word('aa', x)}\tbb\t{made_words.word('bb', y)}")
    file = tmp_path / "words.tsv"
    file.write_text("\n".join(rows) + "\n")
    config = LexiconConfig(
        store=stored, out=tmp_path / "out", languages=("aa", "bb"), states=("1",), pooling=("mean",),
        translations=(str(file),),
    )  # fmt: skip
    lexicon.run(config)
    table = read(config.out, "word_pairs")
    same = table[table["class"].isin(["cognate", "synonym"])]
    assert len(same) == 9
    assert ("c18", "c19") in set(zip(same.sentence_a, same.sentence_b, strict=True))
    assert set(table.sentence_a) <= {f"c{c}" for c in (*range(8), 18)}
    assert read(config.out, "classes").unrelated.unique() == [9 * 9 - 9]


def test_a_damaged_file_leaves_out_its_pairs(stored, tmp_path, spoken_letters):
    shutil.copytree(stored, tmp_path / "store")
    for shard in (tmp_path / "store" / "cc.zarr" / "states").glob("c*"):
        shard.write_bytes(shard.read_bytes()[:-1])
    config = LexiconConfig(store=tmp_path / "store", out=tmp_path / "out", states=("0",), pooling=("mean",))
    summary = lexicon.run(config)
    assert not summary.complete
    assert (summary.done, set(summary.failed)) == (1, {"aa-cc", "bb-cc"})
    assert set(read(config.out, "classes").language_b) == {"bb"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"languages": ("aa",)}, "lexicon needs two extracted languages, got aa"),
        ({"pairs": ("aa-dd",)}, "--pairs=aa-dd"),
        ({"states": ("9",)}, "0, 1, final"),
        ({"near": 1.0}, "--near must be at least 0 and below 1"),
        ({"pooling": ("max",)}, "--pooling must name some of mean, centre, seqsim"),
        ({"translations": ("aa-bb",)}, "must be FILE.tsv or LANG_A:LANG_B:FILE.index"),
        ({"translations": ("aa:zz:x.index",)}, "zz is none of the languages"),
        ({"translations": ("nowhere.tsv",)}, "not a file"),
    ],
)
def test_refusals(stored, tmp_path, spoken_letters, changes, message):
    with pytest.raises(ValueError, match=message):
        lexicon.run(LexiconConfig(store=stored, out=tmp_path / "out", **changes))
    assert not (tmp_path / "out").exists()


def test_a_store_is_looked_for_before_espeak(tmp_path, monkeypatch):
    monkeypatch.delattr(lexicon.phones, "Phones")
    with pytest.raises(ValueError, match="no store is there"):
        lexicon.run(LexiconConfig(store=tmp_path, out=tmp_path / "out"))


def test_translations_of_other_words_are_refused(stored, tmp_path, spoken_letters):
    (tmp_path / "none.tsv").write_text("language_a\tword_a\tlanguage_b\tword_b\naa\tx\tbb\ty\n")
    with pytest.raises(ValueError, match="no two words of different languages mean the same"):
        lexicon.run(
            LexiconConfig(store=stored, out=tmp_path / "out", translations=(str(tmp_path / "none.tsv"),))
        )


def test_sentences_and_languages_without_a_voice_are_refused(stored, tmp_path, monkeypatch, made_words):
    class Unread(made_words.letters):
        def of(self, language, words):
            return dict.fromkeys(words)

    monkeypatch.setattr(lexicon.phones, "Phones", Unread)
    with pytest.raises(ValueError, match="0 of 20 recordings are of one word"):
        lexicon.run(LexiconConfig(store=stored, out=tmp_path / "out"))
    monkeypatch.setattr(Unread, "voiceless", {"bb": "espeak-ng has no voice for it"})
    with pytest.raises(ValueError, match=r"bb: espeak-ng has no voice for it. Leave them out by --languages"):
        lexicon.run(LexiconConfig(store=stored, out=tmp_path / "out"))


def test_other_settings_in_one_folder_are_refused(ran, spoken_letters):
    config, _ = ran
    with pytest.raises(ValueError, match=r"near: stored 0.4, asked for 0.5"):
        lexicon.run(dataclasses.replace(config, near=0.5))


def test_the_figure_has_a_panel_for_each_pooling(ran):
    config, _ = ran
    figure = figures.drawn(read(config.out, "classes"))
    assert [axes.get_title() for axes in figure.axes] == ["mean", "centre", "seqsim", "middle"]
    labels = [text.get_text() for text in figure.axes[0].get_legend().get_texts()]
    assert labels == ["cognate (sound and meaning)", "synonym (meaning)", "near-homophone (sound)"]


@pytest.mark.usefixtures("spoken_letters")
def test_another_look_draws_again_and_computes_nothing(ran, tmp_path):
    shutil.copytree(ran[0].out, tmp_path / "out")
    config = dataclasses.replace(ran[0], out=tmp_path / "out", figure_width=3.5, figure_font="DejaVu Serif")
    summary = lexicon.run(config)
    assert (summary.done, summary.skipped, summary.rows) == (0, 1, ran[1].rows)
    assert looks(config.out / "classes.svg") == (3.5, {"DejaVu Serif"})
    assert (config.out / "classes.csv").read_bytes() == (ran[0].out / "classes.csv").read_bytes()
    with pytest.raises(Refusal, match="no such font is installed"):
        lexicon.run(dataclasses.replace(config, figure_font="Nobody's Sans"))
