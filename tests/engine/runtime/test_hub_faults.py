"""engine.runtime.hub_faults: a hub that doesn't answer, and one that says no, by the client's real errors."""

import errno
import http.server
import ssl
import threading

import huggingface_hub
import pytest

from isogloss.engine.runtime import hub_faults
from isogloss.engine.runtime.refusal import Refusal, UnreachableError, WriteError


class Answering(http.server.BaseHTTPRequestHandler):
    status = 200

    def do_GET(self):
        self.send_response(self.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):
        pass


@pytest.fixture
def hub():
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answering)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def asked(hub):
    """What a job says if this is the hub."""
    api = huggingface_hub.HfApi(endpoint=hub)
    try:
        api.model_info("o/model")
    except hub_faults.errors() as error:
        return hub_faults.failure("o/model", error, ": is refused")
    raise AssertionError


@pytest.mark.parametrize(
    ("status", "kind"), [(404, Refusal), (401, Refusal), (429, UnreachableError), (503, UnreachableError)]
)
def test_by_the_answer(hub, monkeypatch, status, kind):
    monkeypatch.setattr(Answering, "status", status)
    assert type(asked(hub)) is kind


def test_without_an_answer():
    found = asked("http://127.0.0.1:9")
    assert isinstance(found, UnreachableError)
    assert "o/model: the Hugging Face hub doesn't answer" in str(found)
    assert "HF_HUB_OFFLINE=1" in str(found)


def test_the_cause_counts_that_a_library_hides():
    error = ValueError("no such model")
    error.__context__ = huggingface_hub.errors.LocalEntryNotFoundError("no connection")
    assert hub_faults.unanswered(error)


def test_offline_it_was_not_asked(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    error = huggingface_hub.errors.LocalEntryNotFoundError("not in the cache")
    assert isinstance(hub_faults.failure("o/model", error, ": isn't here"), Refusal)


def failed(error, context=None):
    error.__context__ = context
    return hub_faults.failure("o/model: a.bin", error, " can't be fetched. Run again")


def test_a_download_that_is_cut_off_may_go_on():
    found = failed(
        OSError("Consistency check failed: file should be of size 9 but has size 4 (a.bin).\nRetry")
    )
    assert isinstance(found, UnreachableError)
    assert "a.bin: the Hugging Face hub breaks off (Consistency check failed: " in str(found)


@pytest.mark.parametrize("offline", [False, True])
@pytest.mark.parametrize("number", [errno.EIO, errno.ESTALE])
def test_a_disk_that_fails_for_a_moment(monkeypatch, number, offline):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", offline)
    found = failed(OSError(number, "no"))
    assert isinstance(found, UnreachableError)
    assert "the disk failed, perhaps for a moment" in str(found)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EACCES])
def test_a_full_disk_is_no_matter_of_the_network(number):
    found = failed(OSError(number, "no"), context=ConnectionError("reset"))
    assert isinstance(found, WriteError)
    assert "Free or add space, check permissions" in str(found)
    assert str(failed(found)) == str(found)  # once told, also by a caller's caller


def test_the_last_error_counts_and_numbers_only_of_the_system():
    assert isinstance(failed(ConnectionError("reset"), context=OSError(errno.ENOSPC, "no")), UnreachableError)
    assert isinstance(failed(ssl.SSLError(1, "bad record")), UnreachableError)  # 1 is EPERM of the system
    assert isinstance(failed(FileNotFoundError(errno.ENOENT, "no such folder")), Refusal)
    assert isinstance(failed(OSError("no tokenizer")), Refusal)
