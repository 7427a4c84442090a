"""Jobs on words and sentences over stores of an encoder with frames of 40 ms: control and lexicon."""

import json
import math
import shutil

import numpy as np
import pandas as pd
import pytest
import soundfile
import xarray as xr
from speech_models import save

pytest.importorskip("torch", reason="PyTorch isn't installed")

from isogloss.engine.activations import extract
from isogloss.engine.control import control, pair_tables
from isogloss.engine.grid import grid
from isogloss.engine.grid.grid_config import GridConfig
from isogloss.engine.lexicon import lexicon
from isogloss.engine.lexicon.lexicon_config import LexiconConfig
from isogloss.engine.texts import phones
from isogloss.kernels import reference

CONCEPTS = 8
COGNATES = range(3)


class Letters(phones.Phones):
    """Phones that are letters; every language has a voice."""

    def __init__(self):
        pass

    voiceless = {}  # noqa: RUF012 - a property of the class that it replaces

    def of(self, language, words):
        return {word: tuple(word) for word in words}


def word(language, concept):
    """Four letters, which the words of other concepts lack; cognates differ in the last one."""
    if language == "bb" and concept not in COGNATES:
        return "".join(chr(0x0400 + 4 * concept + i) for i in range(4)).lower()
    letters = [chr(0x4E00 + 4 * concept + i) for i in range(4)]
    return "".join(letters if language == "aa" else [*letters[:-1], chr(0x5E00 + concept)])


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """Manifest of one word a recording."""
    folder = tmp_path_factory.mktemp("words")
    rng, rows = np.random.default_rng(0), ["language\tsentence\taudio\ttranscription"]
    for language in ("aa", "bb"):
        for concept in range(CONCEPTS):
            samples = int(rng.integers(4_000, 16_000))
            tone = np.sin(np.arange(samples) * (concept + 3) / 40) / 5
            soundfile.write(folder / f"{language}{concept}.wav", tone + rng.normal(0, 0.02, samples), 16_000)
            rows.append(f"{language}\tc{concept}\t{language}{concept}.wav\t{word(language, concept)}")
    (folder / "words.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return f"manifest:{folder}/words.tsv"


@pytest.fixture(scope="module")
def store(words, tmp_path_factory):
    """Store of SEW, whose blocks see two frames of 20 ms as one."""
    folder = tmp_path_factory.mktemp("sew")
    save(folder / "model", "sew")
    config = extract.ExtractConfig(corpus=words, model=f"torch:{folder}/model", store=folder / "store")
    assert extract.run(config).complete
    return config.store


@pytest.fixture
def letters(monkeypatch):
    for job in (control, lexicon):
        monkeypatch.setattr(job.phones, "Phones", Letters)


def frames_of(store, language):
    """Frames by sentence, from the lengths of the recordings; SEW's first frame needs 45 ms."""
    held = xr.open_zarr(store / f"{language}.zarr")
    assert (held.attrs["frame_seconds"], held.attrs["window_seconds"]) == (0.04, 30.0)
    samples = (held.duration.values * 16_000).round().astype(int)
    return dict(zip(held.sentence.values.astype(str), ((samples - 720) // 640 + 1).tolist(), strict=True))


def states_of(store, language, state):
    """Own frames of each recording, by sentence."""
    held = xr.open_zarr(store / f"{language}.zarr")
    whole = held.states.sel(state=state).values.astype(np.float64)
    return {
        sentence: whole[row, : frames_of(store, language)[sentence]]
        for row, sentence in enumerate(held.sentence.values.astype(str))
    }


@pytest.mark.deep
def test_control(words, store, letters, tmp_path):
    made = GridConfig(store=store, grid=tmp_path / "grid.zarr", measures=("seqsim",), memory_gb=1.0)
    assert grid.run(made).complete
    assert json.loads(xr.open_zarr(made.grid).attrs["settings"])["family"] == "sew"
    config = control.ControlConfig(
        grid=made.grid, corpus=words, out=tmp_path / "out", sentence_encoder="none", curve=("0.5",)
    )
    summary = control.run(config)
    assert summary.complete
    assert (tmp_path / "out" / "control.html").is_file()
    pairs = pd.read_parquet(config.out / "sentence_pairs.parquet").set_index("sentence")
    assert set(pairs.index[pairs.alike]) == {f"c{concept}" for concept in COGNATES}
    ours, theirs = frames_of(store, "aa"), frames_of(store, "bb")
    length = [-abs(math.log(ours[sentence] / theirs[sentence])) for sentence in pairs.index]
    np.testing.assert_allclose(pairs.length, length, rtol=1e-12)
    table = pd.read_parquet(config.out / "control.parquet")
    table = table[
        (table.removed == "nothing") & (table.direction == "aa->bb") & (table.scores == pair_tables.AS_IS)
    ]
    assert sorted(set(table.state)) == ["0", "1", "2"]
    for row in table.to_dict("records"):
        a, b = (states_of(store, language, row["state"]) for language in ("aa", "bb"))
        scores = {s: {t: reference.MEASURES["seqsim"](a[s], b[t]) for t in b} for s in a}
        margins = np.array([of[s] - max(of[t] for t in of if t != s) for s, of in scores.items()])
        # As below: who is as near as the rounding of float32 may be first or second.
        low, high = np.mean(margins > 1e-5), np.mean(margins > -1e-5)
        assert low - 1e-9 <= row["recall_at_1"] <= high + 1e-9
        assert high - low <= 1 / len(margins)


@pytest.mark.deep
def test_lexicon(store, letters, tmp_path):
    config = LexiconConfig(store=store, out=tmp_path / "out", matches=5)
    summary = lexicon.run(config)
    assert summary.complete
    assert summary.words == {"aa": CONCEPTS, "bb": CONCEPTS}
    table = pd.read_parquet(config.out / "word_pairs.parquet")
    own = {language: frames_of(store, language) for language in ("aa", "bb")}
    for side, language in (("a", "aa"), ("b", "bb")):
        frames = [own[language][sentence] for sentence in table[f"sentence_{side}"]]
        assert table[f"frames_{side}"].tolist() == frames
    assert set(table.sentence_a[table["class"] == "cognate"]) == {f"c{concept}" for concept in COGNATES}
    classes = pd.read_parquet(config.out / "classes.parquet")
    assert set(classes.state) == {"0", "1", "2"}
    for row in classes[(classes.pooling == "mean") & (classes["class"] == "cognate")].to_dict("records"):
        means = [
            {s: frames.mean(0) for s, frames in states_of(store, language, row["state"]).items()}
            for language in ("aa", "bb")
        ]
        cosine = {
            (s, t): x @ y / np.linalg.norm(x) / np.linalg.norm(y)
            for s, x in means[0].items()
            for t, y in means[1].items()
        }
        cognates = [cosine[f"c{concept}", f"c{concept}"] for concept in COGNATES]
        others = [value for (s, t), value in cosine.items() if s != t]
        # Cosines of the job are of float32: pairs that are as near as their rounding may change places.
        low, high = (np.mean([x > y + e for x in cognates for y in others]) for e in (1e-5, -1e-5))
        assert low <= row["auc_unmatched"] <= high < low + 0.05


def test_languages_of_another_frame_length_are_refused(store, letters, tmp_path):
    shutil.copytree(store, tmp_path / "store")
    attributes = tmp_path / "store" / "bb.zarr" / "states" / "zarr.json"
    content = json.loads(attributes.read_text())
    content["attributes"]["frame_seconds"] = 0.02
    attributes.write_text(json.dumps(content))
    config = LexiconConfig(store=tmp_path / "store", out=tmp_path / "out")
    reason = r"frames and windows must be equal\s.*frame_seconds: "
    with pytest.raises(ValueError, match=reason):
        lexicon.run(config)
    made = GridConfig(store=config.store, grid=tmp_path / "grid.zarr", measures=("seqsim",), memory_gb=1.0)
    with pytest.raises(ValueError, match=reason):
        grid.run(made)
