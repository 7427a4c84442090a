"""interpret: other settings, damaged input, refusals, words made here, checks and the page."""

import dataclasses
import json
import pathlib
import re
import shutil

import numpy as np
import pandas as pd
import pytest

from isogloss.engine.activations import activation_store
from isogloss.engine.alignment import align
from isogloss.engine.interpretation import interpret, meaning, report
from isogloss.engine.interpretation.aligned_words import LanguageWords
from isogloss.engine.interpretation.word_pairs import Method
from isogloss.engine.runtime.refusal import Refusal


@pytest.fixture
def config(tmp_path, interpreting):
    return interpreting(tmp_path / "out")


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
    assert len(list((config.out / "parts").glob("*.word_pairs.parquet"))) == 2
    assert "other" in set(pd.read_parquet(config.out / "word_pairs.parquet").word_b)


def test_a_copy_of_the_grid_keeps_the_parts(config, tmp_path):
    config = dataclasses.replace(config, pairs=("aa-bb",), states=("final",))
    assert interpret.run(config).done == 1
    shutil.copytree(config.grid, tmp_path / "grid.zarr", copy_function=shutil.copyfile)  # with new times
    again = interpret.run(dataclasses.replace(config, grid=tmp_path / "grid.zarr"))
    assert (again.done, again.skipped) == (0, 1)


def test_other_settings_are_refused(config):
    config = dataclasses.replace(config, states=("final",), pairs=("aa-bb",))
    interpret.run(config)
    other = dataclasses.replace(config, epsilon=0.1)
    for dry in (True, False):
        with pytest.raises(ValueError, match=r"epsilon: stored 0\.2, asked for 0\.1"):
            interpret.run(dataclasses.replace(other, dry_run=dry))


def test_the_run_continues_past_an_utterance_without_words(config, tmp_path, caplog):
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
    assert summary.left_out == 2
    rows = pd.read_parquet(config.out / "sentence_pairs.parquet").set_index("query")
    assert list(rows.problem[rows.problem != ""].items()) == [
        ("s2", "bb s2.0 has no words: transcription is empty"),
        ("s5", "no word of aa s5.0 has a frame of its own"),
    ]
    assert rows.score.isna().tolist() == (rows.problem != "").tolist()
    assert set(pd.read_parquet(config.out / "word_pairs.parquet")["query"]) == {"s0", "s1", "s3", "s4", "s6"}
    assert "1 sentence pairs aren't compared: bb s2.0" in caplog.text


def test_a_language_without_a_word_leaves_its_sentence_pairs_out(config, tmp_path):
    """And a report of an earlier run, which had words of it, is gone."""
    shutil.copytree(config.words, tmp_path / "words")
    config = dataclasses.replace(
        config, words=tmp_path / "words", pairs=("aa-bb",), states=("final",), pictures=1
    )
    interpret.run(config)
    assert {path.suffix for path in config.out.iterdir()} >= {".html", ".csv", ".png", ".svg"}
    words = pd.read_parquet(config.words / "words.parquet")
    words[words.language != "bb"].to_parquet(config.words / "words.parquet")
    names = words.utterance[words.language == "bb"].unique()
    problems = pd.DataFrame({"language": "bb", "utterance": names, "problem": "transcription is empty"})
    problems.to_parquet(config.words / "utterances.parquet")
    summary = interpret.run(config)
    assert (summary.done, summary.left_out, summary.page) == (1, 7, None)
    rows = pd.read_parquet(config.out / "sentence_pairs.parquet")
    assert rows.problem.str.endswith("has no words: transcription is empty").all()
    tables = {"word_pairs.parquet", "word_types.parquet", "sentence_pairs.parquet"}
    assert {path.name for path in config.out.iterdir() if path.is_file() and path.suffix != ".json"} == tables


def test_words_of_other_utterances_alone_are_refused(config, spoken, monkeypatch):
    monkeypatch.setattr(
        interpret.inputs.aligned_words,
        "read",
        lambda folder, stores: {
            code: LanguageWords(utterances={}, problems={}, digest="") for code in stores
        },
    )
    with pytest.raises(ValueError, match="of none of the 7 utterances"):
        interpret.run(config)


def test_a_transport_that_does_not_converge_is_counted(config, caplog, monkeypatch):
    method = Method(word_vector="centre", epsilon=0.01, threshold=0.3, iterations=2)
    monkeypatch.setattr(interpret, "_method", lambda config: method)
    config = dataclasses.replace(config, states=("final",), pairs=("aa-bb",))
    summary = interpret.run(config)
    rows = pd.read_parquet(config.out / "sentence_pairs.parquet")
    assert summary.unconverged == (~rows.converged).sum() > 0
    assert summary.complete
    assert "a larger --epsilon than 0.01" in caplog.text


