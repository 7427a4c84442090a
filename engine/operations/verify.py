"""The verify job: reads every file of a store or a grid, and names those that don't match their checksums.

A file's existence is the mark that its unit is done, so removing a damaged one is all that makes the next run
of extract or grid compute it again, to the same bytes. Several files are read at once; memory is that of
eight files.
"""

import dataclasses
import logging
import pathlib
import time
from collections.abc import Mapping, Sequence

import numpy as np

from isogloss.engine.activations import activation_store
from isogloss.engine.grid import grid_store
from isogloss.engine.grid.measures import stored_measures
from isogloss.engine.operations import checksums
from isogloss.engine.operations.checksums import ChunkLayout
from isogloss.engine.operations.verify_config import VerifyConfig
from isogloss.engine.runtime import objects, sentences
from isogloss.engine.runtime.ahead import computed_ahead
from isogloss.engine.runtime.place import Place
from isogloss.engine.runtime.progress import Progress, seconds_since
from isogloss.engine.runtime.refusal import Refusal, UnreachableError
from isogloss.engine.runtime.zarr_group import Group

_LOG = logging.getLogger(__name__)
_THREADS = 8  # files read at once; a bucket answers each in tens of milliseconds


@dataclasses.dataclass(frozen=True, kw_only=True)
class StoredFile:
    """File of a store or a grid.

    Attributes:
      name: utterance, or pair, state and measure, for people.
      place: where it lies.
      layout: of its chunks.
      frames: number of frames of an utterance; None in a grid.
    """

    name: str
    place: Place
    layout: ChunkLayout
    frames: int | None = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class VerifySummary:
    """Result of a run; counts are of this process's share.

    Attributes:
      checked: files that were read.
      bytes: their size.
      damaged: fault by file that doesn't match its checksums.
      removed: damaged files that --repair removed.
      failed: reason by file that can't be read, so that nothing is known of it; never removed.
      labels: fault by group whose labels can't be read; removing a file doesn't help there.
      seconds: duration of the run.
      bytes_per_second: throughput.
      plan: files to read.
    """

    checked: int = 0
    bytes: int = 0
    damaged: Mapping[str, str] = dataclasses.field(default_factory=dict)
    removed: int = 0
    failed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    labels: Mapping[str, str] = dataclasses.field(default_factory=dict)
    seconds: float
    bytes_per_second: float = 0.0
    plan: Mapping[str, int | float]

    @property
    def complete(self) -> bool:
        """True if nothing damaged is left, and all was read."""
        return self.removed == len(self.damaged) and not self.labels and not self.failed

    def sentence(self, config: VerifyConfig) -> str:
        """Damaged files, and the next command."""
        where = config.store or config.grid
        job = "extract" if config.store else "grid"
        start = (
            f"checked {self.checked:,} {sentences.units_of('files', config.share, self.bytes)} in {where}: "
        )
        again = sentences.command("verify", **{"store" if config.store else "grid": where})
        unread = f"{len(self.failed):,} can't be read, named above"
        if not self.damaged and not self.labels:
            return start + (
                f"{unread}, the others are sound; next: {again}" if self.failed else "all are sound"
            )
        start += f"{unread}; " if self.failed else ""
        count = len(self.damaged)
        labels = (
            f", and the labels of {len(self.labels)}: remove these and make them anew" if self.labels else ""
        )
        if self.removed:
            return f"{start}{count:,} were damaged and are removed{labels}; next: run {job} again, as before"
        return f"{start}{count:,} are damaged, named above{labels}; next: {again} --repair"


def run(config: VerifyConfig) -> VerifySummary:
    """Summary of a run that reads all files of a store or a grid.

    Raises:
      Refusal: there is no store or grid.
      WriteError: a damaged file can't be removed.
      UnreachableError: labels can't be read, or a bucket doesn't answer, perhaps for a moment.
    """
    start = time.monotonic()
    labels: dict[str, str] = {}
    files = _of_store(config.store, labels) if config.store else _of_grid(config.grid, labels)
    for what, fault in labels.items():
        _LOG.error("%s: %s", what, fault)
    mine = config.share.of(files)
    plan = {"files": len(mine)}
    if config.dry_run:
        return VerifySummary(labels=labels, seconds=seconds_since(start), plan=plan)
    size, damaged, failed = _read(mine, repair=config.repair)
    seconds = time.monotonic() - start
    return VerifySummary(
        checked=len(mine) - len(failed),
        bytes=size,
        damaged=damaged,
        removed=len(damaged) if config.repair else 0,
        failed=failed,
        labels=labels,
        seconds=round(seconds, 3),
        bytes_per_second=round(size / seconds, 1),
        plan=plan,
    )


