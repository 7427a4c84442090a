"""engine.interpret: tables against loops over the store, resuming, bad input; nothing here runs a model."""

import dataclasses
import pathlib
import shutil

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr

from isogloss.engine import compare, interpret, interpret_tables, meaning, plan, word_pairs
from isogloss.kernels import reference

METHOD = word_pairs.Method(word_vector="centre", mass="frames", epsilon=0.2, threshold=0.3)
ALIGNING = {"model": None, "revision": None, "tokenizer": None}
CHECKS = {"sentence_encoder": "none", "phones": False, "pictures": 0, "corpus": None}
TABLES = ("word_pairs.parquet", "word_types.parquet", "sentence_pairs.parquet")


@pytest.fixture
def config(tmp_path, spoken):
    return interpret.Config(
        store=spoken / "store",
        grid=spoken / "grid.zarr",
        words=spoken / "words",
        **ALIGNING,
        out=tmp_path / "out",
        pairs=("aa-bb", "cc-aa"),
        states=(),
        sentences="retrieved",
        method=METHOD,
        **CHECKS,
        share=plan.Share(),
        dry_run=False,
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory, spoken):
    """Tables of two pairs, one of them against the grid's direction, and both states."""
    out = tmp_path_factory.mktemp("made") / "out"
    fields = {"store": spoken / "store", "grid": spoken / "grid.zarr", "words": spoken / "words", "out": out}
    rest = {"pairs": ("aa-bb", "cc-aa"), "states": (), "sentences": "retrieved", "method": METHOD}
    summary = interpret.run(
        interpret.Config(**fields, **rest, **ALIGNING, **CHECKS, share=plan.Share(), dry_run=False)
    )
    assert summary.complete
    assert (summary.done, summary.skipped, summary.waiting) == (4, 0, 0)
    return out


def table(out, name):
    return pd.read_parquet(out / f"{name}.parquet")


def frames_of(store, language, state):
    """Frames of every utterance by sentence, float64, read with xarray alone."""
    dataset = xr.open_zarr(store / f"{language}.zarr")
    states = dataset.states.sel(state=state).values.astype(np.float64)
    return {
        str(sentence): states[row, : int(dataset.frames[row])]
        for row, sentence in enumerate(dataset.sentence.values)
    }


def spoken_words(folder, language):
    words = pd.read_parquet(folder / "words.parquet")
    words = words[(words.language == language) & ~words["empty"]]
    return {sentence: rows.sort_values("word_index") for sentence, rows in words.groupby("sentence")}


def independent(x, y, a, b):
    """(similarity, mutual matches as index pairs, shares of P and R by word index), in plain loops."""
    unit = [z / np.linalg.norm(z, axis=1, keepdims=True) for z in (x, y)]
    c = unit[0] @ unit[1].T
    similarity = c[np.ix_(a.centre_frame, b.centre_frame)]
    mutual = {
        (int(a.word_index.iloc[i]), int(b.word_index.iloc[j]))
        for i, j in enumerate(similarity.argmax(axis=1))
        if similarity[:, j].argmax() == i
    }

    def word(rows, frame):
        inside = rows[(rows.first_frame <= frame) & (frame <= rows.last_frame)]
        return int(inside.word_index.iloc[0]) if len(inside) else -1

    shares = [{}, {}]
    for i in range(len(x)):
        j = int(c[i].argmax())
        key = (word(a, i), word(b, j))
        shares[0][key] = shares[0].get(key, 0) + c[i, j] / len(x)
    for j in range(len(y)):
        i = int(c[:, j].argmax())
        key = (word(a, i), word(b, j))
        shares[1][key] = shares[1].get(key, 0) + c[i, j] / len(y)
    return similarity, mutual, shares


