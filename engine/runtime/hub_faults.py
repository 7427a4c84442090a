"""Requests to the Hugging Face hub that fail.

No answer, or one that breaks off, which may come whole later; a refusal; or a fault of the disk.
"""

import errno
from collections.abc import Iterator

from isogloss.engine.runtime import disk_faults
from isogloss.engine.runtime.refusal import Refusal, UnreachableError, WriteError

# Modules of the clients of the hub's versions; an SSLError's number isn't the system's, and 1 would be EPERM.
_CLIENTS = ("httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3", "ssl", "socket")
_BUSY = (408, 429)
_CUT = "Consistency check failed"  # how the hub's client begins an OSError about a file of a wrong size


def errors() -> tuple[type[Exception], ...]:
    """Exceptions of the hub's client."""
    import huggingface_hub  # noqa: PLC0415 (0.5 s; not needed for a folder)

    # The HTTP client's own come through too, and aren't OSErrors in every version.
    return (OSError, huggingface_hub.errors.HFValidationError, huggingface_hub.errors.HTTPError)


def failure(what: str, error: Exception, refused: str) -> Refusal | UnreachableError | WriteError:
    """Exception for a request that failed.

    Args:
      what: data set, model or file that was asked for; begins the message.
      error: of the hub's client, or of a library that uses it.
      refused: rest of the message if the hub answered, or wasn't asked.
    """
    if isinstance(error, WriteError):  # of a file that was fetched on the way
        return WriteError(str(error))
    if fault := _of_disk(error):
        return _disk_failure(what, fault)
    if not unanswered(error):
        return Refusal(f"{what}{refused}")
    silence = "breaks off" if _cut(error) else "doesn't answer"
    return UnreachableError(
        f"{what}: the Hugging Face hub {silence} ({reason(error)}). Check the network, then run the "
        "same command again. Without a network, set HF_HUB_OFFLINE=1, and HF_HOME to a cache that "
        "`python -m isogloss.jobs.fetch` has filled, or give a folder"
    )


def reason(error: Exception) -> str:
    """First line of an error's message."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def unanswered(error: Exception) -> bool:
    """True if the hub was asked and didn't answer in full, or was too busy: what it has isn't known."""
    from huggingface_hub import constants  # noqa: PLC0415 (as above)

    if constants.HF_HUB_OFFLINE:
        return False
    if _cut(error):
        return True
    chain = list(_chain(error))
    for each in chain:
        if (status := _status(each)) is not None:
            return status >= 500 or status in _BUSY
    return any(_silent(each) for each in chain)


def _cut(error: BaseException) -> bool:
    return any(isinstance(each, OSError) and str(each).startswith(_CUT) for each in _chain(error))


def _of_disk(error: Exception) -> OSError | None:
    """Fault of the disk that is the last to have happened; None if something of the network is later."""
    for each in _chain(error):
        if _status(each) is not None or _silent(each):
            return None
        # A missing file isn't a fault of a disk: its name is wrong.
        if isinstance(each, OSError) and each.errno not in (None, errno.ENOENT):
            return each
    return None


def _disk_failure(what: str, fault: OSError) -> WriteError | UnreachableError:
    if disk_faults.lasting(fault):
        return WriteError(
            f"{what}: the disk refuses it ({reason(fault)}). Free or add space, check permissions, or set "
            "HF_HOME to another folder, then run the same command again"
        )
    return UnreachableError(
        f"{what}: the disk failed, perhaps for a moment ({reason(fault)}): run the same command again; if it "
        "fails again, check the disk or its server, or set HF_HOME to another folder"
    )


def _status(error: BaseException) -> int | None:
    """Status of the hub's answer; None if the error isn't about one."""
    return getattr(getattr(error, "response", None), "status_code", None)


def _silent(error: BaseException) -> bool:
    import huggingface_hub  # noqa: PLC0415 (as above)

    silent = (huggingface_hub.errors.LocalEntryNotFoundError, ConnectionError, TimeoutError)
    return isinstance(error, silent) or type(error).__module__.partition(".")[0] in _CLIENTS


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that caused it, the last one first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
