"""Speed of all shards together, from the times of the files they have written.

Of many files a sample is asked for its times, because a network file system takes long for each; buckets
don't tell them.
"""

import dataclasses
import random
import time
from collections.abc import Callable

from isogloss.engine.runtime import objects
from isogloss.engine.runtime.place import Place

_SAMPLE = 2000  # files asked for their times
_RECENT = 3600.0  # seconds before the newest file that count for the rate
_IDLE = 120.0  # seconds without a file after which nothing seems to run; or ten times the usual gap


@dataclasses.dataclass(frozen=True, kw_only=True)
class Pace:
    """Speed of a run.

    Attributes:
      per_hour: units in an hour; None if unknown.
      seconds_left: until the end at this rate; None if unknown, or if nothing runs.
      idle_seconds: since the newest file; None if unknown.
    """

    per_hour: float | None = None
    seconds_left: float | None = None
    idle_seconds: float | None = None


def pace(count: int, place: Callable[[int], Place], left: int, now: float | None = None) -> Pace:
    """Speed of the processes that wrote some files.

    Args:
      count: number of files, one a unit.
      place: function of an index that returns the file's place.
      left: units that are still to be done.
      now: seconds since 1970, by default this moment.
    """
    sample = range(count) if count <= _SAMPLE else random.Random(0).sample(range(count), _SAMPLE)
    times = sorted(found for found in objects.times([place(i) for i in sample]) if found is not None)
    if not times:
        return Pace()
    idle = max(0.0, (time.time() if now is None else now) - times[-1])
    recent = [moment for moment in times if moment >= times[-1] - _RECENT]
    if len(recent) < 2 or recent[-1] == recent[0]:
        return Pace(idle_seconds=round(idle, 1))
    rate = (len(recent) - 1) / (recent[-1] - recent[0]) * (count / len(sample))
    running = idle < max(_IDLE, 10 / rate)
    return Pace(
        per_hour=round(3600 * rate, 1),
        seconds_left=round(left / rate, 1) if left and running else None,
        idle_seconds=round(idle, 1),
    )
