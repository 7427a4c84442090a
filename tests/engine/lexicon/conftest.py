"""A store of made-up words whose states are one-hot: of their phones, of their concept, and of noise.

Words of aa and bb have five phones each. Concepts 0 to 3 sound alike in both languages but for a phone, the
bb words of 12 to 15 sound like the aa words of 16 to 19, and all others share no phone.
"""

import types

import numpy as np
import pytest

from isogloss.engine.activations import activation_store
from isogloss.engine.corpora import corpus
from isogloss.engine.lexicon import lexicon
from isogloss.engine.texts import phones
from isogloss.engine.time_axis import TimeAxis

CONCEPTS, LENGTH, FEATURES, WINDOW = 20, 5, 300, 60
STATES = ("0", "1", "final")
LANGUAGES = ("aa", "bb", "cc")
NUMBERS = {
    "en": "one two three four five six seven eight",
    "es": "uno dos tres cuatro cinco seis siete ocho",
    "fr": "un deux trois quatre cinq six sept huit",
}


class Letters(phones.Phones):
    """Phones that are letters; every language has a voice, and no voice knows the letter Z."""

    def __init__(self):
        pass

    voiceless = types.MappingProxyType({})

    def of(self, language, words):
        return {word: None if "z" in word else tuple(word) for word in words}


def letters(place):
    return "".join(chr(0x4E00 + LENGTH * place + i) for i in range(LENGTH))


def word(language, concept):
    """Word of a concept; cc has words of its own, one that is two words, and one that nobody can read."""
    if language == "aa":
        return letters(concept)
    if language == "cc":
        return {0: "two words", 1: "zzz"}.get(concept, letters(CONCEPTS + 10 + concept))
    if concept < 4 or 12 <= concept < 16:
        twin = letters(concept if concept < 4 else concept + 4)
        return twin[:-1] + chr(0x4E00 + 260 + concept)
    return letters(CONCEPTS + concept)


def frames_of(language, concept):
    rng = np.random.default_rng([*language.encode(), concept])
    return int(rng.integers(10, 50))


def states(language, concept):
    n = frames_of(language, concept)
    found = np.full((len(STATES), WINDOW, FEATURES), np.nan, np.float32)
    found[:, :n] = 0
    text = word(language, concept)
    for frame in range(n):
        found[0, frame, (ord(text[frame % len(text)]) - 0x4E00) % FEATURES] = 1
        found[1, frame, concept] = 1
    rng = np.random.default_rng([7, LANGUAGES.index(language), concept])
    found[2, :n] = rng.standard_normal((n, FEATURES))
    return found


@pytest.fixture(scope="session")
def manifest(tmp_path_factory):
    folder = tmp_path_factory.mktemp("words")
    rows = ["language\tsentence\taudio\ttranscription"]
    for language in LANGUAGES:
        for concept in range(CONCEPTS):
            name = f"{language}{concept}.wav"
            (folder / name).touch()
            rows.append(f"{language}\tc{concept}\t{name}\t{word(language, concept).upper()}!")
    (folder / "manifest.tsv").write_text("\n".join(rows) + "\n")
    return folder / "manifest.tsv"


def fill(root, manifest, languages, states_of):
    """Write a store of a manifest's words; states_of(language, concept) are padded to WINDOW frames."""
    axis = TimeAxis(samples_per_frame=320, window_frames=WINDOW)
    for language in languages:
        listing = corpus.open_corpus(f"manifest:{manifest}").listing(language)
        concepts = [int(each.sentence[1:]) for each in listing.utterances]
        frames = [frames_of(language, concept) for concept in concepts]
        identity = activation_store.Identity(
            model="one-hot",
            weights_sha256="00ff",
            corpus="manifest:manifest.tsv",
            corpus_sha256=listing.sha256(),
            settings={"states": list(STATES), "dtype": "float32"},
            flags={},
        )
        sizes = {"states": STATES, "axis": axis, "features": FEATURES, "identity": identity}
        store = activation_store.create(root, listing, [320 * n for n in frames], frames, **sizes)
        for row, concept in enumerate(concepts):
            store.write(row, states_of(language, concept)).result()
    return root


@pytest.fixture(scope="session")
def stored(manifest, tmp_path_factory):
    """Folder of the store."""
    return fill(tmp_path_factory.mktemp("stored") / "store", manifest, LANGUAGES, states)


@pytest.fixture
def stored_numbers(tmp_path):
    """Folder of a store of English, Spanish and French numbers, which espeak-ng reads; states are noise."""
    pytest.importorskip("phonemizer", reason="the extra `phones` isn't installed")
    rows = ["language\tsentence\taudio\ttranscription"]
    for language, words in NUMBERS.items():
        for concept, text in enumerate(words.split()):
            (tmp_path / f"{language}{concept}.wav").touch()
            rows.append(f"{language}\tc{concept}\t{language}{concept}.wav\t{text}")
    (tmp_path / "numbers.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return fill(tmp_path / "store", tmp_path / "numbers.tsv", NUMBERS, noise)


def noise(language, concept):
    rng = np.random.default_rng([*language.encode(), concept])
    found = np.full((len(STATES), WINDOW, FEATURES), np.nan, np.float32)
    n = frames_of(language, concept)
    found[:, :n] = rng.standard_normal((len(STATES), n, FEATURES))
    return found


@pytest.fixture
def spoken_letters(monkeypatch):
    """Words are read letter by letter."""
    monkeypatch.setattr(lexicon.phones, "Phones", Letters)


@pytest.fixture(scope="session")
def made_words():
    """The words, their lengths and their states, for plain loops."""
    return types.SimpleNamespace(
        word=word, frames=frames_of, states=states, concepts=CONCEPTS, names=STATES, letters=Letters
    )