def _read(files: Sequence[StoredFile], *, repair: bool) -> tuple[int, dict[str, str], dict[str, str]]:
    """Size of the files, faults of those that are damaged, reasons of those that can't be read.

    A damaged one is removed if asked for. A bucket that doesn't answer ends the run: others would wait, too.
    """
    size, damaged, failed = 0, {}, {}
    progress = Progress("verify", len(files), "files", verb="checked")
    for file, future in computed_ahead(files, _examine, threads=_THREADS, ahead=2 * _THREADS):
        try:
            length, fault = future.result()
        except (Refusal, UnreachableError) as error:  # no permission, or the disk fails
            if not isinstance(file.place, pathlib.Path):
                raise
            _LOG.error("%s: %s", file.name, error)
            failed[file.name] = str(error)
            length, fault = 0, ""
        size += length
        if fault:
            _LOG.error("%s: %s (%s)", file.name, fault, file.place)
            damaged[file.name] = fault
            if repair:
                objects.remove(file.place)
        progress.advance()
    progress.close()
    return size, damaged, failed


def _examine(file: StoredFile) -> tuple[int, str]:
    """Size and fault of a file; one that has gone meanwhile has none."""
    content = objects.read(file.place)
    if content is None:
        return 0, ""
    return len(content), checksums.fault(content, file.layout, file.frames)


def _of_store(root: Place, labels: dict[str, str]) -> list[StoredFile]:
    """Files of all languages; adds to `labels` the languages whose labels can't be read."""
    stores = activation_store.stores(root)
    if not stores:
        raise Refusal(f"{root}: no language is extracted there; name another --store")
    files = []
    for language, store in stores.items():
        names, frames = _labels(store.group, ("utterance", "frames"), labels) or (None, None)
        for array in store.arrays:
            layout, what = checksums.layout(store.group, array), "" if array == "states" else f" {array}"
            for (row,) in sorted(store.group.chunks_present(array, 1)):
                known = names is not None and row < len(names)
                utterance = names[row] if known and names is not None else f"row {row}"
                files.append(
                    StoredFile(
                        name=f"{language} {utterance}{what}",
                        place=store.group.chunk(array, (row, 0, 0, 0)),
                        layout=layout,
                        frames=int(frames[row]) if known and frames is not None else None,
                    )
                )
    return files


def _of_grid(path: Place | None, labels: dict[str, str]) -> list[StoredFile]:
    """Files of all measures; adds the grid to `labels` if its labels can't be read."""
    assert path is not None, "checked by the configuration"
    group = grid_store.open_group(path)
    pairs, states = _labels(group, ("pair", "state"), labels) or (None, None)

    def name(of: np.ndarray | None, index: int) -> str:
        return f"number {index}" if of is None else str(of[index])

    files = []
    for measure in stored_measures(group.arrays):
        layout = checksums.layout(group, measure)
        several = group.arrays[measure]["shape"][-1] > layout.chunk[-1]  # files a unit, in a grid that grew
        files += [
            StoredFile(
                name=f"{name(pairs, pair)} state {name(states, state)} {measure}"
                + (f" file {query}.{candidate}" if several else ""),
                place=group.chunk(measure, (pair, state, query, candidate)),
                layout=layout,
            )
            for pair, state, query, candidate in sorted(group.chunks_present(measure, 4))
        ]
    return files


def _labels(group: Group, names: Sequence[str], faults: dict[str, str]) -> list[np.ndarray] | None:
    """Some labels of a group; None, and a fault, if its labels can't be read."""
    try:
        found = group.labels
    except (ValueError, RuntimeError, KeyError) as error:  # of the codecs, of zarr-python
        faults[str(group.path)] = f"labels can't be read ({error}); remove the group and make it anew"
        return None
    return [found[name] for name in names]
