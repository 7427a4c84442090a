"""Texts and recordings of a grid's sentences, as files of each language that the report's page loads.

A script of each language has, by sentence, the text and the address of the recording, seen from the page. A
recording is linked from where it lies, or copied beside the page; one that isn't a file of its own, as in a
Parquet file of the hub, can only be copied.
"""

import dataclasses
import json
import logging
import os
import pathlib
import urllib.parse
from collections.abc import Mapping, Sequence
from typing import Literal

from isogloss.engine.corpora import audio, corpus
from isogloss.engine.corpora.listing import Listing, Utterance
from isogloss.engine.drawing import page
from isogloss.engine.grid.grid_store import Grid
from isogloss.engine.report.report_config import ReportConfig
from isogloss.engine.retrieval import answers
from isogloss.engine.runtime import atomic_write, json_values
from isogloss.engine.runtime.name_lists import first_names
from isogloss.engine.runtime.part_files import PartFiles
from isogloss.engine.runtime.progress import Progress
from isogloss.engine.runtime.refusal import Refusal, WriteError

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class SentenceTexts:
    """Recordings that stand for the sentences of a grid.

    Attributes:
      utterances: the first of each sentence, by language.
      audio: how they are played: link, copy or none.
    """

    utterances: Mapping[str, Sequence[Utterance]]
    audio: Literal["link", "copy", "none"]

    def identity(self, out: pathlib.Path) -> str:
        """Hash of what the scripts depend on."""
        linked = self.audio == "link"
        rows = [
            [code, each.sentence, _text(each), self._place(out, each) if linked else each.source.name]
            for code, utterances in self.utterances.items()
            for each in utterances
        ]
        return json_values.sha256([self.audio, rows])

    def write(self, out: pathlib.Path) -> list[str]:
        """Names of the scripts written to the folder of sentences, after copying what is to be copied.

        Raises:
          WriteError: the disk may be full.
        """
        folder, names, unreadable = out / answers.FOLDER, [], []
        progress = Progress("texts", len(self.utterances), "languages")
        for code, utterances in self.utterances.items():
            rows = {}
            for each in utterances:
                try:
                    place = self._place(out, each)
                except WriteError:
                    raise  # an OSError too, but not of the recording
                except (OSError, audio.AudioError) as error:
                    unreadable.append(f"{code} {each.name}: {error}")
                    place = ""
                rows[each.sentence] = [_text(each), place]
            names.append(f"text-{urllib.parse.quote(code, safe='')}.js")
            _write(folder / names[-1], rows)
            progress.advance()
        progress.close()
        if unreadable:
            _LOG.error(
                "%d recordings can't be read and have no player: %s",
                len(unreadable),
                first_names(unreadable, separator="; "),
            )
        return names

    def _place(self, out: pathlib.Path, utterance: Utterance) -> str:
        """Address of a recording seen from the page, "" if it isn't played."""
        source = utterance.source
        if self.audio == "copy":
            path = _copied(out / answers.FOLDER / "audio", utterance)
        elif self.audio == "link" and isinstance(source, audio.FileSource):
            path = source.path
        else:
            return ""
        return urllib.parse.quote(os.path.relpath(path.absolute(), out.absolute()))


def _text(utterance: Utterance) -> str:
    return utterance.raw_transcription or utterance.transcription


def _write(path: pathlib.Path, rows: Mapping[str, Sequence[str]]) -> None:
    content = json.dumps(rows, ensure_ascii=False, separators=(",", ":"))
    text = f"{page.REGISTER}[{json.dumps(path.name)}] = {content};\n"
    atomic_write.write_whole(path, lambda file: file.write_text(text, "utf-8"))


def _copied(folder: pathlib.Path, utterance: Utterance) -> pathlib.Path:
    """Path of a recording's copy, made unless an earlier run did; its name tells recordings apart."""
    source = utterance.source
    name = urllib.parse.quote(utterance.name, safe="").replace("%", "_")
    suffix = pathlib.PurePosixPath(source.name).suffix
    path = folder / utterance.language / f"{name}.{source.fingerprint()}{suffix}"
    if not path.is_file():
        atomic_write.make_folder(path.parent)

        with source.open() as recording:
            content = recording.read()
        atomic_write.write_whole(path, lambda file: file.write_bytes(content))
    return path


def open_texts(config: ReportConfig, grid: Grid) -> SentenceTexts | None:
    """Texts of --corpus; None without one.

    Raises:
      Refusal: the grid was made of other recordings.
    """
    if config.corpus is None:
        return None
    opened = corpus.open_corpus(config.corpus, config.columns)
    found = {}
    # A self pair may name the second recordings of a language, which no corpus lists.
    for code in dict.fromkeys(code for pair in grid.only(self_pairs=False).pairs for code in pair):
        listing = opened.listing(code)
        _require_same(listing, grid, config.corpus)
        found[code] = [each for each in listing.utterances if each.sentence in set(grid.sentences)]
    return SentenceTexts(utterances=found, audio=config.audio)


def _require_same(listing: Listing, grid: Grid, spec: str) -> None:
    """Refuse a language whose recordings aren't those that the grid was made of, as far as it says."""
    code = listing.language
    made_of, known = grid.axes.recordings.get(code, {}), grid.attributes.get("languages")
    facts = known.get(code) if isinstance(known, Mapping) else None
    whole = facts.get("corpus_sha256") if isinstance(facts, Mapping) else None
    if whole in (listing.sha256(), json_values.sha256([listing.sha256(), listing.recordings])):
        return  # the only proof in grids of stores of earlier formats, which record no recordings
    here = dict(zip((each.sentence for each in listing.utterances), listing.recordings, strict=True))
    others = [sentence for sentence, recording in made_of.items() if here.get(sentence) != recording]
    if others:
        raise Refusal(
            f"--corpus={spec}: {len(others)} recordings of {code} aren't those that {grid.path} was made of: "
            f"{first_names(others)}. Name the corpus that was extracted, or none"
        )


def write(config: ReportConfig, parts: PartFiles, texts: SentenceTexts | None) -> dict[str, str]:
    """Files beside the page with the answers of each pair, by its name; pairs without one are left out.

    Texts and recordings are written, and scripts that an earlier report left are removed.
    """
    found = {}
    if config.answers != "none":
        found = {name: parts.path(name, "js").name for name in parts.keys if parts.kept(name)}
    names = [*found.values(), *(texts.write(config.out) if texts and found else ())]
    for old in (config.out / answers.FOLDER).glob("*.js"):
        if old.name not in names:
            old.unlink(missing_ok=True)
    return found
