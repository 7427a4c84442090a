"""Failures of a grid's units, noted in GRID.zarr/failed/PAIR.STATE.json by the indices of the unit's chunks.

A damaged shard of a store is the usual reason. A note is removed by the run that computes its unit. Units for
which a failing disk gave no states have none: they are left to do.
"""

from collections.abc import Iterable

from isogloss.engine.grid.grid_axes import pair_name
from isogloss.engine.grid.grid_store import Grid
from isogloss.engine.runtime import disk_faults
from isogloss.engine.runtime.failure_notes import FailureNotes, Index


class GridFailures:
    """Notes on the units of an open grid, which one process writes and removes."""

    def __init__(self, grid: Grid, done: Iterable[Index]) -> None:
        """Read which units have a note, and remove those of units that are done.

        Args:
          grid: with pairs of all kinds.
          done: indices (pair, state) of units that are computed, see Grid.done.
        """
        self._grid, self._notes = grid, FailureNotes(group=grid.path)
        # A process that was killed may have computed a unit and left its note.
        for unit in done if self._notes.noted else ():
            self.forget(unit)

    def note(self, unit: Index, error: str) -> str:
        """Name of a unit that can't be computed; the reason is stored unless it may pass by itself.

        A disk that fails for a moment would otherwise leave a file for each of many thousand units.
        """
        pair, state = unit
        name = f"{pair_name(self._grid.pairs[pair])} state {self._grid.states[state]}"
        if not disk_faults.may_pass(error):
            self._notes.write(self._place(unit), unit=name, error=error)
        return name

    def forget(self, unit: Index) -> None:
        """Remove the note on a unit that is computed now."""
        self._notes.remove(self._place(unit))

    def _place(self, unit: Index) -> Index:
        pair, state = unit
        return self._grid.axes.pair_rows[pair], state
