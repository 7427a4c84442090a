"""Speech for the demo: telephone prompts in English, Spanish and French, in CACHE/demo.

    python demo/speech.py CACHE [words | tune]

A prompt's file name says the same sentence in every language. The Debian packages are
downloaded (61 MB) and unpacked, not installed; CACHE/demo holds manifest.tsv, the 180
recordings that it lists (8 kHz, about 15 MB) and ATTRIBUTION.txt, and appears whole or not
at all. With `words`, CACHE/words has instead the prompts of one word among numbers, days and
months, in five languages (98 MB to download, 434 recordings). With `tune`, CACHE/tune has
instead all prompts that English, Spanish, French and Italian have, for tune.sh (79 MB to
download). Standard library only.
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
WORD_LANGUAGES = ("en", "es", "fr", "it", "ru")
TUNE_LANGUAGES = ("en", "es", "fr", "it")
PROMPTS = 60
_MEGABYTES = {"en": 18.3, "es": 23.8, "fr": 18.5, "it": 18.3, "ru": 18.8}  # to download
_WORDS = 4  # a prompt of fewer English words says too little
_SECONDS = 30.0  # the window of one pass of the encoder
_ELSEWHERE = "Or take FLEURS: make demo CORPUS=fleurs:test LANGUAGES=en_us,fr_fr,es_419"


def prepare(cache: pathlib.Path, name: str = "demo") -> None:
    """Make sure that CACHE/NAME exists, demo, words or tune; SystemExit says what went wrong."""
    languages, choose = {
        "demo": (LANGUAGES, prompts),
        "words": (WORD_LANGUAGES, single_words),
        "tune": (TUNE_LANGUAGES, every_prompt),
    }[name]
    folder = cache / name
    if folder.is_dir():
        return
    partial = cache / f"{name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "packages").mkdir(parents=True)
    unpacked = partial / "unpacked"
    fetch(partial / "packages", unpacked, languages)
    texts = {language: read_texts(unpacked, language) for language in languages}
    recordings = {language: find_recordings(unpacked, language) for language in languages}
    (partial / name).mkdir()
    write(partial / name, choose(texts, recordings), texts, recordings)
    packages = sorted(path.stem for path in (partial / "packages").iterdir())
    attribute(partial / name, unpacked, packages, languages)
    (partial / name).rename(folder)
    shutil.rmtree(partial)


def fetch(packages: pathlib.Path, unpacked: pathlib.Path, languages: tuple[str, ...]) -> None:
    """Download the packages with apt-get into `packages` and unpack them."""
    for program in ("apt-get", "dpkg-deb"):
        if shutil.which(program) is None:
            raise SystemExit(
                f"The demo's speech comes in Debian packages and there is no {program} here. "
                f"Use Debian or Ubuntu. {_ELSEWHERE}"
            )
    size = round(sum(_MEGABYTES[code] for code in languages))
    print(f"Downloading recorded prompts in {', '.join(languages)} ({size} MB) ...", file=sys.stderr)
    names = [f"asterisk-core-sounds-{code}{kind}" for code in languages for kind in ("", "-wav")]
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
    """Text of every prompt: lines "name: text", the name as in the recording's path.

    A name that the list has twice has no text: one of its two texts is wrong.
    """
    folder = unpacked / "usr/share/doc" / f"asterisk-core-sounds-{language}"
    texts, twice = {}, set()
    with gzip.open(folder / f"core-sounds-{language}.txt.gz", "rt", encoding="utf-8") as lines:
        for line in lines:
            name, colon, text = line.partition(":")
            if colon and not line.startswith(";"):
                twice |= {name.strip()} & texts.keys()
                texts[name.strip()] = " ".join(text.split())
    return {name: text for name, text in texts.items() if name not in twice}


def find_recordings(unpacked: pathlib.Path, language: str) -> dict[str, pathlib.Path]:
    """Path of every prompt's recording."""
    (folder,) = (unpacked / "usr/share/asterisk/sounds").glob(f"{language}_*")
    return {str(path.relative_to(folder).with_suffix("")): path for path in folder.rglob("*.wav")}


def prompts(
    texts: dict[str, dict[str, str]], recordings: dict[str, dict[str, pathlib.Path]]
) -> dict[str, list[str]]:
    """Names by language of the demo's prompts, the same in each."""
    return dict.fromkeys(LANGUAGES, spread(select(texts, recordings), PROMPTS))


def every_prompt(
    texts: dict[str, dict[str, str]], recordings: dict[str, dict[str, pathlib.Path]]
) -> dict[str, list[str]]:
    """Names by language of all prompts that `select` finds, the same in each."""
    return dict.fromkeys(texts, select(texts, recordings))


def single_words(
    texts: dict[str, dict[str, str]], recordings: dict[str, dict[str, pathlib.Path]]
) -> dict[str, list[str]]:
    """Names by language, sorted, of recorded numbers, days and the like of one word in several languages."""
    found = {
        code: [name for name in sorted(held) if name.startswith("digits/") and len(spoken(held[name])) == 1]
        for code, held in texts.items()
    }
    found = {code: [name for name in names if name in recordings[code]] for code, names in found.items()}
    known = [name for names in found.values() for name in names]
    return {code: [name for name in names if known.count(name) > 1] for code, names in found.items()}


def select(texts: dict[str, dict[str, str]], recordings: dict[str, dict[str, pathlib.Path]]) -> list[str]:
    """Names, sorted, of prompts that can be told apart and that every language has.

    At least four English words, brackets aside: they hold sound effects and notes. Under
    30 s in every language. Of prompts with the same words in any language, the first.
    """
    chosen, seen = [], set()
    for name in sorted(texts["en"]):
        words = {code: spoken(texts[code].get(name, "")) for code in texts}
        if len(words["en"]) < _WORDS or not all(words.values()):
            continue
        if any(name not in recordings[code] for code in texts):
            continue
        if any(seconds(recordings[code][name]) >= _SECONDS for code in texts):
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
    names: dict[str, list[str]],
    texts: dict[str, dict[str, str]],
    recordings: dict[str, dict[str, pathlib.Path]],
) -> None:
    """Copy the recordings into `folder` and list them in its manifest.tsv."""
    rows = ["language\tsentence\taudio\tid\ttranscription"]
    for language, chosen in names.items():
        for name in chosen:
            audio = pathlib.PurePosixPath("audio", language, f"{name}.wav")
            (folder / audio).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(recordings[language][name], folder / audio)
            rows.append(f"{language}\t{name}\t{audio}\t{name}\t{texts[language][name]}")
    (folder / "manifest.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def attribute(
    folder: pathlib.Path, unpacked: pathlib.Path, packages: list[str], languages: tuple[str, ...]
) -> None:
    """Write who made the recordings, and keep the packages' licence text beside them."""
    licence = unpacked / "usr/share/doc/asterisk-core-sounds-en/copyright"
    stanzas = licence.read_text(encoding="utf-8").split("\n\n")
    mine = ("Files: *\n", *(f"Files: {code}-*\n" for code in languages))
    makers = [stanza for stanza in stanzas if stanza.startswith(mine)]
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
    try:
        prepare(pathlib.Path(sys.argv[1]), *sys.argv[2:])
    except KeyboardInterrupt:
        print("stopped; the same command begins again", file=sys.stderr)
        sys.exit(130)
