"""Faults of a disk while something is written: those that only a person mends, and those that may pass."""

import errno
import re

from isogloss.engine.runtime.refusal import UnreachableError, WriteError

# A full disk stays full until somebody makes room, so tasks that are started again would only queue in vain.
_LASTING = {
    getattr(errno, name)
    for name in (
        "EACCES EPERM EROFS ENOSPC EDQUOT EFBIG ENAMETOOLONG EEXIST ENOTDIR EISDIR ENOTEMPTY ELOOP EINVAL "
        "EILSEQ EOPNOTSUPP"
    ).split()
}
_CODE = re.compile(r"os_error_code='(\d+)'")  # in the messages of TensorStore


def lasting(error: Exception) -> bool:
    """True if trying again can't help: no permission, read-only, full, or something else is in the way."""
    found = _CODE.search(str(error))
    number = error.errno if isinstance(error, OSError) else found and int(found[1])
    return number in _LASTING


def failure(
    what: str, error: Exception, kept: str = "earlier results are kept"
) -> WriteError | UnreachableError:
    """Exception for something that can't be written.

    Args:
      what: path, or what was to be written there; begins the message.
      error: of the system or of TensorStore.
      kept: what is still there.
    """
    reason = f"{what}: can't be written ({error}); {kept}."
    if lasting(error):
        return WriteError(f"{reason} Free or add space, check permissions, then run the same command again")
    return UnreachableError(
        f"{reason} The disk failed, perhaps for a moment: run the same command again; if it fails again, "
        "check the disk or its server"
    )
