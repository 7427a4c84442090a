"""Room for results on a disk, checked before any computation and in a dry run."""

import os
import shutil

from isogloss.engine.runtime import amounts
from isogloss.engine.runtime.place import BucketPath, Place
from isogloss.engine.runtime.refusal import Refusal


def require(path: Place, needed: int, what: str, remedy: str) -> None:
    """Refuse a place that can't be written to, or that is too small.

    Args:
      path: of the results, which may not exist yet; a bucket has no end.
      needed: bytes that will be written.
      what: name of what takes them, for the message.
      remedy: beside freeing space.
    """
    if isinstance(path, BucketPath):
        return
    if path.exists() and not path.is_dir():
        raise Refusal(f"{path}: must be a folder or nothing yet, and is neither. Remedy: {remedy}")
    # What is not made yet will lie on the disk of its nearest folder that is.
    existing = next(place for place in (path, *path.absolute().parents) if place.exists())
    if not os.access(existing, os.W_OK | os.X_OK):
        raise Refusal(f"{path}: {existing} can't be written to; check its permissions, or {remedy}")
    free = shutil.disk_usage(existing).free
    if needed > free:
        raise Refusal(
            f"{path}: {what} need {amounts.size(needed)}, but {amounts.size(free)} are free. "
            f"Free space, or {remedy}"
        )