@pytest.mark.parametrize("pair", ["aa-bb", "cc-aa"])
@pytest.mark.parametrize("state", ["1", "final"])
def test_tables_equal_an_independent_implementation(made, spoken, pair, state):
    """State "1" is full of ties; its cosines are exact in float32 and float64 but for their last bit.

    There norms are 4, a division by which is exact; so both sides see the same ties.
    """
    language_a, language_b = pair.split("-")
    pairs = table(made, "word_pairs")
    pairs = pairs[
        (pairs.language_a == language_a) & (pairs.language_b == language_b) & (pairs.state == state)
    ]
    frames = [frames_of(spoken / "store", code, state) for code in (language_a, language_b)]
    words = [spoken_words(spoken / "words", code) for code in (language_a, language_b)]
    assert pairs["query"].nunique() == 6 if "cc" in pair else 7
    for (query, candidate), rows in pairs.groupby(["query", "candidate"]):
        a, b = words[0][query], words[1][candidate]
        similarity, mutual, shares = independent(frames[0][query], frames[1][candidate], a, b)
        assert len(rows) == (len(a) + 1) * (len(b) + 1)
        real = rows[(rows.word_index_a >= 0) & (rows.word_index_b >= 0)]
        np.testing.assert_allclose(real.similarity, similarity.ravel(), rtol=0, atol=1e-6)
        assert real.word_index_a.tolist() == np.repeat(a.word_index, len(b)).tolist()
        assert real.word_b.tolist() == b.word.tolist() * len(a)
        assert real.start_b.tolist() == b.start.tolist() * len(a)
        found = real[real.mutual]
        assert set(zip(found.word_index_a, found.word_index_b, strict=True)) == mutual
        for name, want in zip(("share_precision", "share_recall"), shares, strict=True):
            keys = zip(rows.word_index_a, rows.word_index_b, strict=True)
            got = dict(zip(keys, rows[name], strict=True))
            for key, share in got.items():
                assert abs(share - want.get(key, 0)) < 2e-6


def test_parts_sum_to_the_scores_of_the_grid(made, spoken):
    pairs, sentences = table(made, "word_pairs"), table(made, "sentence_pairs")
    keys = ["language_a", "language_b", "state", "query", "candidate"]
    sums = pairs.groupby(keys)[["share_precision", "share_recall", "share", "transport"]].sum()
    grid = xr.open_zarr(spoken / "grid.zarr")
    for row in sentences.to_dict("records"):
        turned = f"{row['language_a']}-{row['language_b']}" not in grid.pair.values
        sides = [row["language_a"], row["language_b"]][:: -1 if turned else 1]
        places = [row["query"], row["candidate"]][:: -1 if turned else 1]
        cell = grid.sel(pair="-".join(sides), state=row["state"], query=places[0], candidate=places[1])
        names = {"share": "seqsim", "share_precision": "precision", "share_recall": "recall"}
        if turned:  # the grid's precision is of its own rows
            names |= {"share_precision": "recall", "share_recall": "precision"}
        mine = sums.loc[tuple(row[key] for key in keys)]
        for name, measure in names.items():
            assert abs(mine[name] - float(cell[measure])) < 1e-5
            assert abs(row[name] - float(cell[measure])) < 1e-5
        assert abs(mine["transport"] - 1) < 1e-4
        assert abs(row["score"] - row["grid_score"]) < 1e-5


def test_every_sentence_meets_its_best_candidate(made, spoken):
    grid = xr.open_zarr(spoken / "grid.zarr").seqsim
    rows = table(made, "sentence_pairs")
    rows = rows[(rows.language_a == "cc") & (rows.state == "final")]
    common = sorted(set(rows["query"]))
    assert common == ["s0", "s1", "s2", "s3", "s5", "s6"]
    scores = grid.sel(pair="aa-cc", state="final", query=common, candidate=common).values.T
    assert rows["candidate"].tolist() == [common[k] for k in scores.argmax(axis=1)]
    np.testing.assert_array_equal(rows.gold, rows["query"] == rows["candidate"])
    np.testing.assert_array_equal(rows.grid_score, scores.max(axis=1))
    assert 0 < rows.gold.sum()


