"""Report of the word pairs: checks of their meaning and sound, pictures, and the page to browse them.

One language pair with all its states is in memory at a time, 500 bytes a word pair. The page holds the word
pairs that match or have a share of a score. For pictures the states of both languages are read again.
"""

import dataclasses
import hashlib
import os
import pathlib
import urllib.parse
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pandas as pd
import pyarrow as pa
from jaxtyping import Float

from isogloss.engine.activations.activation_store import LanguageStore
from isogloss.engine.corpora import audio, corpus
from isogloss.engine.drawing import colophon, picture_files
from isogloss.engine.grid import grid_store
from isogloss.engine.grid.grid_store import Pair
from isogloss.engine.interpretation import (
    match_tests,
    page as interpret_page,
    plane_figure,
    sentence_pair_figure,
    tables as interpret_tables,
)
from isogloss.engine.interpretation.aligned_words import LanguageWords, Words
from isogloss.engine.interpretation.inputs import InterpretInputs, PairState
from isogloss.engine.interpretation.match_tests import CheckedMatches
from isogloss.engine.interpretation.unit import Reader
from isogloss.engine.runtime import atomic_write, table_files, version
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.part_files import PartFiles
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.texts import meaning, phones
from isogloss.kernels.unit_vectors import unit_vectors

SEED = 20250519  # of random word pairs and permutations
_PAGE = "interpret.html"
_NAME_BYTES = 200  # longest file name of a picture; file systems have 255, drafts are longer
MATCHES = pa.schema(
    [
        *interpret_tables.WORD_PAIRS,
        ("meaning", pa.float64()),  # cosine of the words' sentence encodings
        ("sound_distance", pa.float64()),  # phone edit distance over the longer word
        ("alike", pa.string()),
    ]
)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Checks:
    """Models that check word pairs, and options of the pictures.

    Attributes:
      encoder: of meaning; None leaves that check out.
      voices: of phones; None leaves that check out.
      pictures: number of sentence pairs drawn for each language pair and state, by highest score.
      recordings: of both sides, for waveforms; None draws none.
    """

    encoder: meaning.SentenceEncoder | None
    voices: phones.Phones | None
    pictures: int
    recordings: "Recordings | None"


class Recordings:
    """Waveforms by language and utterance."""

    def __init__(self, spec: str, stores: Iterable[LanguageStore], columns: Sequence[str] = ()) -> None:
        """List the recordings of --corpus; a Refusal if the stores are of another corpus."""
        opened = corpus.open_corpus(spec, columns)
        self._sources: dict[tuple[str, str], audio.AudioSource] = {}
        self._samples_per_frame: dict[str, int] = {}
        for store in stores:
            self._samples_per_frame[store.language] = store.time_axis.samples_per_frame
            listed = {u.name: u for u in opened.listing(store.language, "all").utterances}
            texts = (store.coordinate(name) for name in ("sentence", "transcription"))
            for name, *expected in zip(store.names, *texts, strict=True):
                found = listed.get(name)
                if found is None or [found.sentence, found.transcription] != expected:
                    raise Refusal(
                        f"--corpus={spec}: {store.language} {name!r} of {store.path} isn't there, or has "
                        "another sentence or text. Name the corpus that the store was made of, or none"
                    )
                self._sources[store.language, name] = found.source

    def wave(self, language: str, utterance: str, frames: int) -> Float[np.ndarray, " samples"] | None:
        """Samples of an utterance's first frames; None if it can't be read."""
        try:
            return audio.decode(
                self._sources[language, utterance], frames * self._samples_per_frame[language]
            )
        except audio.AudioError:
            return None


