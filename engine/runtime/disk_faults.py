"""Faults of a disk: those that only a person can repair, and those that may pass.

While something is written, a fault ends the run. One while an input is read is a reason why its unit fails,
like damage of the input: the run goes on, and then ends so that launch tries again.
"""

import errno
import re

from isogloss.engine.runtime.refusal import Refusal, UnreachableError, WriteError

# A full disk stays full until somebody makes room, so tasks that are started again would only queue in vain.
_LASTING = {
    getattr(errno, name)
    for name in (
        "EACCES EPERM EROFS ENOSPC EDQUOT EFBIG ENAMETOOLONG EEXIST ENOTDIR EISDIR ENOTEMPTY ELOOP EINVAL "
        "EILSEQ EOPNOTSUPP"
    ).split()
}
AGAIN = "the disk failed, perhaps for a moment: run the same command again first"
_CODE = re.compile(r"os_error_code='(\d+)'")  # in the messages of TensorStore


def lasting(error: Exception) -> bool:
    """True if trying again can't help: no permission, read-only, full, or something else is in the way."""
    return _number(error) in _LASTING


def passing(error: Exception) -> bool:
    """True if a read that failed may succeed later; False of what was read and is damaged."""
    return (number := _number(error)) is not None and number not in {*_LASTING, errno.ENOENT}


def unread(what: str, error: Exception, remedy: str) -> Refusal | UnreachableError:
    """Exception for an input that can't be read and without which nothing begins.

    Args:
      what: path, or the rule that it breaks; begins the message.
      error: of the system or of a library.
      remedy: end of the message, unless the disk fails.
    """
    reason = error.strerror if isinstance(error, OSError) and error.strerror else error
    if passing(error):
        return UnreachableError(f"{what} ({reason}); {AGAIN}")
    return Refusal(f"{what} ({reason}){remedy}")


def may_pass(reason: str) -> bool:
    """True if a unit failed for a reason that AGAIN is part of."""
    return AGAIN in reason


def with_remedy(error: Exception, remedy: str) -> str:
    """Reason of a failure and the remedy of damage, left away if AGAIN is part of the reason."""
    return str(error) if may_pass(str(error)) else f"{error}{remedy}"


def _number(error: Exception) -> int | None:
    """Number of a system's error, also of one that TensorStore passes on; None if it has none."""
    found = _CODE.search(str(error))
    return error.errno if isinstance(error, OSError) else found and int(found[1])


def failure(
    what: str, error: Exception, kept: str = "earlier results are kept", *, done: str = "written"
) -> WriteError | UnreachableError:
    """Exception for something that can't be written or removed.

    Args:
      what: path, or what was to be written there; begins the message.
      error: of the system or of TensorStore.
      kept: what is still there.
      done: what was to be done with it, as a participle.
    """
    reason = f"{what}: can't be {done} ({error}); {kept}."
    if lasting(error):
        return WriteError(f"{reason} Free or add space, check permissions, then run the same command again")
    return UnreachableError(
        f"{reason} The disk failed, perhaps for a moment: run the same command again; if it fails again, "
        "check the disk or its server"
    )
