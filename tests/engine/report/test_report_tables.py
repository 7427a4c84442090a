"""Tables of a report from grids with planted truth: what is not there is not found, and what is there is."""

import dataclasses
import itertools

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from isogloss.engine.report import report
from isogloss.engine.retrieval import contrasts
from isogloss.engine.runtime.refusal import Refusal
from small_grids import made_grid

LANGUAGES = ("en", "es", "fr")
PAIRS = tuple(itertools.combinations(LANGUAGES, 2))
STATES = ("0", "1", "final")
N = 60


def truth(name, rng, frames):
    """Scores (state, query, candidate) of a pair in which only what `name` says can be found."""
    noise = rng.standard_normal((len(STATES), N, N))
    if name == "duration":
        return noise * 1e-4 - np.abs(np.log(frames[0][:, None] / frames[1]))
    if name == "late":  # translations, in the last two states
        noise[1:] += 4 * np.eye(N)
    if name == "falls":  # translations, but not in the last state
        noise[:2] += 4 * np.eye(N)
    if name == "hub":
        noise[:, :, 7] += 3
        noise += 4 * np.eye(N)
    return noise


def tables(folder, name):
    """Report of a grid with planted scores, as data frames by name."""
    rng = np.random.default_rng(0)
    sentence = rng.uniform(50, 400, N)  # translations are of similar length
    length = {code: np.int32(sentence * rng.uniform(0.95, 1.05, N)) for code in LANGUAGES}
    pairs_frames = [[length[pair[side]] for pair in PAIRS] for side in (0, 1)]
    sentences = list(map(str, range(N)))
    frames = {code: dict(zip(sentences, counts.tolist(), strict=True)) for code, counts in length.items()}
    grid = made_grid(folder / "grid.zarr", PAIRS, sentences, states=STATES, frames=frames, model=name)
    for p in range(len(PAIRS)):
        scores = truth(name, rng, [side[p] for side in pairs_frames]).astype(np.float32)
        for s in range(len(STATES)):
            grid.write(p, s, {"seqsim": scores[s], "dtw": 100 - scores[s]})
    assert report.run(report.ReportConfig(grid=grid.path, out=folder / "out")).complete
    found = {path.stem: pd.read_parquet(path) for path in (folder / "out").glob("*.parquet")}
    return found | {"ranks": xr.open_zarr(folder / "out" / "ranks.zarr")}


@pytest.fixture(scope="module")
def planted(tmp_path_factory, undrawn):
    names = ("nothing", "duration", "late", "hub", "falls")
    return {name: tables(tmp_path_factory.mktemp(name), name) for name in names}


@pytest.mark.deep
def test_where_there_is_no_signal_q_is_rarely_small(planted):
    found = planted["nothing"]
    scored = found["retrieval"].query("measure != 'duration'")  # lengths are alike in all languages
    assert (scored["q"] < 0.05).mean() < 0.02
    same = found["contrasts"].query("measure != 'duration' and compared_with not in ['duration', 'pair']")
    assert (same["q"] < 0.05).mean() < 0.02
    assert (found["best_states"].dropna()["onset"] == "none").all()


def test_duration_alone_has_no_onset(planted):
    found = planted["duration"]
    lengths = found["retrieval"].query("measure == 'duration'")
    score = found["retrieval"].query("correction == 'none' and measure == 'seqsim'")
    assert np.abs(score["recall_at_1"].mean() - lengths["recall_at_1"].mean()) < 0.1
    assert (score["q"] < 0.05).any()  # above chance, and yet nothing but length
    plain = found["best_states"].query("correction == 'none' and measure == 'seqsim'")
    assert (plain["onset"] == "none").all()


def test_onset_is_the_planted_state(planted):
    plain = planted["late"]["best_states"].query("correction == 'none' and measure in ['seqsim', 'dtw']")
    assert (plain["onset"] == "1").all()
    assert (plain["onset_low"] == "1").all()
    assert (plain["recall_at_1_held_out"] > 0.8).all()
    means = planted["late"]["means"].query("measure == 'seqsim' and correction == 'none'").set_index("state")
    assert means.loc["0", "sentences_high"] < 0.1
    assert means.loc["1", "languages_low"] > 0.8
    assert set(means["pairs"]) == {3}


def test_a_state_after_the_onset_may_say_nothing(planted):
    found = planted["falls"]
    assert (found["best_states"].query("measure == 'seqsim'")["onset"] == "0").all()
    last = found["retrieval"].query("measure == 'seqsim' and state == 'final'")
    assert not last["above_duration"].any()
    assert found["retrieval"].query("measure == 'seqsim' and state == '1'")["above_duration"].all()
    assert found["retrieval"].query("measure == 'duration'")["above_duration"].isna().all()
    keys = ["language_a", "language_b", "state", "measure", "correction", "direction"]
    tests = found["contrasts"].query("compared_with == 'duration'").set_index(keys)
    both = tests.join(found["retrieval"].set_index(keys)["above_duration"])
    assert (both["above_duration"] == ((both["q"] < 0.05) & (both["difference"] > 0))).all()