def write(
    out: pathlib.Path,
    opened: InterpretInputs,
    words: Mapping[str, LanguageWords],
    parts: PartFiles,
    kept: Sequence[PairState],
    checks: Checks,
    settings: Mapping[str, Json],
) -> pathlib.Path:
    """Path of the page, which is written with matches.parquet, checks, planes and pictures.

    Pictures of an earlier run that this one doesn't draw are removed.
    """
    pairs = tuple(dict.fromkeys(unit.pair for unit in kept))
    checked, drawn = [], set()
    for pair in pairs:
        units = [unit for unit in kept if unit.pair == pair]
        tables = [
            parts.table(opened.name(unit), interpret_tables.WORD_PAIRS_PART).to_pandas() for unit in units
        ]
        one = match_tests.check(
            pd.concat(tables, ignore_index=True), encoder=checks.encoder, voices=checks.voices, seed=SEED
        )
        # The plane needs every word pair; afterwards only those of the page are kept.
        drawn |= set(_planes(out, opened, one, units))
        checked.append(_shown(one))
        drawn |= set(_pictures(out, opened, words, parts, checked[-1], units, checks))
    picture_files.remove(pictures_there(out, opened) - drawn)
    every = CheckedMatches(*(pd.concat(list(part), ignore_index=True) for part in zip(*checked, strict=True)))
    matched = every.pairs.loc[every.pairs["mutual"] | every.pairs["transported"]]
    _write(out / "matches", pa.Table.from_pandas(matched, MATCHES, preserve_index=False), csv=False)
    for name, table in (("checks", every.tests), ("planes", every.plane)):
        _write(out / name, pa.Table.from_pandas(table, preserve_index=False), csv=True)
    sentences = [parts.table(opened.name(unit), interpret_tables.SENTENCE_PAIRS_PART) for unit in kept]
    page = out / _PAGE
    table = pa.concat_tables(sentences).to_pandas()
    model = str(opened.grid.attributes["model"])
    made_from = colophon.facts(opened.grid.attributes, opened.grid.path.name, version.today())
    interpret_page.write(page, every, table, settings, name=out.name, model=model, made_from=made_from)
    return page


def remove(out: pathlib.Path, opened: InterpretInputs) -> None:
    """Remove what `write` wrote for an earlier run."""
    names = [_PAGE, "matches.parquet"]
    names += [f"{name}.{kind}" for name in ("checks", "planes") for kind in ("parquet", "csv")]
    for name in names:
        (out / name).unlink(missing_ok=True)
    picture_files.remove(pictures_there(out, opened))


def refuse_folders(out: pathlib.Path, opened: InterpretInputs) -> None:
    """Refuse folders where pictures would go, before anything is computed."""
    # Pictures may be a million; only the folders among them are compared with the sentences.
    picture_files.refuse_folders(_pictures_among(_named(out, folders=True), opened))


def pictures_there(out: pathlib.Path, opened: InterpretInputs) -> set[pathlib.Path]:
    """Files in OUT that have the name of a picture of the grid's pairs, states and sentences."""
    return _pictures_among(_named(out, folders=False), opened)


def _named(out: pathlib.Path, *, folders: bool) -> list[pathlib.Path]:
    """Files, or folders, in OUT whose names begin and end as those of pictures."""
    if not out.is_dir():
        return []
    starts, ends = ("plane_", "pair_"), tuple(f".{kind}" for kind in picture_files.KINDS)
    with os.scandir(out) as entries:  # which tells folders without asking the disk again
        return [
            out / entry.name
            for entry in entries
            if entry.name.startswith(starts) and entry.name.endswith(ends) and entry.is_dir() == folders
        ]


def _pictures_among(named: Sequence[pathlib.Path], opened: InterpretInputs) -> set[pathlib.Path]:
    """Those of some paths that have the name of a picture of the grid's pairs, states and sentences."""
    if not named:
        return set()
    sentences = set(opened.grid.sentences)
    hashed = {_hash(sentence): sentence for sentence in sentences}
    pairs = [both for a, b in opened.grid.pairs for both in ((a, b), (b, a))]
    units = {_file_name(pair, state) for pair in pairs for state in opened.grid.states}

    def of_sentence(name: str, start: str) -> bool:
        # A name tells its sentence, so there is no need to make the name of every sentence.
        meant = sentences & {urllib.parse.unquote(name), hashed.get(name, name)}
        return any(sentence_name(sentence, start) == name for sentence in meant)

    def ours(stem: str) -> bool:
        what, _, rest = stem.partition("_")
        if what == "plane":
            return rest in units
        cuts = [at for at, letter in enumerate(rest) if letter == "_" and rest[:at] in units]
        return any(of_sentence(rest[at + 1 :], f"{what}_{rest[: at + 1]}") for at in cuts)

    return {path for path in named if ours(path.stem)}


def _shown(checked: CheckedMatches) -> CheckedMatches:
    """The word pairs of the page, and those of each word with frames of no word, which hold its text."""
    pairs = checked.pairs
    named = (pairs["word_index_a"] == interpret_tables.GAP_INDEX) | (
        pairs["word_index_b"] == interpret_tables.GAP_INDEX
    )
    return checked._replace(pairs=pairs.loc[interpret_page.shown_pairs(pairs) | named])


