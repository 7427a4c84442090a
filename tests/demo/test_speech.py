"""demo/speech.py on made-up packages, with stand-ins for apt-get and dpkg-deb."""

import gzip
import importlib.util
import pathlib
import stat
import wave

import pytest

SPEC = importlib.util.spec_from_file_location(
    "demo_speech", pathlib.Path(__file__).parents[2] / "demo/speech.py"
)
speech = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(speech)

FOLDERS = {"en": "en_US_f_Allison", "es": "es_MX_f_Allison", "fr": "fr_CA_f_June"}
COPYRIGHT = "Format: x\n\nFiles: *\nCopyright: A. Smith\n\nFiles: fr-*\nCopyright: J. W.\n\nFiles: ru-*\n"


def put_recording(path: pathlib.Path, seconds: float = 0.5):
    path.parent.mkdir(parents=True, exist_ok=True)
    with wave.open(str(path), "wb") as sound:
        sound.setnchannels(1)
        sound.setsampwidth(2)
        sound.setframerate(8000)
        sound.writeframes(b"\0\0" * int(8000 * seconds))


def put_packages(root: pathlib.Path, prompts: dict[str, tuple[str, str, str]]):
    """Unpacked packages whose prompts have the texts given in en, es, fr; None: no line."""
    for column, (code, folder) in enumerate(FOLDERS.items()):
        doc = root / f"usr/share/doc/asterisk-core-sounds-{code}"
        doc.mkdir(parents=True)
        (doc / "copyright").write_text(COPYRIGHT)
        lines = [f"; Core Asterisk Sounds: {code}", ""]
        for name, texts in prompts.items():
            if texts[column] is not None:
                lines.append(f"{name}: {texts[column]}")
            put_recording(root / "usr/share/asterisk/sounds" / folder / f"{name}.wav")
        with gzip.open(doc / f"core-sounds-{code}.txt.gz", "wt", encoding="utf-8") as file:
            file.write("\n".join(lines))


def selected(root):
    texts = {code: speech.read_texts(root, code) for code in FOLDERS}
    return speech.select(texts, {code: speech.find_recordings(root, code) for code in FOLDERS})


KEPT = {
    "a/deep": ("one two three four", "uno", "un: l'été"),
    "b": ("Press 1 or 2  now", "dos", "deux (polite)"),
}
DROPPED = {
    "few": ("one two don't", "tres", "trois"),
    "note": ('IAX (note: does not say "2")', "iax", "eeks"),
    "sound": ("[sound of many monkeys screaming]", "[monos]", "[singes]"),
    "untold": ("one two three four five", "", "cinq"),
    "unknown": ("one two three four six", None, "six"),
    "silent-abroad": ("one two three four seven", "siete", "(bip)"),
    "twice": ("Press 1, or 2: now!", "ocho", "huit"),
    "twice-abroad": ("one two three four nine", "Uno.", "neuf"),
}


def test_selects_what_can_be_distinguished(tmp_path):
    put_packages(tmp_path, KEPT | DROPPED)
    assert selected(tmp_path) == ["a/deep", "b"]
    assert speech.read_texts(tmp_path, "en")["b"] == "Press 1 or 2 now"
    assert speech.read_texts(tmp_path, "fr")["a/deep"] == "un: l'été"


def test_a_recording_that_is_long_or_missing_in_one_language_drops_the_prompt(tmp_path):
    put_packages(tmp_path, KEPT)
    recording = tmp_path / "usr/share/asterisk/sounds/fr_CA_f_June/b.wav"
    put_recording(recording, 29.99)
    assert selected(tmp_path) == ["a/deep", "b"]
    put_recording(recording, 30.0)
    assert selected(tmp_path) == ["a/deep"]
    recording.unlink()
    assert selected(tmp_path) == ["a/deep"]


def test_single_words_that_several_languages_have(tmp_path):
    """Neither "y una", nor what is no number, nor what one language has alone or lists twice."""
    put_packages(
        tmp_path,
        {
            "digits/1": ("one", "uno", "un"),
            "digits/2": ("two (2)", "y dos", "deux"),
            "digits/and": (None, "y", None),
            "hello": ("hello", "hola", "allo"),
            "digits/3": ("three", "tres", "trois"),
        },
    )
    with gzip.open(tmp_path / "usr/share/doc/asterisk-core-sounds-es/core-sounds-es.txt.gz", "at") as file:
        file.write("\ndigits/3: trece\n")
    (tmp_path / "usr/share/asterisk/sounds/fr_CA_f_June/digits/2.wav").unlink()
    texts = {code: speech.read_texts(tmp_path, code) for code in FOLDERS}
    found = speech.single_words(texts, {code: speech.find_recordings(tmp_path, code) for code in FOLDERS})
    assert found == {"en": ["digits/1", "digits/3"], "es": ["digits/1"], "fr": ["digits/1", "digits/3"]}