def test_sentence_pairs_count_their_words(made, spoken):
    words = pd.read_parquet(spoken / "words" / "words.parquet")
    rows, pairs = table(made, "sentence_pairs"), table(made, "word_pairs")
    for row in rows.to_dict("records"):
        for side in "ab":
            said = words[
                (words.language == row[f"language_{side}"]) & (words.utterance == row[f"utterance_{side}"])
            ]
            assert row[f"empty_{side}"] == said["empty"].sum()
            assert row[f"words_{side}"] == (~said["empty"]).sum()
        mine = pairs[
            (pairs.language_a == row["language_a"])
            & (pairs.state == row["state"])
            & (pairs["query"] == row["query"])
        ]
        gap = mine[(mine.word_a == "") | (mine.word_b == "")]
        assert abs(gap.share.sum() - row["share_gap"]) < 1e-5
        assert gap.similarity.isna().all()
        assert not gap.mutual.any()
        assert mine.mutual.sum() == row["mutual"] >= 1
        assert mine.transported.sum() == row["transported"]
        assert row["converged"]
        assert row["transport_error"] <= METHOD.tolerance
    assert rows.empty_a.sum() > 0


def test_word_types_count_what_meets(made):
    pairs, types = table(made, "word_pairs"), table(made, "word_types")
    assert set(types.type_a) <= {f"w{k}" for k in range(9)}
    real = pairs[(pairs.word_a != "") & (pairs.word_b != "")].copy()
    for side in "ab":
        real[f"type_{side}"] = real[f"word_{side}"].str.lower().str.strip("«»,")
    assert ((types.mutual > 0) | (types.transported > 0)).all()
    met = real[real.mutual | real.transported]
    assert types.mutual.sum() == met.mutual.sum()
    assert types.transported.sum() == met.transported.sum()
    for row in types.sample(20, random_state=0).to_dict("records"):
        mine = real[np.logical_and.reduce([real[k] == row[k] for k in types.columns[:5]])]
        assert (len(mine), mine.mutual.sum()) == (row["together"], row["mutual"])
        matched = mine[mine.mutual | mine.transported]
        assert abs(matched.similarity.mean() - row["similarity"]) < 1e-6
        assert abs(mine.share.sum() - row["share"]) < 1e-5


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("L\u2019Été,", "l\u2019été"),
        ("«W»", "w"),
        ("—", "—"),
        ("e\u0301t", "ét"),
        ("a-b.", "a-b"),
        ("STRASSE", "strasse"),
    ],
)
def test_types_of_words(word, kind):
    assert interpret_tables.word_type(word) == kind


def test_gold_pairs_and_means(config):
    method = dataclasses.replace(METHOD, word_vector="mean")
    config = dataclasses.replace(config, sentences="gold", method=method, states=("final",), pairs=("aa-bb",))
    assert interpret.run(config).done == 1
    rows = table(config.out, "sentence_pairs")
    assert rows.gold.all()
    assert rows["query"].tolist() == [f"s{k}" for k in range(7)]
    x, y = (frames_of(config.store, code, "final") for code in ("aa", "bb"))
    a, b = (spoken_words(config.words, code)["s2"] for code in ("aa", "bb"))
    pairs = table(config.out, "word_pairs")
    got = pairs[(pairs["query"] == "s2") & (pairs.word_a != "") & (pairs.word_b != "")].similarity
    means = [
        np.array([z[f : last + 1].mean(axis=0) for f, last in zip(w.first_frame, w.last_frame, strict=True)])
        for z, w in ((x["s2"], a), (y["s2"], b))
    ]
    np.testing.assert_allclose(got, reference.cosines(*means).ravel(), rtol=0, atol=1e-5)


def test_a_grid_without_language_means(config, tmp_path):
    """Frames are centred as the grid's were, so that shares sum to its scores."""
    grid = compare.Config(
        store=config.store,
        grid=tmp_path / "centred.zarr",
        measures=("seqsim",),
        languages=(),
        pairs=("aa-bb",),
        states=("final",),
        remove_language_mean=True,
        implementation="xla",
        memory_gb=1.0,
        share=plan.Share(),
        dry_run=False,
    )
    compare.run(grid)
    config = dataclasses.replace(config, grid=grid.grid, pairs=(), sentences="gold")
    assert interpret.run(config).largest_difference < 1e-5