def _write(stem: pathlib.Path, table: pa.Table, *, csv: bool) -> None:
    bare = table.replace_schema_metadata()
    path = stem.with_suffix(".parquet")
    atomic_write.write_whole(path, lambda file: table_files.write_parquet(bare, file))
    if csv:
        atomic_write.write_whole(stem.with_suffix(".csv"), lambda file: table_files.write_csv(bare, file))


def _planes(
    out: pathlib.Path, opened: InterpretInputs, checked: CheckedMatches, units: Sequence[PairState]
) -> Iterator[pathlib.Path]:
    for unit in units:
        figure = plane_figure.plane(checked, *unit.pair, opened.grid.states[unit.state])
        if figure is not None:
            stem = out / f"plane_{_file_name(unit.pair, opened.grid.states[unit.state])}"
            yield from picture_files.save(figure, stem)


def _pictures(
    out: pathlib.Path,
    opened: InterpretInputs,
    words: Mapping[str, LanguageWords],
    parts: PartFiles,
    checked: CheckedMatches,
    units: Sequence[PairState],
    checks: Checks,
) -> Iterator[pathlib.Path]:
    """Draw the sentence pairs of the highest scores, the first of equals."""
    reader = Reader(opened)
    for unit in units if checks.pictures else ():
        state = opened.grid.states[unit.state]
        sentences = parts.table(opened.name(unit), interpret_tables.SENTENCE_PAIRS_PART).to_pandas()
        best = sentences.dropna(subset=["score"]).sort_values("score", ascending=False, kind="stable")
        matches = checked.pairs.loc[checked.pairs["state"] == state]
        states = reader.states(unit)
        for row in best.head(checks.pictures).to_dict("records"):
            names = (str(row["utterance_a"]), str(row["utterance_b"]))
            texts = [words[code].utterances[name] for code, name in zip(unit.pair, names, strict=True)]
            mine = matches.loc[matches["query"] == row["query"]]
            sides = [
                _side(code, name, text, len(frames[name]), checks.recordings)
                for code, name, text, frames in zip(unit.pair, names, texts, states, strict=True)
            ]
            figure = sentence_pair_figure.sentence_pair(
                _cosines(states[0][names[0]], states[1][names[1]]),
                sides[0],
                sides[1],
                _matches(mine, texts),
                frame_seconds=opened.members[unit.pair[0]].store.time_axis.frame_seconds,
                note=f"state {state}, SeqSim {row['score']:.3f}",
            )
            start = f"pair_{_file_name(unit.pair, state)}_"
            yield from picture_files.save(figure, out / (start + sentence_name(str(row["query"]), start)))


def _side(
    language: str, utterance: str, words: Words, frames: int, recordings: Recordings | None
) -> sentence_pair_figure.FigureSide:
    return sentence_pair_figure.FigureSide(
        language=language,
        words=words.text,
        start=words.seconds[:, 0].tolist(),
        end=words.seconds[:, 1].tolist(),
        wave=recordings.wave(language, utterance, frames) if recordings else None,
    )


def _matches(rows: pd.DataFrame, texts: Sequence[Words]) -> list[sentence_pair_figure.Match]:
    """Word pairs that match, by index among the words that have frames."""
    places = [{index: place for place, index in enumerate(words.index)} for words in texts]
    matched = rows.loc[rows["mutual"] | rows["transported"]]
    return [
        sentence_pair_figure.Match(
            a=places[0][int(row["word_index_a"])],
            b=places[1][int(row["word_index_b"])],
            mutual=bool(row["mutual"]),
            transported=bool(row["transported"]),
        )
        for row in matched.to_dict("records")
    ]


def _cosines(x: Float[np.ndarray, "N D"], y: Float[np.ndarray, "M D"]) -> Float[np.ndarray, "N M"]:
    a, b = (np.asarray(unit_vectors(frames.astype(np.float64))) for frames in (x, y))
    return a @ b.T


def sentence_name(sentence: str, start: str) -> str:
    """A sentence in the name of a picture that begins with `start`, in ASCII; a hash where it is too long."""
    # A byte of UTF-8 takes three characters when quoted, so a short sentence can make a long name.
    quoted = urllib.parse.quote(sentence, safe="")
    longest = max(len(f"{start}{quoted}.{kind}") for kind in picture_files.KINDS)
    return quoted if longest <= _NAME_BYTES else _hash(sentence)


def _hash(sentence: str) -> str:
    return hashlib.sha256(sentence.encode()).hexdigest()[:16]


def _file_name(pair: Pair, state: str) -> str:
    return urllib.parse.quote(f"{grid_store.pair_name(pair)}_{state}", safe="")
