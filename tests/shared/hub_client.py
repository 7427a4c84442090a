"""The hub's client in the process of the tests."""

import contextlib

import pytest
from huggingface_hub import constants
from huggingface_hub.utils import _http


def forget_sessions():
    """Sessions of clients before 1.0 know for good whether they are offline."""
    if hasattr(_http, "reset_sessions"):
        _http.reset_sessions()


@contextlib.contextmanager
def offline():
    """Block in which the client asks no hub."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(constants, "HF_HUB_OFFLINE", True)
        forget_sessions()
        yield
    forget_sessions()
