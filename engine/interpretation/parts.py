"""Part files of interpretation: the tables of one language pair at one state each."""

import dataclasses
import pathlib
from collections.abc import Mapping

import pyarrow as pa

from isogloss.engine.runtime import atomic_write, table_files
from isogloss.engine.runtime.part_files import PartFiles

_TABLES = ("sentence_pairs", "word_pairs")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Parts:
    """Tables of single units; the one of word pairs is written last, so that it is the commit mark."""

    sentence_pairs: PartFiles
    word_pairs: PartFiles

    def kept(self, unit: str) -> bool:
        """Whether both tables of a unit are there."""
        return all(files.there(unit, "parquet") for files in (self.word_pairs, self.sentence_pairs))

    def awaited(self, unit: str) -> bool:
        """Whether a unit can be done and nobody has done it, or said why not."""
        return unit in self.word_pairs.keys and not (self.kept(unit) or self.word_pairs.there(unit, "txt"))

    def save(self, unit: str, sentences: pa.Table, words: pa.Table) -> None:
        """Keep a unit's tables."""
        for files, table in ((self.sentence_pairs, sentences), (self.word_pairs, words)):
            files.save(unit, "parquet", lambda path, table=table: table_files.write_parquet(table, path))

    def note(self, unit: str, reason: str) -> None:
        """Keep why a unit can't be done, so that nobody waits for it."""
        self.word_pairs.save(unit, "txt", lambda path: path.write_text(reason + "\n", "utf-8"))

    def reason(self, unit: str) -> str | None:
        """Why a unit can't be done, as the run that tried it last found."""
        if not self.word_pairs.there(unit, "txt"):
            return None
        return self.word_pairs.path(unit, "txt").read_text("utf-8").strip()

    def make_folders(self) -> None:
        """Make the folders; ValueError if there can't be any."""
        for files in (self.sentence_pairs, self.word_pairs):
            atomic_write.make_folder(files.folder)

    def read(self, table: str, unit: str) -> pa.Table:
        """A table of a unit that is kept."""
        files = {"sentence_pairs": self.sentence_pairs, "word_pairs": self.word_pairs}[table]
        return table_files.read_parquet(files.path(unit, "parquet"))


def open_parts(folder: pathlib.Path, keys: Mapping[str, str]) -> Parts:
    """Parts in a folder, which needn't be there, of units with these fingerprints."""
    return Parts(**{name: PartFiles(folder=folder / name, keys=keys) for name in _TABLES})
