"""interpret: tables against loops over the store, in one go or in parts; nothing runs a model."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from isogloss.engine.grid.grid import GridConfig, run as run_grid
from isogloss.engine.interpretation import interpret, tables
from isogloss.kernels import reference, word_reference

SHARES = ("share_precision", "share_recall", "share")
TABLES = ("word_pairs.parquet", "word_types.parquet", "sentence_pairs.parquet")


@pytest.fixture(scope="module")
def made(tmp_path_factory, interpreting):
    """Tables of two pairs, one of them against the grid's direction, and both states."""
    out = tmp_path_factory.mktemp("made") / "out"
    summary = interpret.run(interpreting(out))
    assert summary.complete
    assert (summary.done, summary.skipped, summary.waiting) == (4, 0, 0)
    return out


def table(out, name):
    return pd.read_parquet(out / f"{name}.parquet")


def where(rows, **values):
    """Rows whose columns have these values."""
    return rows[np.logical_and.reduce([rows[name] == value for name, value in values.items()])]


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


@pytest.mark.parametrize("pair", ["aa-bb", "cc-aa"])
@pytest.mark.parametrize("state", ["1", "final"])
def test_tables_equal_plain_loops_over_the_store(made, spoken, pair, state):
    """State "1" is full of ties; its cosines are exact in float32 and float64 but for their last bit.

    There norms are 4, a division by which is exact; so both sides see the same ties.
    """
    sides = pair.split("-")
    pairs = table(made, "word_pairs")
    pairs = where(pairs, language_a=sides[0], language_b=sides[1], state=state)
    frames = [frames_of(spoken / "store", code, state) for code in sides]
    words = [spoken_words(spoken / "words", code) for code in sides]
    assert pairs["query"].nunique() == 6 if "cc" in pair else 7
    for (query, candidate), rows in pairs.groupby(["query", "candidate"]):
        x, y, a, b = frames[0][query], frames[1][candidate], words[0][query], words[1][candidate]
        shape = len(a) + 1, len(b) + 1  # frames of no word come last
        found = {name: rows[name].to_numpy().reshape(shape) for name in rows}
        similarity = reference.cosines(x[a.centre_frame], y[b.centre_frame])
        np.testing.assert_allclose(found["similarity"][:-1, :-1], similarity, rtol=0, atol=1e-6)
        for side, own, axis in (("a", a, 1), ("b", b, 0)):
            for name in ("word_index", "word", "start"):
                column = np.broadcast_to(np.expand_dims(own[name], axis), similarity.shape)
                np.testing.assert_array_equal(found[f"{name}_{side}"][:-1, :-1], column)
        np.testing.assert_array_equal(found["mutual"][:-1, :-1], word_reference.mutual_best(similarity))
        intervals = [list(zip(own.first_frame, own.last_frame, strict=True)) for own in (a, b)]
        for name, share in zip(SHARES, word_reference.attribution(x, y, *intervals), strict=True):
            np.testing.assert_allclose(found[name], share, rtol=0, atol=2e-6)


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


def test_sentence_pairs_count_their_words(config, made, spoken):
    words = pd.read_parquet(spoken / "words" / "words.parquet")
    rows, pairs = table(made, "sentence_pairs"), table(made, "word_pairs")
    for row in rows.to_dict("records"):
        for side in "ab":
            empty = where(words, language=row[f"language_{side}"], utterance=row[f"utterance_{side}"])[
                "empty"
            ]
            assert row[f"empty_{side}"] == empty.sum()
            assert row[f"words_{side}"] == (~empty).sum()
        mine = where(pairs, **{name: row[name] for name in ("language_a", "state", "query")})
        gap = mine[(mine.word_a == "") | (mine.word_b == "")]
        assert abs(gap.share.sum() - row["share_gap"]) < 1e-5
        assert gap.similarity.isna().all()
        assert not gap.mutual.any()
        assert mine.mutual.sum() == row["mutual"] >= 1
        assert mine.transported.sum() == row["transported"]
        assert row["converged"]
        assert row["transport_error"] <= 1e-4
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
        mine = where(real, **{name: row[name] for name in types.columns[:5]})
        assert (len(mine), mine.mutual.sum()) == (row["together"], row["mutual"])
        matched = mine[mine.mutual | mine.transported]
        assert abs(matched.similarity.mean() - row["similarity"]) < 1e-6
        assert abs(mine.share.sum() - row["share"]) < 1e-5


