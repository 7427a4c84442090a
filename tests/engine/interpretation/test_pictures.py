"""interpret's pictures, the recordings that they show, the checks beside them and the page."""

import dataclasses
import pathlib
import re

import numpy as np
import pandas as pd
import pytest
from dictionary import described
from drawn_figures import looks

from isogloss.engine.activations import activation_store
from isogloss.engine.grid.grid_store import Grid
from isogloss.engine.interpretation import inputs, interpret, report
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.texts import meaning


def test_a_picture_s_recording_is_as_long_as_its_frames(config, speech):
    store = activation_store.open_store(config.store, "aa")
    recordings = report.Recordings(f"manifest:{speech}", [store])
    assert len(recordings.wave("aa", "s3.0", 5)) == 5 * 320
    assert len(recordings.wave("aa", "s3.0", 1500)) > 1.3 * 16_000


def test_recordings_of_another_corpus_are_refused(one, speech, tmp_path, monkeypatch):
    lines = [line.split("\t") for line in speech.read_text().splitlines()]
    absolute = [lines[0], *([*line[:2], str(speech.parent / line[2]), line[3]] for line in lines[1:])]
    moved = tmp_path / "moved.tsv"
    moved.write_text("".join("\t".join(line) + "\n" for line in absolute))
    config = dataclasses.replace(one, corpus=f"manifest:{moved}")
    assert interpret.run(dataclasses.replace(config, dry_run=True)).plan["units"] == 1
    monkeypatch.delattr(interpret.interpret_unit, "compare")
    for kept in ([row for row in absolute if row[1] != "s3"], [[*row[:3], row[3] + "!"] for row in absolute]):
        kept[0] = absolute[0]
        moved.write_text("".join("\t".join(line) + "\n" for line in kept))
        with pytest.raises(ValueError, match=r"moved\.tsv: aa '.*' of .*aa\.zarr isn't there, or has anot"):
            interpret.run(config)


def test_pictures_see_the_frames_of_the_store(one, speech, monkeypatch):
    asked = []

    def wave(self, language, utterance, frames):
        asked.append((language, utterance, frames))

    monkeypatch.setattr(report.Recordings, "wave", wave)
    interpret.run(dataclasses.replace(one, corpus=f"manifest:{speech}", pictures=1))
    assert [language for language, _, _ in asked] == ["aa", "bb"]
    for language, utterance, frames in asked:
        store = activation_store.open_store(one.store, language)
        assert frames == store.frames[list(store.names).index(utterance)]


def test_names_of_pictures_have_at_most_200_bytes():
    start = "pair_aa-bb_final_"
    longest = "a" * (200 - len(start) - len(".png"))
    names = {s: report.sentence_name(s, start) for s in ("s/1", longest, longest + "a", "Ж" * 400, "a" * 300)}
    assert [names.pop("s/1"), names.pop(longest)] == ["s%2F1", longest]
    assert all(re.fullmatch("[0-9a-f]{16}", name) for name in names.values())
    assert len(set(names.values())) == 3


def test_a_picture_is_told_by_its_own_name_and_not_by_those_of_all_sentences(config, monkeypatch):
    """Folders have no part in what is removed, nor files in what is refused."""
    sentences = ("s/1", "Ж" * 400, *map(str, range(500)))
    monkeypatch.setattr(Grid, "sentences", sentences)
    opened = inputs.open_input(config.store, config.grid, config.pairs, config.states)
    config.out.mkdir()
    start = "pair_bb-aa_final_"
    ours = {config.out / f"{start}{report.sentence_name(s, start)}.png" for s in sentences}
    ours.add(config.out / "plane_aa-bb_final.svg")
    mine = ["s%2f1", "s", "0" * 16, report.sentence_name(sentences[1], start)[:-1], "Ж" * 20, "501", ""]
    for path in ours | {config.out / f"{start}{name}.png" for name in mine}:
        path.touch()
    (config.out / f"{start}7.pdf").mkdir()
    named = []
    made = report.sentence_name
    monkeypatch.setattr(report, "sentence_name", lambda s, start: named.append(s) or made(s, start))
    with pytest.raises(Refusal, match=r"_7\.pdf: is a folder, and a figure goes there"):
        report.refuse_folders(config.out, opened)
    assert named == ["7"]
    assert report.pictures_there(config.out, opened) == ours
    assert len(named) < 2 * len(sentences)


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
    assert described(config.out) == {*summary.tables, "matches", "checks", "planes"}
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
    for name in ("pair_notes.png", "plane_of_mine.svg", "pair_aa-bb_1_mine.png"):
        (config.out / name).write_bytes(b"the user's own")
    before = {path: path.read_bytes() for path in config.out.iterdir() if path.is_file()}
    drawn = next(config.out.glob("pair_aa-bb_final_*.png")).name
    for old in (drawn.replace("_final_", "_1_"), "plane_aa-bb_1.svg"):  # of a run with other states
        (config.out / old).write_bytes(b"")
    assert interpret.run(dataclasses.replace(config, figure_width=3.5, figure_font="DejaVu Serif")).done == 0
    after = {path: path.read_bytes() for path in config.out.iterdir() if path.is_file()}
    assert after.keys() == before.keys()
    drawn = {path for path in after if after[path] != before[path]}
    assert {path.suffix for path in drawn} == {".png", ".svg", ".pdf"}
    assert [looks(path) for path in drawn if path.suffix == ".svg"] == 2 * [(3.5, {"DejaVu Serif"})]


def test_a_folder_where_a_picture_goes_is_refused_before_anything_is_computed(config):
    (config.out / "plane_of_mine.svg").mkdir(parents=True)
    (config.out / "plane_aa-bb_final.svg").mkdir()
    with pytest.raises(Refusal, match=r"plane_aa-bb_final\.svg: is a folder, and a figure goes there"):
        interpret.run(config)
    assert not (config.out / "parts").exists()
