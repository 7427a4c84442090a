"""interpret: other settings, damaged input, refusals, words made here."""

import dataclasses
import json
import pathlib
import shutil

import numpy as np
import pandas as pd
import pytest

from isogloss.engine.activations import activation_store
from isogloss.engine.alignment import align
from isogloss.engine.grid import grid_store
from isogloss.engine.grid.grid import GridConfig, run as run_grid
from isogloss.engine.interpretation import interpret, sentence_choice
from isogloss.engine.interpretation.aligned_words import LanguageWords
from isogloss.engine.interpretation.word_pairs import Method
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.texts import meaning


@pytest.fixture
def copied(tmp_path):
    """Function from a configuration and an input, such as "grid", to the one that reads a copy of it."""

    def copy(config, name):
        place = tmp_path / getattr(config, name).name
        shutil.copytree(getattr(config, name), place, copy_function=shutil.copyfile)  # with new times
        return dataclasses.replace(config, **{name: place})

    return copy


@pytest.fixture
def with_words(copied):
    """Function from a configuration to the one whose words `change` has changed, a table to a table."""

    def changed(config, change):
        config = copied(config, "words")
        path = config.words / "words.parquet"
        change(pd.read_parquet(path)).to_parquet(path)
        return config

    return changed


def problems(config, utterances):
    """The align job's table of utterances of bb that have no words."""
    found = {"language": "bb", "utterance": utterances, "problem": "transcription is empty"}
    pd.DataFrame(found).to_parquet(config.words / "utterances.parquet")


def table(config, name="sentence_pairs"):
    return pd.read_parquet(config.out / f"{name}.parquet")


def test_other_words_are_other_parts(config, copied):
    config = copied(dataclasses.replace(config, pairs=("aa-bb", "aa-cc"), states=("final",)), "words")
    assert interpret.run(config).done == 2
    path = config.words / "words.parquet"
    words = pd.read_parquet(path)
    words.loc[words.index[words.language == "bb"][0], "word"] = "other"
    words.to_parquet(path)
    assert interpret.run(config).done == 1
    assert len(list((config.out / "parts").glob("*.word_pairs.parquet"))) == 2
    assert "other" in set(table(config, "word_pairs").word_b)


def test_a_copy_of_the_grid_keeps_the_parts_and_other_settings_are_refused(one, copied):
    assert interpret.run(one).done == 1
    again = interpret.run(copied(one, "grid"))
    assert (again.done, again.skipped) == (0, 1)
    for dry in (True, False):
        with pytest.raises(ValueError, match=r"epsilon: stored 0\.2, asked for 0\.1"):
            interpret.run(dataclasses.replace(one, epsilon=0.1, dry_run=dry))


def test_the_run_continues_past_an_utterance_without_words(one, with_words, caplog):
    def change(words):
        words.loc[(words.language == "aa") & (words.sentence == "s5"), "empty"] = True
        return words[~((words.language == "bb") & (words.sentence == "s2"))]

    config = with_words(dataclasses.replace(one, sentence_pairs="gold"), change)
    problems(config, ["s2.0"])
    summary = interpret.run(config)
    assert not summary.complete
    assert summary.left_out == 2
    rows = table(config).set_index("query")
    assert list(rows.problem[rows.problem != ""].items()) == [
        ("s2", "bb s2.0 has no words: transcription is empty"),
        ("s5", "no word of aa s5.0 has a frame of its own"),
    ]
    assert rows.score.isna().tolist() == (rows.problem != "").tolist()
    assert set(table(config, "word_pairs")["query"]) == {"s0", "s1", "s3", "s4", "s6"}
    assert "1 sentence pairs aren't compared: bb s2.0" in caplog.text


def test_a_language_without_a_word_leaves_its_sentence_pairs_out(one, with_words):
    """And a report of an earlier run, which had words of it, is gone."""
    interpret.run(dataclasses.replace(one, pictures=1))
    assert {path.suffix for path in one.out.iterdir()} >= {".html", ".csv", ".png", ".svg", ".pdf"}
    config = with_words(one, lambda words: words[words.language != "bb"])
    words = pd.read_parquet(one.words / "words.parquet")
    problems(config, words.utterance[words.language == "bb"].unique())
    summary = interpret.run(config)
    assert (summary.done, summary.left_out, summary.page) == (1, 7, None)
    assert table(config).problem.str.endswith("has no words: transcription is empty").all()
    tables = {"word_pairs.parquet", "word_types.parquet", "sentence_pairs.parquet", "columns.tsv"}
    assert {path.name for path in config.out.iterdir() if path.is_file() and path.suffix != ".json"} == tables