def test_resumes_and_divides_to_the_same_bytes(config, made):
    first = interpret.run(dataclasses.replace(config, share=plan.Share(index=1, count=3)))
    assert (first.done, first.waiting, first.tables) == (1, 3, {})
    assert not (config.out / TABLES[0]).exists()
    second = interpret.run(config)
    assert (second.done, second.skipped, second.waiting) == (3, 1, 0)
    for name in TABLES:
        assert (config.out / name).read_bytes() == (made / name).read_bytes()
    parts = sorted(path for path in (config.out / "parts").rglob("*.parquet"))
    assert len(parts) == 8
    times = {path: path.stat().st_mtime_ns for path in parts}
    parts[0].unlink()
    again = interpret.run(config)
    assert (again.done, again.skipped) == (1, 3)
    assert [path for path in parts if path.stat().st_mtime_ns != times[path]] in (
        [part for part in parts if part.name == parts[0].name],
        parts[:1],
    )
    for name in TABLES:
        assert (config.out / name).read_bytes() == (made / name).read_bytes()


def test_other_words_or_scores_are_other_parts(config, tmp_path):
    config = dataclasses.replace(config, pairs=("aa-bb", "aa-cc"), states=("final",))
    shutil.copytree(config.words, tmp_path / "words")
    config = dataclasses.replace(config, words=tmp_path / "words")
    assert interpret.run(config).done == 2
    path = tmp_path / "words" / "words.parquet"
    words = pd.read_parquet(path)
    words.loc[words.index[words.language == "bb"][0], "word"] = "other"
    words.to_parquet(path)
    assert interpret.run(config).done == 1
    assert len(list((config.out / "parts" / "word_pairs").iterdir())) == 2
    assert "other" in set(table(config.out, "word_pairs").word_b)


def test_other_settings_are_refused(config):
    config = dataclasses.replace(config, states=("final",), pairs=("aa-bb",))
    interpret.run(config)
    other = dataclasses.replace(config, method=dataclasses.replace(METHOD, epsilon=0.1))
    for dry in (True, False):
        with pytest.raises(ValueError, match=r"epsilon: there 0\.2, asked for 0\.1"):
            interpret.run(dataclasses.replace(other, dry_run=dry))


def test_dry_run_writes_nothing_and_counts(config, made):
    summary = interpret.run(dataclasses.replace(config, dry_run=True))
    assert not config.out.exists()
    assert summary.plan["units"] == 4
    assert summary.plan["sentence_pairs"] == 2 * 7 + 2 * 6
    x, y = (frames_of(config.store, code, "final") for code in ("aa", "bb"))
    z = frames_of(config.store, "cc", "final")
    cells = sum(len(x[s]) * len(y[s]) for s in x) + sum(len(x[s]) * len(z[s]) for s in z)
    assert summary.plan["flops"] == 2 * 2 * 16 * cells
    assert summary.plan["seconds"] >= 0
    again = interpret.run(dataclasses.replace(config, out=made, dry_run=True))
    assert (again.plan["units"], again.skipped) == (0, 4)


def test_an_utterance_without_words_is_told_and_the_rest_goes_on(config, tmp_path, caplog):
    words = pd.read_parquet(config.words / "words.parquet")
    words = words[~((words.language == "bb") & (words.sentence == "s2"))]
    words.loc[(words.language == "aa") & (words.sentence == "s5"), "empty"] = True
    (tmp_path / "words").mkdir()
    words.to_parquet(tmp_path / "words" / "words.parquet")
    problem = {"language": ["bb"], "utterance": ["s2.0"], "problem": ["transcription is empty"]}
    pd.DataFrame(problem).to_parquet(tmp_path / "words" / "utterances.parquet")
    config = dataclasses.replace(
        config, words=tmp_path / "words", sentences="gold", pairs=("aa-bb",), states=("final",)
    )
    summary = interpret.run(config)
    assert not summary.complete
    assert summary.left_out == {
        "bb s2.0 has no words: transcription is empty": 1,
        "no word of aa s5.0 has a frame of its own": 1,
    }
    rows = table(config.out, "sentence_pairs").set_index("query")
    assert rows.problem[rows.problem != ""].index.tolist() == ["s2", "s5"]
    assert rows.score.isna().tolist() == (rows.problem != "").tolist()
    assert set(table(config.out, "word_pairs")["query"]) == {"s0", "s1", "s3", "s4", "s6"}
    assert "1 sentence pairs aren't compared: bb s2.0" in caplog.text