def test_spread():
    assert speech.spread(list("abcdefg"), 3) == ["a", "c", "e"]
    assert speech.spread(list("abc"), 3) == ["a", "b", "c"]
    with pytest.raises(SystemExit, match="Only 3 of 4 prompts"):
        speech.spread(list("abc"), 4)


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Stand-ins that log their calls; apt-get download fails while lists.empty exists."""
    source, path, log = tmp_path / "source", tmp_path / "bin", tmp_path / "log"
    numbered = {f"p{i:02}": (f"say the number {i}", f"es {i}", f"fr {i}") for i in range(70)}
    put_packages(source, numbered)
    path.mkdir()
    log.touch()
    download = f"[ ! -e {tmp_path}/lists.empty ] || {{ echo E: no package >&2; exit 100; }}; touch en.deb"
    update = f"rm -f {tmp_path}/lists.empty"
    scripts = {
        "apt-get": f'echo "$2" >> {log}; case $2 in update) {update};; *) {download};; esac',
        "dpkg-deb": f'echo "$1" >> {log}; mkdir -p "$3"; cp -r {source}/usr "$3"',
    }
    for name, body in scripts.items():
        (path / name).write_text(f"#!/bin/sh\n{body}\n")
        (path / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{path}:/usr/bin:/bin")
    return tmp_path


def test_prepare_writes_a_manifest_once(programs):
    cache = programs / "cache"
    speech.prepare(cache)
    rows = (cache / "demo/manifest.tsv").read_text(encoding="utf-8").splitlines()
    assert rows[0] == "language\tsentence\taudio\tid\ttranscription"
    assert rows[1] == "en\tp00\taudio/en/p00.wav\tp00\tsay the number 0"
    assert [row.split("\t")[0] for row in rows[1:]] == ["en"] * 60 + ["es"] * 60 + ["fr"] * 60
    assert all((cache / "demo" / row.split("\t")[2]).is_file() for row in rows[1:])
    attribution = (cache / "demo/ATTRIBUTION.txt").read_text()
    assert "by-sa/3.0" in attribution
    assert "A. Smith" in attribution
    assert "J. W." in attribution
    assert "ru-" not in attribution
    assert [path.name for path in cache.iterdir()] == ["demo"]
    calls = (programs / "log").read_text()
    speech.prepare(cache)
    assert (programs / "log").read_text() == calls == "download\n--extract\n"


def test_words_have_a_folder_of_their_own(programs, monkeypatch):
    monkeypatch.setattr(speech, "WORD_LANGUAGES", ("en", "fr"))
    for code, folder in FOLDERS.items():
        doc = programs / f"source/usr/share/doc/asterisk-core-sounds-{code}/core-sounds-{code}.txt.gz"
        with gzip.open(doc, "at", encoding="utf-8") as file:
            file.write(f"\ndigits/1: {code}un\n")
        put_recording(programs / f"source/usr/share/asterisk/sounds/{folder}/digits/1.wav")
    speech.prepare(programs / "cache", "words")
    rows = (programs / "cache/words/manifest.tsv").read_text(encoding="utf-8").splitlines()[1:]
    assert [row.split("\t")[::4] for row in rows] == [["en", "enun"], ["fr", "frun"]]
    assert [path.name for path in (programs / "cache").iterdir()] == ["words"]


def test_the_experiment_has_all_prompts_that_its_languages_share(programs, monkeypatch):
    assert speech.TUNE_LANGUAGES == ("en", "es", "fr", "it")
    monkeypatch.setattr(speech, "TUNE_LANGUAGES", ("en", "fr"))
    sounds = programs / "source/usr/share/asterisk/sounds"
    for folder, name in (("es_MX_f_Allison", "p00"), ("fr_CA_f_June", "p01")):  # Spanish isn't one of them
        (sounds / folder / f"{name}.wav").unlink()
    speech.prepare(programs / "cache", "tune")
    rows = (programs / "cache/tune/manifest.tsv").read_text(encoding="utf-8").splitlines()[1:]
    assert [row.split("\t")[0] for row in rows] == ["en"] * 69 + ["fr"] * 69
    assert {row.split("\t")[1] for row in rows} >= {"p00"}
    assert not any(row.split("\t")[1] == "p01" for row in rows)
    assert [path.name for path in (programs / "cache").iterdir()] == ["tune"]


def test_what_a_killed_run_left_is_cleared(programs):
    stale = programs / "cache/demo.partial/packages"
    stale.mkdir(parents=True)
    (stale / "half.deb").touch()
    speech.prepare(programs / "cache")
    assert [path.name for path in (programs / "cache").iterdir()] == ["demo"]


def test_root_refreshes_empty_package_lists(programs, monkeypatch):
    (programs / "lists.empty").touch()
    monkeypatch.setattr(speech.os, "geteuid", lambda: 0)
    speech.prepare(programs / "cache")
    assert (programs / "log").read_text().split()[:3] == ["download", "update", "download"]


def test_others_are_asked_to_refresh_them(programs, monkeypatch):
    (programs / "lists.empty").touch()
    monkeypatch.setattr(speech.os, "geteuid", lambda: 1000)
    with pytest.raises(SystemExit, match=r"(?s)^E: no package.*sudo apt-get update.*CORPUS=fleurs:test"):
        speech.prepare(programs / "cache")
    assert not (programs / "cache/demo").exists()


def test_without_apt_the_alternative_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(SystemExit, match=r"no apt-get here.*make demo CORPUS=fleurs:test LANGUAGES=en_us"):
        speech.prepare(tmp_path)
