"""Tokens: prompts, suppressed tokens, lost merges, on a vocabulary of bytes and on whisper-base's."""

import json
import pathlib

import pytest
import tokenizers
from tokenizers import decoders, models, pre_tokenizers

from isogloss.engine.whisper.tokenizer import Tokens

REAL = pathlib.Path(__file__).parents[3] / ".cache" / "whisper-base"
ALPHABET = sorted(pre_tokenizers.ByteLevel.alphabet())
MERGES = [("Ġ", "t"), ("h", "e"), ("Ġt", "he"), ("r", "e"), ("Ġthe", "re")]
TAGS = ("endoftext", "startoftranscript", "en", "fr", "haw", "translate", "transcribe", "startoflm")
SPECIAL = [f"<|{tag}|>" for tag in (*TAGS, "startofprev", "nospeech", "notimestamps", "0.00", "0.02")]


def write(folder, merges=MERGES, special=SPECIAL, **files):
    folder.mkdir()
    vocabulary = {token: id for id, token in enumerate([*ALPHABET, *map("".join, MERGES)])}
    backend = tokenizers.Tokenizer(models.BPE(vocabulary, list(merges)))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([tokenizers.AddedToken(token, special=True) for token in special])
    backend.save(str(folder / "tokenizer.json"))
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content))
    return str(folder)


def test_a_tilde_is_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    listed = {"suppress_tokens": [1], "begin_suppress_tokens": [2]}
    write(tmp_path / "model", generation_config=listed)
    tokens = Tokens.load("~/model")
    assert (tokens.suppressed, tokens.suppressed_at_begin) == ((1,), (2,))
    with pytest.raises(ValueError, match=r"~/gone: no tokenizer can be loaded.*Remedy: --tokenizer="):
        Tokens.load("~/gone")


def test_ids_and_prompts(tmp_path):
    tokens = Tokens.load(write(tmp_path / "model"))
    assert (tokens.eot, tokens.sot, tokens.translate, tokens.transcribe) == (261, 262, 266, 267)
    assert (tokens.no_timestamps, tokens.timestamp_begin) == (271, 272)
    assert dict(tokens.languages) == {"en": 263, "fr": 264, "haw": 265}
    assert tokens.prompt("fr") == (262, 264, 267, 271)
    assert tokens.prompt("haw", "translate") == (262, 265, 266, 271)


@pytest.mark.parametrize(
    ("arguments", "match"), [(("xx",), r"\(en fr haw\), got 'xx'"), (("en", "sing"), "got 'sing'")]
)
def test_prompts_that_do_not_exist(tmp_path, arguments, match):
    with pytest.raises(ValueError, match=match):
        Tokens.load(write(tmp_path / "model")).prompt(*arguments)


@pytest.mark.parametrize("text", [" there the he", "naïve 日本語 😀", "  two\nlines ", ""])
def test_text_comes_back(tmp_path, text):
    tokens = Tokens.load(write(tmp_path / "model"))
    ids = tokens.encode(text)
    assert all(id < tokens.eot for id in ids)
    assert tokens.decode((tokens.sot, *ids, tokens.timestamp_begin, tokens.eot)) == text


@pytest.mark.parametrize("lost", [[0], [2], [0, 1], [0, 1, 2, 3, 4]])
def test_lost_merges_are_put_back(tmp_path, lost):
    whole = Tokens.load(write(tmp_path / "whole"))
    kept = [merge for place, merge in enumerate(MERGES) if place not in lost]
    damaged = Tokens.load(write(tmp_path / "damaged", kept))
    assert whole.encode(" there") == (260,)
    assert damaged.encode(" there the here") == whole.encode(" there the here")


def test_suppressed_by_rule(tmp_path):
    """By hand: single signs of the rule in a vocabulary of bytes, "-" and "'" after a space, special ones."""
    tokens = Tokens.load(write(tmp_path / "model"))
    signs = {ALPHABET.index(sign) for sign in '"#()*+/:;<=>@[\\]^_`{|}~'}
    notes = {ALPHABET.index("â"), ALPHABET.index("Ġ")}  # first byte of ♩; a space, of " -" and " ♩"
    special = {tokens.sot, tokens.translate, tokens.transcribe, 268, 269, 270}
    assert set(tokens.suppressed) == signs | notes | special
    assert tokens.suppressed_at_begin == (ALPHABET.index("Ġ"), tokens.eot)


@pytest.mark.parametrize(
    "files",
    [
        {"generation_config": {"suppress_tokens": [5, 6], "begin_suppress_tokens": [7]}},
        {"config": {"suppress_ids": [5, 6], "suppress_ids_begin": [7]}},
    ],
)
def test_suppressed_by_the_model(tmp_path, files):
    tokens = Tokens.load(write(tmp_path / "model", **files))
    assert (tokens.suppressed, tokens.suppressed_at_begin) == ((5, 6), (7,))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"config": {"suppress_ids": ["a"]}}, "must list ids"),
        ({"special": [t for t in SPECIAL if "notime" not in t]}, r"not here: <\|notimestamps\|>"),
    ],
)
def test_another_tokenizer_is_refused(tmp_path, content, message):
    with pytest.raises(ValueError, match=message):
        Tokens.load(write(tmp_path / "model", **content))


@pytest.mark.parametrize("content", [None, "{", ""])
def test_no_tokenizer_or_a_damaged_one(tmp_path, content):
    (tmp_path / "model.pt").touch()
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    for path in (tmp_path, tmp_path / "model.pt"):
        with pytest.raises(ValueError, match=f"{path}: no tokenizer.*Remedy: --tokenizer=FOLDER_OR_HUB_ID"):
            Tokens.load(str(path))


@pytest.fixture(scope="module")
def real():
    if not (REAL / "tokenizer.json").is_file():
        pytest.skip("whisper-base isn't here: `make demo` fetches it")
    return Tokens.load(str(REAL))


def test_whisper_base(real):
    assert (real.eot, real.sot, real.timestamp_begin, len(real.languages)) == (50257, 50258, 50364, 99)
    assert real.encode(" Hello there") == (2425, 456)  # the folder's own tokenizer says 2425, 220, 15456
    assert real.prompt("en") == (50258, 50259, 50359, 50363)


# A file that whisper leaves open.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_whisper_base_is_cut_as_openai_does(real):
    whisper = pytest.importorskip("whisper.tokenizer", reason="needs openai-whisper")
    theirs = whisper.get_tokenizer(True, num_languages=99)
    for text in (" Please enter, then the pound key.", " Ça marche; où ?", " ¿Qué número?", "日本"):
        assert list(real.encode(text)) == theirs.encode(text)
        assert real.decode(real.encode(text)) == text
    names = ("sot", "translate", "transcribe", "sot_lm", "sot_prev", "no_speech")
    special = {getattr(theirs, name) for name in names}
    assert set(real.suppressed) == {*theirs.non_speech_tokens} | special