def test_a_transport_that_does_not_come_to_rest_is_counted(config, caplog):
    method = dataclasses.replace(METHOD, epsilon=0.01, iterations=2)
    config = dataclasses.replace(config, method=method, states=("final",), pairs=("aa-bb",))
    summary = interpret.run(config)
    rows = table(config.out, "sentence_pairs")
    assert summary.unconverged == (~rows.converged).sum() > 0
    assert summary.complete
    assert "a larger --epsilon than 0.01" in caplog.text


def test_a_damaged_shard_and_a_missing_chunk(config, spoken, tmp_path):
    shutil.copytree(config.store, tmp_path / "store")
    shutil.copytree(config.grid, tmp_path / "grid.zarr")
    shutil.rmtree(tmp_path / "grid.zarr" / "seqsim" / "c" / "1" / "1")  # aa-cc, final
    shard = tmp_path / "store" / "bb.zarr" / "states" / "c" / "1" / "0" / "0" / "0"
    data = bytearray(shard.read_bytes())
    data[10] ^= 255  # in a chunk of the first state
    shard.write_bytes(data)
    config = dataclasses.replace(config, store=tmp_path / "store", grid=tmp_path / "grid.zarr")
    for index in (0, 1):
        interpret.run(dataclasses.replace(config, share=plan.Share(index=index, count=2)))
    summary = interpret.run(config)
    assert summary.missing == ["cc-aa state final"]
    assert list(summary.failed) == ["aa-bb state 1"]
    assert "bb.zarr" in summary.failed["aa-bb state 1"]
    assert not summary.complete
    found = table(config.out, "sentence_pairs")[["language_a", "state"]].drop_duplicates()
    assert sorted(found.itertuples(index=False, name=None)) == [("aa", "final"), ("cc", "1")]
    shutil.copy(spoken / shard.relative_to(tmp_path), shard)
    mended = interpret.run(config)
    assert (mended.done, mended.failed) == (1, {})
    assert not list((config.out / "parts").rglob("*.txt"))


def test_a_chunk_of_scores_that_is_damaged(config, tmp_path):
    shutil.copytree(config.grid, tmp_path / "grid.zarr")
    [chunk] = (p for p in (tmp_path / "grid.zarr/seqsim/c/0/1").rglob("*") if p.is_file())
    chunk.write_bytes(b"no Zstandard")
    config = dataclasses.replace(config, grid=tmp_path / "grid.zarr", states=("final",))
    summary = interpret.run(config)
    assert list(summary.failed) == ["aa-bb state final"]
    assert "delete that chunk and run the grid job again" in summary.failed["aa-bb state final"]
    assert summary.done == 1


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"states": ("5",)}, "--state=5: .*it has 1, final"),
        ({"states": ("1", "1")}, "names a state twice"),
        ({"pairs": ("aa-zz",)}, "--pairs=aa-zz: .*it has aa-bb, aa-cc, bb-cc"),
        ({"pairs": ("aa-bb", "aa-bb")}, "names a pair twice"),
        ({"grid": pathlib.Path("nowhere.zarr")}, "there is no grid"),
        ({"store": pathlib.Path("nowhere")}, "isn't extracted"),
        ({"words": pathlib.Path("nowhere")}, "there are no words"),
    ],
)
def test_nonsense_is_refused_before_any_compute(config, monkeypatch, change, message):
    monkeypatch.delattr(interpret.interpret_unit, "compare")
    with pytest.raises(ValueError, match=message):
        interpret.run(dataclasses.replace(config, **change))
    assert not config.out.exists()