def test_a_damaged_shard_and_a_missing_chunk(config, spoken, tmp_path):
    shutil.copytree(config.store, tmp_path / "store")
    shutil.copytree(config.grid, tmp_path / "grid.zarr")
    (tmp_path / "grid.zarr" / "seqsim" / "c.1.1.0.0").unlink()  # aa-cc, final
    shard = tmp_path / "store" / "bb.zarr" / "states" / "c.1.0.0.0"
    data = bytearray(shard.read_bytes())
    data[10] ^= 255  # in a chunk of the first state
    shard.write_bytes(data)
    config = dataclasses.replace(config, store=tmp_path / "store", grid=tmp_path / "grid.zarr")
    for index in (0, 1):
        interpret.run(dataclasses.replace(config, shard_index=index, num_shards=2))
    summary = interpret.run(config)
    assert summary.missing == ["cc-aa state final"]
    assert list(summary.failed) == ["aa-bb state 1"]
    assert "bb.zarr" in summary.failed["aa-bb state 1"]
    assert not summary.complete
    found = pd.read_parquet(config.out / "sentence_pairs.parquet")[["language_a", "state"]].drop_duplicates()
    assert sorted(found.itertuples(index=False, name=None)) == [("aa", "final"), ("cc", "1")]
    shutil.copy(spoken / shard.relative_to(tmp_path), shard)
    recovered = interpret.run(config)
    assert (recovered.done, recovered.failed) == (1, {})
    assert not list((config.out / "parts").rglob("*.txt"))


def test_a_chunk_of_scores_that_is_damaged(config, tmp_path):
    shutil.copytree(config.grid, tmp_path / "grid.zarr")
    chunk = tmp_path / "grid.zarr/seqsim/c.0.1.0.0"
    chunk.write_bytes(b"no Zstandard")
    config = dataclasses.replace(config, grid=tmp_path / "grid.zarr", states=("final",))
    summary = interpret.run(config)
    assert list(summary.failed) == ["aa-bb state final"]
    assert "delete that chunk and run the grid job again" in summary.failed["aa-bb state final"]
    assert summary.done == 1


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


def test_a_picture_s_recording_is_as_long_as_its_frames(config, speech):
    store = activation_store.open_store(config.store, "aa")
    recordings = report.Recordings(f"manifest:{speech}", [store])
    assert len(recordings.wave("aa", "s3.0", 5)) == 5 * 320
    assert len(recordings.wave("aa", "s3.0", 1500)) > 1.3 * 16_000


def test_recordings_of_another_corpus_are_refused(config, speech, tmp_path, monkeypatch):
    lines = [line.split("\t") for line in speech.read_text().splitlines()]
    absolute = [lines[0], *([*line[:2], str(speech.parent / line[2]), line[3]] for line in lines[1:])]
    moved = tmp_path / "moved.tsv"
    moved.write_text("".join("\t".join(line) + "\n" for line in absolute))
    config = dataclasses.replace(config, corpus=f"manifest:{moved}", states=("final",), pairs=("aa-bb",))
    assert interpret.run(dataclasses.replace(config, dry_run=True)).plan["units"] == 1
    monkeypatch.delattr(interpret.interpret_unit, "compare")
    for kept in ([row for row in absolute if row[1] != "s3"], [[*row[:3], row[3] + "!"] for row in absolute]):
        kept[0] = absolute[0]
        moved.write_text("".join("\t".join(line) + "\n" for line in kept))
        with pytest.raises(
            ValueError, match=r"moved\.tsv: aa '.*' of .*aa\.zarr isn't there, or has another"
        ):
            interpret.run(config)


def test_a_state_that_the_grid_lacks_leaves_the_others(config, caplog):
    config = dataclasses.replace(config, states=("final", "5"), pairs=("aa-bb", "cc-aa"))
    for dry in (True, False):
        summary = interpret.run(dataclasses.replace(config, dry_run=dry))
        assert summary.missing == ["aa-bb state 5", "cc-aa state 5"]
    assert summary.done == 2
    assert not summary.complete
    assert "has no state 5, it has 1, final" in caplog.text
    assert set(pd.read_parquet(config.out / "sentence_pairs.parquet").state) == {"final"}


def test_words_of_recordings_beyond_the_window_are_marked(config, tmp_path, caplog):
    words = pd.read_parquet(config.words / "words.parquet")
    words["truncated"] = (words.language == "bb") & (words.sentence == "s2")
    (tmp_path / "words").mkdir()
    words.to_parquet(tmp_path / "words" / "words.parquet")
    config = dataclasses.replace(
        config, words=tmp_path / "words", sentences="gold", pairs=("aa-bb",), states=("final",)
    )
    assert interpret.run(config).complete
    rows = pd.read_parquet(config.out / "sentence_pairs.parquet")
    assert rows.candidate[rows.truncated_b].tolist() == ["s2"]
    assert not rows.truncated_a.any()
    assert "1 sentence pairs have a recording longer than the model's window" in caplog.text


def test_pictures_see_the_frames_of_the_store(config, speech, monkeypatch):
    asked = []

    def wave(self, language, utterance, frames):
        asked.append((language, utterance, frames))

    monkeypatch.setattr(report.Recordings, "wave", wave)
    config = dataclasses.replace(
        config, corpus=f"manifest:{speech}", pictures=1, pairs=("aa-bb",), states=("final",)
    )
    interpret.run(config)
    assert [language for language, _, _ in asked] == ["aa", "bb"]
    for language, utterance, frames in asked:
        store = activation_store.open_store(config.store, language)
        assert frames == store.frames[list(store.names).index(utterance)]


