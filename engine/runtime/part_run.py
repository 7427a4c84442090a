"""Units of a job computed into part files one by one, and all of them joined once none is awaited.

A unit that can't be computed gets a note with the reason: no process waits for it, and the next run tries it
again.
"""

import dataclasses
import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

import pyarrow as pa

from isogloss.engine.runtime.part_files import PartFiles
from isogloss.engine.runtime.progress import Progress

_LOG = logging.getLogger(__name__)

Unit = TypeVar("Unit")


def compute(
    parts: PartFiles,
    units: Mapping[str, Unit],
    tables: Callable[[Unit], Sequence[pa.Table]],
    progress: Progress,
    unusable: type[Exception],
) -> dict[str, str]:
    """Reasons of the units that can't be computed, by name, after storing the tables of the others.

    Args:
      parts: part files of the job.
      units: what is to be computed, by name, in the order of work.
      tables: tables of a unit, one for each kind of part.
      progress: of these units; closed at the end.
      unusable: what `tables` raises if a unit can't be computed.
    """
    failed: dict[str, str] = {}
    for name, unit in units.items():
        try:
            made = tables(unit)
        except unusable as error:
            failed[name] = str(error)
            # A note, or the processes of other shards would wait for this unit for ever.
            parts.note(name, str(error))
            _LOG.error("%s: %s", name, error)
        else:
            parts.save_tables(name, *made)
        progress.advance(stored=name not in failed)
    progress.close()
    return failed


def estimated_seconds(
    units: Sequence[Unit], tables: Callable[[Unit], Sequence[pa.Table]], unusable: type[Exception]
) -> float:
    """Seconds that units take, by the time of the first one, whose tables are dropped; 0 if it fails."""
    if not units:
        return 0.0
    start = time.monotonic()
    try:
        tables(units[0])
    except unusable as error:
        _LOG.error("%s", error)
        return 0.0
    # Rounded up, so that little work isn't estimated to take none.
    return math.ceil(10 * len(units) * (time.monotonic() - start)) / 10


@dataclasses.dataclass(frozen=True, kw_only=True)
class Standing:
    """Units of a job, by what has become of them.

    Attributes:
      kept: names of those with parts, in the order of the tables.
      failed: reasons of those that can't be computed, by name.
      waiting: number of those that other shards have not finished.
    """

    kept: list[str]
    failed: dict[str, str]
    waiting: int


def standing(parts: PartFiles, names: Sequence[str], noun: str) -> Standing:
    """Units of these names, by what has become of them; those awaited are logged as so many `noun`."""
    found = Standing(
        kept=[name for name in names if parts.kept(name)],
        failed={name: reason for name in names if (reason := parts.reason(name)) is not None},
        waiting=sum(map(parts.awaited, names)),
    )
    if found.waiting:
        text = "other shards have not finished %d %s; the tables are written once they have"
        _LOG.info(text, found.waiting, noun)
    return found


def joined(parts: PartFiles, names: Iterable[str], schema: pa.Schema, kind: str = "parquet") -> pa.Table:
    """Rows of a kind of part, of all these units; an empty table of the schema if there is none."""
    # Without the first part's metadata, whose day and version aren't those of the joined table.
    bare = [parts.table(name, kind).replace_schema_metadata() for name in names]
    return pa.concat_tables(bare or [schema.empty_table()])
