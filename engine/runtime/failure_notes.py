"""Notes on units that can't be made, GROUP.zarr/failed/INDEX.json: each unit's name and the reason.

A unit's index is that of its chunks on the leading axes of the group's arrays, as in their keys. Notes are of
the last run that tried the units; storing a unit removes its note, and a chunk that exists overrules
one that is left.
"""

import dataclasses
import functools
import json
import re

from isogloss.engine.runtime import objects
from isogloss.engine.runtime.place import Place

_FILE = re.compile(r"(\d+(?:\.\d+)*)\.json")
Index = tuple[int, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class FailureNotes:
    """Notes of one group.

    Attributes:
      group: path of the group.
    """

    group: Place

    @property
    def _folder(self) -> Place:
        return self.group / "failed"

    def _file(self, index: Index) -> Place:
        return self._folder / f"{'.'.join(map(str, index))}.json"

    @functools.cached_property
    def noted(self) -> set[Index]:
        """Indices that had a note when this was first asked for, with what this process has changed since."""
        return set(self.indices())

    def indices(self) -> list[Index]:
        """Indices of the units that have a note, sorted."""
        found = filter(None, map(_FILE.fullmatch, objects.children(self._folder)))
        return sorted(tuple(map(int, each[1].split("."))) for each in found)

    def read(self) -> dict[Index, dict[str, str]]:
        """Notes by index: what names the unit, and the "error"."""
        indices = self.indices()
        notes = objects.read_all([self._file(index) for index in indices])
        # A note may be removed between the listing and the reading, by a process that stores its unit.
        return {index: json.loads(note) for index, note in zip(indices, notes, strict=True) if note}

    def write(self, index: Index, **note: str) -> None:
        """Store a note, in place of an older one."""
        self.noted.add(index)
        objects.write(self._file(index), (json.dumps(note, ensure_ascii=False) + "\n").encode())

    def remove(self, index: Index) -> None:
        """Remove the note on a unit that is stored now, if there is one."""
        # Few units have one, and a bucket would be asked about each.
        if index in self.noted:
            objects.remove(self._file(index))
            self.noted.remove(index)
