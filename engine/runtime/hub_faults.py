"""Requests to the Hugging Face hub that fail: no answer, which may come later, or one that says no."""

from collections.abc import Iterator

from isogloss.engine.runtime.refusal import Refusal, UnreachableError

_CLIENTS = ("httpx", "httpx2", "httpcore", "httpcore2", "requests", "urllib3")  # of the hub's versions
_BUSY = (408, 429)


def errors() -> tuple[type[Exception], ...]:
    """Exceptions of the hub's client."""
    import huggingface_hub  # noqa: PLC0415 (0.5 s; not needed for a folder)

    # The HTTP client's own come through too, and are no OSErrors in every version.
    return (OSError, huggingface_hub.errors.HFValidationError, huggingface_hub.errors.HTTPError)


def failure(what: str, error: Exception, refused: str) -> Refusal | UnreachableError:
    """Exception for a request that failed.

    Args:
      what: data set, model or file that was asked for; begins the message.
      error: of the hub's client, or of a library that uses it.
      refused: rest of the message if the hub answered, or wasn't asked.
    """
    if not unanswered(error):
        return Refusal(f"{what}{refused}")
    return UnreachableError(
        f"{what}: the Hugging Face hub doesn't answer ({reason(error)}). Check the network, then run the "
        "same command again. Without a network, set HF_HUB_OFFLINE=1, and HF_HOME to a cache that "
        "`python -m isogloss.jobs.fetch` has filled, or give a folder"
    )


def reason(error: Exception) -> str:
    """First line of an error's message."""
    return (str(error).strip() or type(error).__name__).splitlines()[0]


def unanswered(error: Exception) -> bool:
    """True if the hub was asked and didn't answer, or was too busy: nothing is known of what it has."""
    import huggingface_hub  # noqa: PLC0415 (as above)

    if huggingface_hub.constants.HF_HUB_OFFLINE:
        return False
    chain = list(_chain(error))
    for each in chain:
        status = getattr(getattr(each, "response", None), "status_code", None)
        if status is not None:
            return status >= 500 or status in _BUSY
    silent = (huggingface_hub.errors.LocalEntryNotFoundError, ConnectionError, TimeoutError)
    return any(isinstance(each, silent) or _of_client(each) for each in chain)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """An error and those that caused it, the last one first."""
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _of_client(error: BaseException) -> bool:
    return type(error).__module__.partition(".")[0] in _CLIENTS
