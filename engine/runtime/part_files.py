"""Part files: stored results of a job's units, by which a job is resumed and divided among processes.

A unit has one file of each kind, or a note with the reason why it has none. Each file appears complete, by a
rename, and its name holds a fingerprint of everything its content depends on, so a part of other settings or
other input is never found. Each query costs one `stat`.
"""

import dataclasses
import glob
import hashlib
import pathlib
import urllib.parse
from collections.abc import Callable, Mapping

import pyarrow as pa

from isogloss.engine.runtime import atomic_write, table_files

_NOTE = "txt"
_FINGERPRINT = "[0-9a-f]" * 16


@dataclasses.dataclass(frozen=True, kw_only=True)
class PartFiles:
    """Part files of one job.

    Attributes:
      folder: folder of the files, which may not exist yet.
      keys: fingerprint of each unit, by the unit's name; a unit without a fingerprint has no part.
      kinds: suffixes of a unit's files, in the order of writing; the last one marks the unit as complete.
      elsewhere: folders of the kinds that have one of their own.
    """

    folder: pathlib.Path
    keys: Mapping[str, str]
    kinds: tuple[str, ...] = ("parquet",)
    elsewhere: Mapping[str, pathlib.Path] = dataclasses.field(default_factory=dict)

    def path(self, unit: str, kind: str = "parquet") -> pathlib.Path:
        """Path of the unit's file of a kind, which may not exist."""
        return self.elsewhere.get(kind, self.folder) / f"{_stem(unit)}.{self.keys[unit]}.{kind}"

    def kept(self, unit: str) -> bool:
        """True if the unit has a file of every kind."""
        # The file written last is asked for first: it is the one that a killed run most often lacks.
        return unit in self.keys and all(self.path(unit, kind).is_file() for kind in reversed(self.kinds))

    def awaited(self, unit: str) -> bool:
        """True if the unit can be computed, but has neither files nor a note yet."""
        return unit in self.keys and not self.kept(unit) and not self.path(unit, _NOTE).is_file()

    def reason(self, unit: str) -> str | None:
        """Reason why the unit has no files, if the last run that tried it left a note."""
        noted = unit in self.keys and not self.kept(unit) and self.path(unit, _NOTE).is_file()
        return self.path(unit, _NOTE).read_text("utf-8").strip() if noted else None

    def save(self, unit: str, *writers: Callable[[pathlib.Path], object]) -> None:
        """Let `writers`, one per kind, make the unit's files; then remove its older files.

        Raises:
          OSError: a file can't be written; older files are kept.
        """
        # Older files go last, so that a run killed on the way hasn't lost what a run of old settings needs.
        for kind, write in zip(self.kinds, writers, strict=True):
            atomic_write.write_whole(self.path(unit, kind), write)
        self._drop_others(unit, self.kinds)

    def save_tables(self, unit: str, *tables: pa.Table) -> None:
        """Store tables, one per kind, as Parquet; OSError as from `save`."""
        self.save(
            unit, *(lambda file, table=table: table_files.write_parquet(table, file) for table in tables)
        )

    def table(self, unit: str, kind: str = "parquet") -> pa.Table:
        """Table of a kind, as `save_tables` stored it."""
        return table_files.read_parquet(self.path(unit, kind))

    def sha256(self, unit: str) -> str:
        """Hash of the content of the unit's files."""
        digest = hashlib.sha256()
        for kind in self.kinds:
            digest.update(self.path(unit, kind).read_bytes())
        return digest.hexdigest()

    def note(self, unit: str, reason: str) -> None:
        """Store the reason why the unit has no files, so that no process waits for it; remove older files."""
        path = self.path(unit, _NOTE)
        atomic_write.write_whole(path, lambda file: file.write_text(reason + "\n", "utf-8"))
        self._drop_others(unit, (_NOTE,))

    def units_of_any_key(self) -> set[str]:
        """Names of all units that have a file in the folder, with any settings."""
        parts = self.folder.glob(f"[!.]*.{_FINGERPRINT}.*")
        return {urllib.parse.unquote(path.name.rsplit(".", 2)[0]) for path in parts}

    def _drop_others(self, unit: str, kinds: tuple[str, ...]) -> None:
        # A name is matched with its fingerprint, so "a" doesn't take the files of "a.b".
        mine = {self.path(unit, kind) for kind in kinds}
        for folder in {self.folder, *self.elsewhere.values()}:
            for old in set(folder.glob(f"{glob.escape(_stem(unit))}.{_FINGERPRINT}.*")) - mine:
                old.unlink(missing_ok=True)


def table_kind(name: str) -> str:
    """Kind of the part files of a table by its name, of units with several tables."""
    return f"{name}.parquet"


def _stem(unit: str) -> str:
    """Name of the unit in ASCII, so that the file can be made in any locale."""
    return urllib.parse.quote(unit, safe="")
