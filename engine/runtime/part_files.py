"""Part files: what one unit of a job comes to, kept until all are there: so a job is divided and resumed.

A unit has one file of each kind, or a note of why it has none. Each is renamed into place whole and carries
in its name a fingerprint of all that its content depends on: a part of other settings or other input is never
found. Costs a `stat` for each question.
"""

import dataclasses
import glob
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
      folder: where they are; it needn't be there yet.
      keys: fingerprint of each unit, by the unit's name; a unit without one has no part.
      kinds: suffixes of a unit's files, in the order of writing; the last is the commit mark.
    """

    folder: pathlib.Path
    keys: Mapping[str, str]
    kinds: tuple[str, ...] = ("parquet",)

    def path(self, unit: str, kind: str = "parquet") -> pathlib.Path:
        """Path of the unit's file of a kind, whether it is there or not."""
        return self.folder / f"{_stem(unit)}.{self.keys[unit]}.{kind}"

    def kept(self, unit: str) -> bool:
        """Whether the unit has its files, of every kind."""
        return unit in self.keys and all(self.path(unit, kind).is_file() for kind in reversed(self.kinds))

    def awaited(self, unit: str) -> bool:
        """Whether the unit can be done, and nobody has done it or noted why not."""
        return unit in self.keys and not self.kept(unit) and not self.path(unit, _NOTE).is_file()

    def reason(self, unit: str) -> str | None:
        """Note of why the unit has no files, if the run that tried it last left one."""
        noted = unit in self.keys and not self.kept(unit) and self.path(unit, _NOTE).is_file()
        return self.path(unit, _NOTE).read_text("utf-8").strip() if noted else None

    def save(self, unit: str, *writers: Callable[[pathlib.Path], object]) -> None:
        """Let `writers`, one for each kind, make the unit's files; then drop what it had before.

        Raises:
          OSError: one can't be written; what was before is kept.
        """
        for kind, write in zip(self.kinds, writers, strict=True):
            atomic_write.write_whole(self.path(unit, kind), write)
        self._drop_others(unit, self.kinds)

    def save_tables(self, unit: str, *tables: pa.Table) -> None:
        """Keep tables, one for each kind, as Parquet; OSError as from `save`."""
        self.save(
            unit, *(lambda file, table=table: table_files.write_parquet(table, file) for table in tables)
        )

    def table(self, unit: str, kind: str = "parquet") -> pa.Table:
        """Table of a kind that `save_tables` kept."""
        return table_files.read_parquet(self.path(unit, kind))

    def note(self, unit: str, reason: str) -> None:
        """Keep why the unit has no files, so that nobody waits for them, and drop what was before."""
        path = self.path(unit, _NOTE)
        atomic_write.write_whole(path, lambda file: file.write_text(reason + "\n", "utf-8"))
        self._drop_others(unit, (_NOTE,))

    def units_of_any_key(self) -> set[str]:
        """Names of all units that have a file here, of these settings or of others."""
        parts = self.folder.glob(f"[!.]*.{_FINGERPRINT}.*")
        return {urllib.parse.unquote(path.name.rsplit(".", 2)[0]) for path in parts}

    def _drop_others(self, unit: str, kinds: tuple[str, ...]) -> None:
        mine = {self.path(unit, kind) for kind in kinds}
        for old in set(self.folder.glob(f"{glob.escape(_stem(unit))}.{_FINGERPRINT}.*")) - mine:
            old.unlink(missing_ok=True)


def _stem(unit: str) -> str:
    """The unit's name in ASCII, so that any locale can make the file."""
    return urllib.parse.quote(unit, safe="")