def test_words_of_other_utterances_alone_are_refused(config, monkeypatch):
    none = LanguageWords(utterances={}, problems={}, digest="")
    monkeypatch.setattr(interpret.inputs.aligned_words, "read", lambda _, stores: dict.fromkeys(stores, none))
    with pytest.raises(ValueError, match="of none of the 7 utterances"):
        interpret.run(config)


def test_a_transport_that_does_not_converge_is_counted(one, caplog, monkeypatch):
    method = Method(word_vector="centre", epsilon=0.01, threshold=0.3, iterations=2)
    monkeypatch.setattr(interpret, "_method", lambda config: method)
    summary = interpret.run(one)
    assert summary.unconverged == (~table(one).converged).sum() > 0
    assert summary.complete
    assert "a larger --epsilon than 0.01" in caplog.text


def test_a_damaged_shard_and_a_missing_chunk(config, copied):
    config = copied(copied(config, "store"), "grid")
    (config.grid / "seqsim" / "c.1.1.0.0").unlink()  # aa-cc, final
    shard = config.store / "bb.zarr" / "states" / "c.1.0.0.0"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:10] + bytes([whole[10] ^ 255]) + whole[11:])  # in a chunk of the first state
    for index in (0, 1):
        interpret.run(dataclasses.replace(config, shard_index=index, num_shards=2))
    summary = interpret.run(config)
    assert summary.missing == ["cc-aa state final"]
    assert list(summary.failed) == ["aa-bb state 1"]
    assert "bb.zarr" in summary.failed["aa-bb state 1"]
    assert not summary.complete
    found = table(config)[["language_a", "state"]].drop_duplicates()
    assert sorted(found.itertuples(index=False, name=None)) == [("aa", "final"), ("cc", "1")]
    shard.write_bytes(whole)
    recovered = interpret.run(config)
    assert (recovered.done, recovered.failed) == (1, {})
    assert not list((config.out / "parts").rglob("*.txt"))


def test_a_chunk_of_scores_that_is_damaged(config, copied):
    config = copied(dataclasses.replace(config, states=("final",)), "grid")
    (config.grid / "seqsim" / "c.0.1.0.0").write_bytes(b"no Zstandard")
    summary = interpret.run(config)
    assert list(summary.failed) == ["aa-bb state final"]
    assert "delete that chunk and run the grid job again" in summary.failed["aa-bb state final"]
    assert summary.done == 1


def test_a_fault_of_the_program_is_not_called_a_damaged_chunk(one, monkeypatch):
    def fail(*_):
        raise ValueError("operands could not be broadcast together")

    monkeypatch.setattr(sentence_choice, "choose", fail)
    with pytest.raises(ValueError, match=r"^operands could not be broadcast together$"):
        interpret.run(one)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"states": ("5",)}, "--states=5: .*it has 1, final"),
        ({"states": ("1", "1")}, "--states must name each value once"),
        ({"pairs": ("aa-zz",)}, "--pairs=aa-zz: .*it has aa-bb, aa-cc, bb-cc"),
        ({"pairs": ("aa-bb", "aa-bb")}, "--pairs must name each value once"),
        ({"grid": pathlib.Path("nowhere.zarr")}, "there is no grid"),
        ({"store": pathlib.Path("nowhere")}, "isn't extracted"),
        ({"words": pathlib.Path("nowhere")}, "there are no words"),
    ],
)
def test_bad_input_is_refused_before_any_compute(config, monkeypatch, change, message):
    monkeypatch.delattr(interpret.interpret_unit, "compare")
    monkeypatch.delattr(interpret, "_load_checks")  # which takes seconds, and may ask for packages
    with pytest.raises(ValueError, match=message):
        interpret.run(dataclasses.replace(config, **change))
    assert not config.out.exists()


@pytest.mark.parametrize("aligned", [True, False])
def test_a_dry_run_refuses_what_a_run_refuses(config, monkeypatch, aligned):
    def absent(name):
        raise ValueError(f"{name} isn't there")

    monkeypatch.setattr(meaning, "load", absent)
    config = dataclasses.replace(config, sentence_encoder="x", dry_run=True)
    config = config if aligned else dataclasses.replace(config, words=None, model="a/b")
    with pytest.raises(ValueError, match="x isn't there"):
        interpret.run(config)


def test_a_state_that_the_grid_lacks_leaves_the_others(config, caplog):
    config = dataclasses.replace(config, states=("final", "5"), pairs=("aa-bb", "cc-aa"))
    for dry in (True, False):
        summary = interpret.run(dataclasses.replace(config, dry_run=dry))
        assert summary.missing == ["aa-bb state 5", "cc-aa state 5"]
    assert summary.done == 2
    assert not summary.complete
    assert "has no state 5, it has 1, final" in caplog.text
    assert set(table(config).state) == {"final"}


