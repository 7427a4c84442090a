"""Last sentences of jobs: what is stored now, and the next command."""

import shlex
from collections.abc import Mapping

from isogloss.engine.runtime import amounts
from isogloss.engine.runtime.shards import Share


def planned(plan: Mapping[str, int | float]) -> str:
    """Sentence on a plan: its first figure, which counts the work, then its size and its time."""
    (what, count), *_ = plan.items()
    more = [amounts.figure(name, plan[name]) for name in ("bytes", "estimated_seconds") if name in plan]
    return f"to do: {count:,} {what}{': ' if more else ''}{', '.join(more)}; a dry run does nothing of it"


def command(job: str, **options: object) -> str:
    """Command line of a job, ready to paste."""
    flags = (shlex.quote(f"--{name}={value}") for name, value in options.items())
    return " ".join([f"python -m isogloss.jobs.{job}", *flags])


def stored(
    done: int, skipped: int, failed: int, unit: str, where: object, share: Share, size: int | None = None
) -> str:
    """Start of a last sentence: how much of a share is stored, and whether this run did it.

    Args:
      done: stored by this run.
      skipped: stored by earlier runs.
      failed: that can't be stored.
      unit: name of the units.
      where: store, grid or folder.
      share: share of this process.
      size: bytes of all that is stored.
    """
    total = done + skipped + failed
    of = units_of(unit, share, size)
    if total == skipped:
        return f"nothing was left to do: all {total:,} {of} are in {where}"
    trouble = f", {failed:,} failed and {'is' if failed == 1 else 'are'} named above" if failed else ""
    return f"stored {done + skipped:,} of {total:,} {of} in {where}{trouble}"


def units_of(unit: str, share: Share, size: int | None = None) -> str:
    """Units, the shard that has them if there are several, and their size: "files of shard 0 of 4 (2 MB)"."""
    of = f" of shard {share.index} of {share.count}" if share.count > 1 else ""
    return unit + of + (f" ({amounts.size(size)})" if size else "")


def following(share: Share, command: str) -> str:
    """End of a last sentence: the next command."""
    return f"; {'once all shards have ended' if share.count > 1 else 'next'}: {command}"
