"""Part files: results of one unit of work each, so that a job is divided and resumed.

A part is renamed into place whole and carries in its name a fingerprint of all that its content depends on: a
part of other settings or other input is never found. Costs a `stat` a question.
"""

import dataclasses
import glob
import hashlib
import json
import pathlib
import urllib.parse
from collections.abc import Callable, Mapping

from isogloss.engine.runtime import atomic_write

_KEY = 16  # letters of a fingerprint


def fingerprint(described: object) -> str:
    """Hash of what a part's content depends on, in terms that JSON can write."""
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()[:_KEY]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PartFiles:
    """Part files of one job.

    Attributes:
      folder: that holds them; it needn't be there yet.
      keys: fingerprint of each unit, by the unit's name; a unit without one has no part.
    """

    folder: pathlib.Path
    keys: Mapping[str, str]

    def path(self, unit: str, kind: str) -> pathlib.Path:
        """Where the unit's part of a kind, the file's suffix, is or will be."""
        return self.folder / f"{_stem(unit)}.{self.keys[unit]}.{kind}"

    def there(self, unit: str, *kinds: str) -> bool:
        """Whether the unit has a part of one of these kinds."""
        return unit in self.keys and any(self.path(unit, kind).is_file() for kind in kinds)

    def save(self, unit: str, kind: str, write: Callable[[pathlib.Path], object]) -> None:
        """Let `write` make the unit's part, and drop what was before.

        Raises:
          OSError: it can't be written; what was before is kept.
        """
        path = self.path(unit, kind)
        atomic_write.write_whole(path, write)
        for old in self.folder.glob(f"{glob.escape(_stem(unit))}.{'[0-9a-f]' * _KEY}.*"):
            if old != path:
                old.unlink(missing_ok=True)


def _stem(unit: str) -> str:
    """The unit's name in ASCII, so that any locale can make the file."""
    return urllib.parse.quote(unit, safe="")
