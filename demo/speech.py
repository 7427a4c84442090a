"""Speech for the demo: telephone prompts in English, Spanish and French, in CACHE/demo.

    python demo/speech.py CACHE

A prompt's file name says the same sentence in every language. The Debian packages are
downloaded (61 MB) and unpacked, not installed; CACHE/demo holds manifest.tsv, the 180
recordings that it lists (8 kHz, about 15 MB) and ATTRIBUTION.txt, and appears whole or not
at all. Standard library only.
"""

import gzip
import os
import pathlib
import re
import shutil
import subprocess
import sys
import wave

LANGUAGES = ("en", "es", "fr")
PROMPTS = 60
_WORDS = 4  # a prompt of fewer English words says too little
_SECONDS = 30.0  # what one pass of the encoder hears
_ELSEWHERE = "Or take FLEURS: make demo CORPUS=fleurs:test LANGUAGES=en_us,fr_fr,es_419"


def prepare(cache: pathlib.Path) -> None:
    """Make sure that CACHE/demo exists; SystemExit says what went wrong."""
    folder = cache / "demo"
    if folder.is_dir():
        return
    partial = cache / "demo.partial"
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "packages").mkdir(parents=True)
    unpacked = partial / "unpacked"
    fetch(partial / "packages", unpacked)
    texts = {language: read_texts(unpacked, language) for language in LANGUAGES}
    recordings = {language: find_recordings(unpacked, language) for language in LANGUAGES}
    (partial / "demo").mkdir()
    chosen = spread(select(texts, recordings), PROMPTS)
    write(partial / "demo", chosen, texts, recordings)
    packages = sorted(path.stem for path in (partial / "packages").iterdir())
    attribute(partial / "demo", unpacked, packages)
    (partial / "demo").rename(folder)
    shutil.rmtree(partial)


def fetch(packages: pathlib.Path, unpacked: pathlib.Path) -> None:
    """Download the packages with apt-get into `packages` and unpack them."""
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise SystemExit(
                f"The demo's speech comes in Debian packages and there is no {program} here. "
                f"Use Debian or Ubuntu. {_ELSEWHERE}"
            )
    print("Downloading recorded prompts in en, es, fr (61 MB) ...", file=sys.stderr)
    names = [f"asterisk-core-sounds-{code}{kind}" for code in LANGUAGES for kind in ("", "-wav")]
    command = ["apt-get", "--quiet", "download", *names]
    done = subprocess.run(command, cwd=packages, capture_output=True, text=True, check=False)
    if done.returncode and os.geteuid() == 0:  # a fresh image has no package lists
        subprocess.run(["apt-get", "--quiet", "update"], capture_output=True, check=False)
        done = subprocess.run(command, cwd=packages, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(
            f"{done.stderr}apt-get can't download the demo's speech. "
            f"If its package lists are empty: sudo apt-get update. {_ELSEWHERE}"
        )
    for package in sorted(packages.iterdir()):
        subprocess.run(["dpkg-deb", "--extract", package, unpacked], check=True)


def read_texts(unpacked: pathlib.Path, language: str) -> dict[str, str]:
    """Text of every prompt: lines "name: text", the name as in the recording's path."""
    folder = unpacked / "usr/share/doc" / f"asterisk-core-sounds-{language}"
    texts = {}
    with gzip.open(folder / f"core-sounds-{language}.txt.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            name, colon, text = line.partition(":")
            if colon and not line.startswith(";"):
                texts[name.strip()] = " ".join(text.split())
    return texts


def find_recordings(unpacked: pathlib.Path, language: str) -> dict[str, pathlib.Path]:
    """Path of every prompt's recording."""
    (folder,) = (unpacked / "usr/share/asterisk/sounds").glob(f"{language}_*")
    return {str(path.relative_to(folder).with_suffix("")): path for path in folder.rglob("*.wav")}


def select(texts: dict[str, dict[str, str]], recordings: dict[str, dict[str, pathlib.Path]]) -> list[str]:
    """Names, sorted, of prompts that can be told apart and that every language has.

    At least four English words, brackets aside: they hold sound effects and notes. Under
    30 s in every language. Of prompts with the same words in any language, the first.
    """
    chosen, seen = [], set()
    for name in sorted(texts["en"]):
        words = {code: spoken(texts[code].get(name, "")) for code in LANGUAGES}
        if len(words["en"]) < _WORDS or not all(words.values()):
            continue
        if any(name not in recordings[code] for code in LANGUAGES):
            continue
        if any(seconds(recordings[code][name]) >= _SECONDS for code in LANGUAGES):
            continue
        sentences = set(words.items())
        if not sentences & seen:
            chosen.append(name)
        seen |= sentences
    return chosen


def spread(names: list[str], count: int) -> list[str]:
    """Take `count` names at even distances: neighbours in the alphabet resemble each other."""
    if len(names) < count:
        raise SystemExit(f"Only {len(names)} of {count} prompts are in every language. {_ELSEWHERE}")
    return [names[i * len(names) // count] for i in range(count)]


def spoken(text: str) -> tuple[str, ...]:
    """Words of `text` outside of brackets, in lower case."""
    return tuple(re.findall(r"\w+(?:'\w+)*", re.sub(r"\[.*?\]|\(.*?\)", " ", text).casefold()))


def seconds(path: pathlib.Path) -> float:
    """Duration of a WAV file."""
    with wave.open(str(path)) as sound:
        return sound.getnframes() / sound.getframerate()


def write(
    folder: pathlib.Path,
    names: list[str],
    texts: dict[str, dict[str, str]],
    recordings: dict[str, dict[str, pathlib.Path]],
) -> None:
    """Copy the recordings into `folder` and list them in its manifest.tsv."""
    rows = ["language\tsentence\taudio\tid\ttranscription"]
    for language in LANGUAGES:
        for name in names:
            audio = pathlib.PurePosixPath("audio", language, f"{name}.wav")
            (folder / audio).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(recordings[language][name], folder / audio)
            rows.append(f"{language}\t{name}\t{audio}\t{name}\t{texts[language][name]}")
    (folder / "manifest.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def attribute(folder: pathlib.Path, unpacked: pathlib.Path, packages: list[str]) -> None:
    """Write who made the recordings, and keep the packages' licence text beside them."""
    licence = unpacked / "usr/share/doc/asterisk-core-sounds-en/copyright"
    stanzas = licence.read_text(encoding="utf-8").split("\n\n")
    makers = [stanza for stanza in stanzas if stanza.startswith(("Files: *\n", "Files: fr-*\n"))]
    (folder / "ATTRIBUTION.txt").write_text(
        "Asterisk core sounds, https://downloads.asterisk.org/pub/telephony/sounds/\n"
        "Creative Commons Attribution-ShareAlike 3.0,"
        " https://creativecommons.org/licenses/by-sa/3.0/\n"
        f"Debian packages: {', '.join(packages)}\n"
        "Changes: a selection; the recordings are as they were.\n\n" + "\n\n".join(makers) + "\n",
        encoding="utf-8",
    )
    shutil.copyfile(licence, folder / "COPYRIGHT.txt")


if __name__ == "__main__":
    prepare(pathlib.Path(sys.argv[1]))
