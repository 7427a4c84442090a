"""Checkpoints of a run by Orbax: the newest complete one is where a killed run goes on.

Orbax writes a folder under another name and renames it, and each is awaited, so at any moment there is a
whole one or none. The two newest are kept, each three times the trained parameters in float32.
"""

import pathlib

import orbax.checkpoint as ocp

from isogloss.engine.runtime.devices import Tree

KEPT = 2


def saved(folder: pathlib.Path) -> list[int]:
    """Steps done of the checkpoints in a folder, in order; nothing is made, and none are there without it."""
    # By the names that whole ones have, because a manager of Orbax tidies up, and a dry run may not.
    return sorted(int(path.name) for path in folder.glob("*") if path.name.isdecimal())


class Checkpoints:
    """Checkpoints of one run, by the number of steps done."""

    def __init__(self, folder: pathlib.Path, every: int) -> None:
        """Make the folder, unless it exists; a checkpoint is due after each `every` steps."""
        self._every = every
        options = ocp.CheckpointManagerOptions(
            max_to_keep=KEPT, create=True, enable_async_checkpointing=False, cleanup_tmp_directories=True
        )
        self._manager = ocp.CheckpointManager(folder.resolve(), options=options)

    def restored(self, like: Tree) -> tuple[int, Tree] | None:
        """Steps done and state of the newest checkpoint, a tree like that given; None without one."""
        newest = self._manager.latest_step()
        if newest is None:
            return None
        return newest, self._manager.restore(newest, args=ocp.args.StandardRestore(like))

    def due(self, step: int, last: int) -> bool:
        """True if a checkpoint is to be written after so many steps of a run of `last`."""
        return step % self._every == 0 or step == last

    def save(self, step: int, state: Tree) -> None:
        """Write a checkpoint; older ones than the KEPT newest are removed."""
        self._manager.save(step, args=ocp.args.StandardSave(state))
        self._manager.wait_until_finished()

    def close(self) -> None:
        """Let go of the folder."""
        self._manager.close()