def test_words_of_recordings_beyond_the_window_are_marked(one, with_words, caplog):
    config = with_words(
        dataclasses.replace(one, sentence_pairs="gold"),
        lambda words: words.assign(truncated=(words.language == "bb") & (words.sentence == "s2")),
    )
    assert interpret.run(config).complete
    rows = table(config)
    assert rows.candidate[rows.truncated_b].tolist() == ["s2"]
    assert not rows.truncated_a.any()
    assert "1 sentence pairs have a recording longer than the model's window" in caplog.text


def test_a_grid_of_another_store_is_refused(config, copied):
    config = copied(config, "grid")
    metadata = config.grid / "zarr.json"
    group = json.loads(metadata.read_text())
    for changed, message in (
        ({"weights_sha256": "f" * 64}, r"\n  weights of made-up: grid ffffffffffff, store 00ff\n"),
        (
            {"weights_sha256": "f" * 64, "model": "other"},
            r"isn't of .*\n  model: grid other, store made-up\n",
        ),
        ({"settings": '{"dtype": "float32"}'}, r"\n  settings\.dtype: grid float32, store float16\n"),
    ):
        metadata.write_text(json.dumps(group | {"attributes": group["attributes"] | changed}))
        with pytest.raises(ValueError, match=message):
            interpret.run(config)


def test_a_grid_of_other_recordings_is_refused_by_name(config, spoken, tmp_path):
    shutil.copytree(spoken / "store", tmp_path / "store")
    store = activation_store.open_store(tmp_path / "store", "bb")
    store.note_failure(2, "s2.wav: gone")
    store.shard(2).unlink()
    with pytest.raises(ValueError, match=r"since the grid was made, bb has 1 sentence fewer: s2\n"):
        interpret.run(dataclasses.replace(config, store=tmp_path / "store"))


def test_a_grid_of_format_2_knows_its_recordings_by_their_list(config, copied, monkeypatch):
    config = copied(config, "grid")
    opened = grid_store.open_grid(config.grid)
    older = dataclasses.replace(opened, axes=dataclasses.replace(opened.axes, recordings={}))
    monkeypatch.setattr(grid_store, "open_grid", lambda path: older)
    assert interpret.run(dataclasses.replace(config, dry_run=True)).plan["units"] > 0
    older.attributes["languages"]["bb"]["corpus_sha256"] = "other"
    with pytest.raises(ValueError, match="has other recordings, which a grid of an earlier version doesn't"):
        interpret.run(config)


def test_a_grid_without_seqsim_is_refused(config, tmp_path):
    other, measures = tmp_path / "other.zarr", ("precision", "recall")
    run_grid(GridConfig(store=config.store, grid=other, measures=measures, pairs=("aa-bb",), states=("1",)))
    with pytest.raises(ValueError, match="holds precision, recall; interpretation needs seqsim"):
        interpret.run(dataclasses.replace(config, grid=other))


def test_numbers_out_of_range_are_refused(config):
    for name, value in (("epsilon", 0.0), ("epsilon", np.nan), ("threshold", 0.0), ("threshold", 1.5)):
        with pytest.raises(Refusal, match=f"--{name} must be"):
            dataclasses.replace(config, **{name: value})


def test_words_are_aligned_where_there_are_none(config, spoken, monkeypatch):
    """The align job itself has its own tests; here it is asked for the right thing, before any compute."""
    asked = []

    def made(given):
        asked.append(given)
        shutil.copytree(spoken / "words", given.out)

    monkeypatch.setattr(align, "run", made)
    config = dataclasses.replace(config, words=None, model="a/b", states=("final",), pairs=("aa-cc",))
    assert interpret.run(config).done == 1
    [given] = asked
    assert (given.store, given.model, given.languages) == (config.store, "a/b", ("aa", "cc"))
    assert given.out == config.out / "words_of_states"


def test_words_cannot_be_had(config, model_folder, monkeypatch):
    config = dataclasses.replace(config, words=None)
    with pytest.raises(ValueError, match=r"give --words, .*\(made-up, which is not a hub id\)"):
        interpret.run(config)
    with pytest.raises(ValueError, match=r"run isogloss\.jobs\.align to its end"):
        dataclasses.replace(config, shard_index=0, num_shards=2)
    monkeypatch.setattr(interpret, "Recordings", lambda spec, stores, columns: None)
    config = dataclasses.replace(config, model=str(model_folder), corpus="manifest:x.tsv")
    with pytest.raises(ValueError, match=r"another model\n  model: stored made-up, --model whisper-nano\n"):
        interpret.run(config)