@pytest.mark.parametrize("sentence", ["s/1", "Ж" * 400, "a" * 300])
def test_names_of_pictures_are_short(sentence):
    start = "pair_aa-bb_final_"
    name = report.sentence_name(sentence, start)
    assert len(f"{start}{name}.png") <= 200
    assert name == "s%2F1" or re.fullmatch("[0-9a-f]{16}", name)
    assert name != report.sentence_name(sentence + "b", start)


def test_a_name_of_200_bytes_is_kept():
    start = "pair_aa-bb_final_"
    longest = "a" * (200 - len(start) - len(".png"))
    assert report.sentence_name(longest, start) == longest
    assert len(report.sentence_name(longest + "a", start)) == 16


def test_a_grid_of_another_store_is_refused(config, tmp_path):
    shutil.copytree(config.grid, tmp_path / "grid.zarr")
    metadata = tmp_path / "grid.zarr" / "zarr.json"
    group = json.loads(metadata.read_text())
    languages = json.loads(group["attributes"]["languages"])
    languages["bb"]["corpus_sha256"] = "other"
    group["attributes"] |= {"languages": json.dumps(languages), "weights_sha256": "ffff"}
    metadata.write_text(json.dumps(group))
    config = dataclasses.replace(config, grid=tmp_path / "grid.zarr")
    with pytest.raises(ValueError, match=r"isn't of .*\n  weights_sha256: grid ffff, store 00ff"):
        interpret.run(config)
    group["attributes"]["weights_sha256"] = "00ff"
    metadata.write_text(json.dumps(group))
    with pytest.raises(ValueError, match=r"bb\.zarr\n  corpus_sha256: grid other, store"):
        interpret.run(config)


def test_a_grid_without_seqsim_is_refused(config, tmp_path):
    shutil.copytree(config.grid, tmp_path / "grid.zarr")
    shutil.rmtree(tmp_path / "grid.zarr" / "seqsim")
    with pytest.raises(ValueError, match="holds precision, recall; interpretation needs seqsim"):
        interpret.run(dataclasses.replace(config, grid=tmp_path / "grid.zarr"))


@pytest.mark.parametrize(
    "change", [{"epsilon": 0.0}, {"epsilon": float("nan")}, {"threshold": 0.0}, {"threshold": 1.5}]
)
def test_numbers_out_of_range_are_refused(config, change):
    with pytest.raises(Refusal, match=f"--{next(iter(change))} must be"):
        dataclasses.replace(config, **change)


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


def test_words_cannot_be_had(config):
    config = dataclasses.replace(config, words=None)
    with pytest.raises(ValueError, match=r"give --words, .*\(made-up, which is not a hub id\)"):
        interpret.run(config)
    with pytest.raises(ValueError, match=r"run isogloss\.jobs\.align to its end"):
        dataclasses.replace(config, shard_index=0, num_shards=2)


def test_another_model_than_the_store_s_is_refused(config, model_folder, monkeypatch):
    monkeypatch.setattr(interpret, "Recordings", lambda spec, stores: None)
    config = dataclasses.replace(config, words=None, model=str(model_folder), corpus="manifest:x.tsv")
    with pytest.raises(ValueError, match=r"made with weights 00ff \(made-up\), --model=whisper-nano has"):
        interpret.run(config)


class Letters(meaning.SentenceEncoder):
    """Vectors of letters: words of one type mean the same."""

    def __init__(self):
        super().__init__(
            "letters",
            lambda words: np.array([[1 + ord(c) for c in w.lower().strip("«»,")] for w in words], float),
        )


def test_checks_pictures_and_the_page(config, monkeypatch):
    monkeypatch.setattr(meaning, "load", lambda name: Letters())
    config = dataclasses.replace(config, sentence_encoder="letters", pictures=1, states=("final",))
    summary = interpret.run(config)
    assert summary.page == str(config.out / "interpret.html")
    assert pathlib.Path(summary.page).stat().st_size > 10_000
    assert len(list(config.out.glob("pair_*.png"))) == len(list(config.out.glob("pair_*.svg"))) == 2
    checks = pd.read_parquet(config.out / "checks.parquet")
    known = checks[checks.check == "meaning"]
    assert len(known) == 2 * 2
    assert (known.n > 0).all()
    matches, pairs = (pd.read_parquet(config.out / f"{name}.parquet") for name in ("matches", "word_pairs"))
    met = pairs[pairs.mutual | pairs.transported]
    assert len(matches) == len(met)
    assert matches.meaning.notna().all()
    assert matches.sound_distance.isna().all()
    before = {path: path.read_bytes() for path in config.out.iterdir() if path.is_file()}
    (config.out / "pair_aa-bb_1_old.png").write_bytes(b"")
    assert interpret.run(config).done == 0
    assert {path: path.read_bytes() for path in config.out.iterdir() if path.is_file()} == before
