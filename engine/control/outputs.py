"""Outputs of a run: the joined tables of all pairs, figures, the page, and what a reader must know.

Memory: the tables of all pairs; 16 kB a state and pair.
"""

import dataclasses
import itertools
import logging
import pathlib
from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from isogloss.engine.control import figures, page, pair_tables, tables
from isogloss.engine.control.control_config import ControlConfig
from isogloss.engine.control.inputs import ControlInputs
from isogloss.engine.control.pair_data import Readers
from isogloss.engine.control.terms import CAUTIONS
from isogloss.engine.drawing import picture_files
from isogloss.engine.drawing.page import write_scripts
from isogloss.engine.grid.grid_store import pair_name
from isogloss.engine.retrieval import contrasts, table as retrieval_table
from isogloss.engine.runtime import atomic_write, data_dictionary, part_run
from isogloss.engine.runtime.part_files import PartFiles, table_kind
from isogloss.engine.texts import espeak_voices

_COLUMNS = pathlib.Path(__file__).with_name(data_dictionary.NAME)
_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ControlOutputs:
    """Counts and paths of what a run has written, for its summary.

    Attributes:
      waiting: pairs that other shards have not finished; the tables are written when there are none.
      failed: reason by pair that can't be computed.
      tables: rows by table; empty until all shards have finished.
      without_phones: languages whose words have no phones, with the reason: their pairs have no sound.
      without_meaning: languages that the sentence encoder doesn't know: their pairs have no meaning.
      without_names: why the rule `names` is missing; "" if it is there.
      page: path of control.html; None until all shards have finished.
    """

    waiting: int = 0
    failed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tables: Mapping[str, int] = dataclasses.field(default_factory=dict)
    without_phones: Mapping[str, str] = dataclasses.field(default_factory=dict)
    without_meaning: Mapping[str, str] = dataclasses.field(default_factory=dict)
    without_names: str = ""
    page: str | None = None


def write(config: ControlConfig, opened: ControlInputs, parts: PartFiles, readers: Readers) -> ControlOutputs:
    """Counts and paths of the joined tables, which are written if no other shard has pairs to do."""
    ended = part_run.standing(parts, list(map(pair_name, opened.pairs)), "pairs")
    made = ControlOutputs(waiting=ended.waiting, failed=ended.failed, **_unknown(opened, readers))
    if made.waiting:
        return made
    found = _joined(opened, parts, ended.kept)
    about = {
        "sound": config.phones != "none",
        "meaning": readers.encoder is not None,
        "raters": opened.evidence.named is not None,
        "other": opened.against is not None,
        "permutations": config.permutations > 0,
    }
    found = {name: tables.shown(held, **about) for name, held in found.items()}
    for name, held in found.items():
        retrieval_table.write_table(held, config.out, name)
    data_dictionary.write(config.out, _COLUMNS)
    _draw(config, found)
    html, scripts = page.render(config, opened, found, _notes(made, config))
    path = config.out / "control.html"
    write_scripts(config.out / page.FOLDER, scripts)
    atomic_write.write_whole(path, lambda file: file.write_text(html, "utf-8"))
    for line in (*_notes(made, config), *CAUTIONS):
        _LOG.info("%s", line)
    return dataclasses.replace(
        made, tables={name: held.num_rows for name, held in found.items()}, page=str(path)
    )


def _unknown(opened: ControlInputs, readers: Readers) -> dict:
    """Parts that the tables lack, and the reasons."""
    languages = sorted(opened.texts)
    silent = {}
    if readers.voices is not None:
        silent = {code: espeak_voices.reason(code) for code in languages if espeak_voices.voice(code) is None}
    return {
        "without_phones": silent,
        "without_meaning": readers.encoder.unread(languages) if readers.encoder else {},
        "without_names": "" if opened.evidence.named is not None else "--names names no rater",
    }


def _notes(made: ControlOutputs, config: ControlConfig) -> list[str]:
    """Sentences on what is missing."""
    notes = []
    if config.phones == "none":
        notes.append(
            "Without phones (--phones=none) there is no overlap, no rule `alike` and no factor sound."
        )
    if config.sentence_encoder == "none":
        notes.append("Without a sentence encoder (--sentence_encoder=none) there is no factor meaning.")
    if made.without_names:
        notes.append(f"The rule `names` is missing: {made.without_names}.")
    notes += [f"Pairs with {code} have no sound: {why}." for code, why in made.without_phones.items()]
    notes += [f"Pairs with {code} have no meaning: {why}." for code, why in made.without_meaning.items()]
    return notes + [f"{name} is left out: {reason}." for name, reason in made.failed.items()]


def _joined(opened: ControlInputs, parts: PartFiles, kept: list[str]) -> dict[str, pa.Table]:
    """All tables, of the pairs that have parts."""
    found = {"sentences": _sentences(opened)}
    for name in tables.PARTS:
        found[name] = part_run.joined(parts, kept, tables.SCHEMAS[name], table_kind(name))
    # q needs the p of all pairs, so parts hold none.
    p = found["factors"]["p"].to_numpy()
    q = pa.array(contrasts.false_discovery(p, "bh"), pa.float64())
    place = found["factors"].column_names.index("q")
    found["factors"] = found["factors"].set_column(place, "q", q)
    found["agreement"] = pa.concat_tables([_between_languages(opened), found["agreement"]])
    return found


def _sentences(opened: ControlInputs) -> pa.Table:
    evidence, rows = opened.evidence, []
    for code, held in opened.texts.items():
        for sentence, (text, raw) in held.items():
            row: dict[str, object] = {"sentence": sentence, "language": code}
            row |= {"transcription": text, "raw_transcription": raw}
            if code in evidence.names:
                row["names_found"] = "; ".join(evidence.names[code].get(sentence, ()))
            row["numbers_found"] = "; ".join(evidence.numbers[code].get(sentence, ()))
            row["numbers"] = sentence in evidence.numbered
            if evidence.named is not None:
                row["names"] = sentence in evidence.named
            rows.append(row)
    return tables.made("sentences", rows)


def _between_languages(opened: ControlInputs) -> pa.Table:
    """Agreement of every two languages that have a rater of names, and of the digits of every two."""
    rows = []
    for rule, found in (("names", opened.evidence.names), ("numbers", opened.evidence.numbers)):
        for a, b in itertools.combinations(sorted(found), 2):
            both = [s for s in opened.texts[a] if s in opened.texts[b]]
            x, y = (np.asarray([bool(found[code].get(s)) for s in both], bool) for code in (a, b))
            rows.append(
                {"between": "languages", "language_a": a, "language_b": b}
                | pair_tables.agreement_row(f"{rule}:{a}", x, f"{rule}:{b}", y)
            )
    return tables.made("agreement", rows)


def _draw(config: ControlConfig, found: Mapping[str, pa.Table]) -> None:
    """Write the figures; those of an earlier run that this one doesn't have are removed."""
    drawn: set[pathlib.Path] = set()
    frames = {name: found[name].to_pandas() for name in ("factors", "control")}
    for name, figure in figures.drawn(frames["factors"], frames["control"]).items():
        drawn |= set(picture_files.save(figure, config.out / name))
    # A figure that this run didn't draw would show other settings beside the new tables.
    for old in {path for name in figures.NAMES for path in config.out.glob(f"{name}.*")} - drawn:
        if old.suffix.removeprefix(".") in picture_files.KINDS:
            old.unlink(missing_ok=True)