def test_types_of_words():
    words = ["L\u2019Été,", "«W»", "—", "e\u0301t", "a-b.", "STRASSE"]
    assert [tables.word_type(word) for word in words] == ["l\u2019été", "w", "—", "ét", "a-b", "strasse"]


def test_gold_pairs_and_means(config):
    one = {"states": ("final",), "pairs": ("aa-bb",)}
    config = dataclasses.replace(config, sentence_pairs="gold", word_vector="mean", **one)
    assert interpret.run(config).done == 1
    rows = table(config.out, "sentence_pairs")
    assert rows.gold.all()
    assert rows["query"].tolist() == [f"s{k}" for k in range(7)]
    x, y = (frames_of(config.store, code, "final") for code in ("aa", "bb"))
    words = [spoken_words(config.words, code)["s2"] for code in ("aa", "bb")]
    intervals = [list(zip(own.first_frame, own.last_frame, strict=True)) for own in words]
    means = [word_reference.word_vectors(z["s2"], own) for z, own in zip((x, y), intervals, strict=True)]
    pairs = where(table(config.out, "word_pairs"), query="s2")
    found = pairs[(pairs.word_a != "") & (pairs.word_b != "")].similarity
    np.testing.assert_allclose(found, reference.cosines(*means).ravel(), rtol=0, atol=1e-5)


@pytest.mark.deep
def test_a_grid_without_language_means(config, tmp_path):
    """Frames are centred as the grid's were, so that shares sum to its scores."""
    grid, one = tmp_path / "centred.zarr", {"pairs": ("aa-bb",), "states": ("final",)}
    run_grid(
        GridConfig(
            store=config.store, grid=grid, measures=("seqsim",), **one, remove_language_mean=True,
            implementation="xla", memory_gb=1.0,
        )
    )  # fmt: skip
    config = dataclasses.replace(config, grid=grid, pairs=(), sentence_pairs="gold")
    assert interpret.run(config).largest_difference < 1e-5


def test_resumes_and_divides_to_the_same_bytes(config, made):
    first = interpret.run(dataclasses.replace(config, shard_index=1, num_shards=3))
    assert (first.done, first.waiting, first.tables) == (1, 3, {})
    assert not (config.out / TABLES[0]).exists()
    second = interpret.run(config)
    assert (second.done, second.skipped, second.waiting) == (3, 1, 0)
    for name in TABLES:
        assert (config.out / name).read_bytes() == (made / name).read_bytes()
    parts = sorted((config.out / "parts").rglob("*.parquet"))
    assert len(parts) == 8
    times = {path: path.stat().st_mtime_ns for path in parts}
    parts[0].unlink()
    again = interpret.run(config)
    assert (again.done, again.skipped) == (1, 3)
    assert [path for path in parts if path.stat().st_mtime_ns != times[path]] == parts[:2]  # of one unit
    for name in TABLES:
        assert (config.out / name).read_bytes() == (made / name).read_bytes()


def test_dry_run_writes_nothing_and_counts(config, made):
    summary = interpret.run(dataclasses.replace(config, dry_run=True))
    assert not config.out.exists()
    assert summary.plan["units"] == 4
    assert summary.plan["sentence_pairs"] == 2 * 7 + 2 * 6
    x, y = (frames_of(config.store, code, "final") for code in ("aa", "bb"))
    z = frames_of(config.store, "cc", "final")
    cells = sum(len(x[s]) * len(y[s]) for s in x) + sum(len(x[s]) * len(z[s]) for s in z)
    assert summary.plan["flops"] == 2 * 2 * 16 * cells
    assert summary.plan["estimated_seconds"] >= 0
    again = interpret.run(dataclasses.replace(config, out=made, dry_run=True))
    assert (again.plan["units"], again.skipped) == (0, 4)