def test_the_onset_is_the_first_state_whose_q_is_below_a_twentieth(planted):
    """The largest p that is certain stands in the table in 32 bits; a state of just this p counts."""
    for found in planted.values():
        certain = found["retrieval"].dropna(subset="above_duration").query("above_duration == True")
        keys = ["language_a", "language_b", "measure", "correction", "direction"]
        first = certain.groupby(keys, observed=True)["state"].first()
        onsets = found["best_states"].query("measure != 'duration'").set_index(keys)["onset"]
        assert first.reindex(onsets.index).fillna("none").tolist() == onsets.tolist()


def test_hubs_are_found_by_name_and_corrected(planted):
    table = planted["hub"]["retrieval"].query("measure == 'seqsim'").set_index(["correction", "direction"])
    forward = [f"{a}->{b}" for a, b in PAIRS]
    plain, csls = (table.loc[name].loc[forward] for name in ("none", "csls"))
    assert (plain["hub"] == "7").all()
    assert (plain["hub_queries"] > 3 * plain["hub_queries_2"]).all()
    ranks = planted["hub"]["ranks"]["ranks"].sel(measure="seqsim", state="0", pair="en-es")[0].values
    row = plain.query("state == '0' and direction == 'en->es'").iloc[0]
    # Each answers itself at most once, and no miss has more than one first answer.
    assert row["hub_queries"] + row["hub_queries_2"] + row["hub_queries_3"] <= (ranks > 1).sum() + 3
    assert (plain["hubness"] > csls["hubness"]).all()
    assert csls["recall_at_1"].mean() > plain["recall_at_1"].mean() + 0.1
    raised = planted["hub"]["contrasts"].query(
        "compared_with == 'uncorrected' and correction == 'csls' and measure == 'seqsim'"
    )
    assert (raised["difference"] > 0).any()
    assert raised.loc[raised["difference"] > 0.2, "q"].max() < 0.01
    halves = planted["hub"]["inductive"].query("measure == 'seqsim'").set_index("direction").loc[forward]
    assert (halves["recall_at_1_csls_inductive"] > halves["recall_at_1"]).all()
    assert (halves["recall_at_1_centred_inductive"] > halves["recall_at_1"]).all()
    assert (halves["recall_at_1_low"] < halves["recall_at_1_high"]).all()
    assert set(halves["candidates"]) == {N / 2}


def test_every_figure_follows_from_the_ranks(planted):
    ranks = planted["late"]["ranks"]["ranks"]
    table = planted["late"]["retrieval"]
    for row in table.sample(20, random_state=0).to_dict("records"):
        name = row["measure"] + ("" if row["correction"] == "none" else f"+{row['correction']}")
        pair, side = (
            f"{row['language_a']}-{row['language_b']}",
            int(row["direction"][:2] != row["language_a"]),
        )
        found = ranks.sel(pair=pair, state=row["state"], measure=name)[side].values.astype(int)
        assert row["recall_at_1"] == (found == 1).mean()
        assert row["mrr"] == pytest.approx((1 / found).mean())


def test_length_divides_dtw(planted):
    found = planted["late"]["retrieval"]
    assert {"dtw", "dtw_sum", "dtw_longer", "duration"} < set(found["measure"])
    assert set(found.query("measure == 'duration'")["correction"]) == {"none"}


def test_two_pairs_are_compared_by_sentence(planted):
    pairs = planted["late"]["contrasts"].query("compared_with == 'pair' and measure == 'seqsim'")
    assert len(pairs) == 2 * 3
    assert (pairs["ci_low"] <= pairs["difference"]).all()


@pytest.mark.usefixtures("undrawn")
def test_of_many_pairs_those_named_are_compared(tmp_path, monkeypatch):
    rng, sentences = np.random.default_rng(1), list(map(str, range(12)))
    grid = made_grid(tmp_path / "grid.zarr", PAIRS, sentences, states=("final",), measures=("seqsim",))
    for p in range(len(PAIRS)):
        grid.write(p, 0, {"seqsim": np.float32(rng.standard_normal((12, 12)) + np.eye(12))})
    config = report.ReportConfig(grid=grid.path, out=tmp_path / "out", corrections=())

    def compared(*named):
        done = report.run(dataclasses.replace(config, contrast_pairs=named))
        found = pd.read_parquet(config.out / "contrasts.parquet").query("compared_with == 'pair'")
        return done.done, found.drop(columns="q").reset_index(drop=True)

    done, every = compared()
    assert (done, len(every)) == (3, 3 * 2)
    monkeypatch.setattr(contrasts, "MOST_PAIRS", 2)
    done, some = compared("es-en", "es-fr")
    of_es = every.query("language_b == 'es' and other_language_a == 'es'")  # en-es against es-fr
    pd.testing.assert_frame_equal(some, of_es.reset_index(drop=True))
    assert (done, len(some)) == (0, 2)
    for named, message in (
        (("en-de",), "the grid has no pair en-de. Name pairs a-b of two languages among en, es, fr"),
        (("en-es", "es-en"), "names a pair twice"),
        (("en-es",), "must name 2 to 2 language pairs, got 1"),
        (("en-es", "en-fr", "es-fr"), "must name 2 to 2 language pairs, got 3"),
    ):
        with pytest.raises(Refusal, match=message):
            compared(*named)