def test_a_grid_of_another_store_is_refused(config, tmp_path):
    shutil.copytree(config.grid, tmp_path / "grid.zarr")
    group = zarr.open_group(tmp_path / "grid.zarr")
    languages = group.attrs["languages"]
    languages["bb"]["corpus_sha256"] = "other"
    group.attrs["languages"] = languages
    group.attrs["weights_sha256"] = "ffff"
    config = dataclasses.replace(config, grid=tmp_path / "grid.zarr")
    with pytest.raises(ValueError, match=r"isn't of .*\n  weights_sha256: grid 'ffff', store '00ff'"):
        interpret.run(config)
    group.attrs["weights_sha256"] = "00ff"
    with pytest.raises(ValueError, match=r"bb\.zarr\n  corpus_sha256: grid 'other', store"):
        interpret.run(config)


def test_a_grid_without_seqsim_is_refused(config, tmp_path):
    shutil.copytree(config.grid, tmp_path / "grid.zarr")
    shutil.rmtree(tmp_path / "grid.zarr" / "seqsim")
    with pytest.raises(ValueError, match="holds precision, recall; interpretation needs seqsim"):
        interpret.run(dataclasses.replace(config, grid=tmp_path / "grid.zarr"))


def test_sentences_that_are_none(config):
    with pytest.raises(ValueError, match="--sentences must be one of retrieved, gold"):
        dataclasses.replace(config, sentences="best")


def test_words_are_aligned_where_there_are_none(config, spoken, monkeypatch):
    """The align job itself has its own tests; here it is asked for the right thing, before any compute."""
    asked = []

    def align(given):
        asked.append(given)
        shutil.copytree(spoken / "words", given.out)

    monkeypatch.setattr(interpret.interpret_words.align, "run", align)
    config = dataclasses.replace(config, words=None, model="a/b", states=("final",), pairs=("aa-cc",))
    assert interpret.run(config).done == 1
    [given] = asked
    assert (given.store, given.model, given.languages) == (config.store, "a/b", ("aa", "cc"))
    assert given.out == config.out / "words"


def test_words_cannot_be_had(config):
    config = dataclasses.replace(config, words=None)
    with pytest.raises(ValueError, match=r"give --words, .*\(made-up, which is no hub id\)"):
        interpret.run(config)
    with pytest.raises(ValueError, match=r"run isogloss\.jobs\.align to its end"):
        dataclasses.replace(config, share=plan.Share(index=0, count=2))


def test_another_model_than_the_store_s_is_refused(config, model_folder, monkeypatch):
    monkeypatch.setattr(interpret, "Recordings", lambda spec, languages: None)
    config = dataclasses.replace(config, words=None, model=str(model_folder), corpus="manifest:x.tsv")
    with pytest.raises(ValueError, match=r"made with weights 00ff \(made-up\), --model=whisper-nano has"):
        interpret.run(config)


class Letters(meaning.Encoder):
    """Vectors of letters: words of one type mean the same."""

    def __init__(self):
        super().__init__(
            "letters",
            lambda words: np.array([[1 + ord(c) for c in w.lower().strip("«»,")] for w in words], float),
        )


def test_checks_pictures_and_the_page(config, monkeypatch):
    monkeypatch.setattr(meaning, "load", lambda name: Letters())
    config = dataclasses.replace(config, sentence_encoder="letters", pictures=2, pairs=("aa-bb", "cc-aa"))
    summary = interpret.run(config)
    assert summary.page == str(config.out / "interpret.html")
    assert pathlib.Path(summary.page).stat().st_size > 10_000
    assert len(list(config.out.glob("pair_*.png"))) == len(list(config.out.glob("pair_*.svg"))) == 2 * 4
    checks = table(config.out, "checks")
    known = checks[checks.check == "meaning"]
    assert len(known) == 2 * 2 * 2
    assert (known.n > 0).all()
    matches, pairs = table(config.out, "matches"), table(config.out, "word_pairs")
    met = pairs[pairs.mutual | pairs.transported]
    assert len(matches) == len(met)
    assert matches.meaning.notna().all()
    assert matches.sound_distance.isna().all()
    before = {path: path.read_bytes() for path in config.out.iterdir() if path.is_file()}
    (config.out / "pair_aa-bb_1_old.png").write_bytes(b"")
    assert interpret.run(config).done == 0
    assert {path: path.read_bytes() for path in config.out.iterdir() if path.is_file()} == before
