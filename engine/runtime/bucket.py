"""Buckets: TensorStore's key-value stores of Amazon S3, of servers that speak its protocol, and of Google.

Addresses come from the environment variables that AWS's own tools read; credentials are found by TensorStore.
The first use of a bucket is a request with few retries, so that a wrong name or missing rights are refused
within seconds. Later requests are repeated for a quarter of an hour. A bucket that doesn't answer may do so
later (UnreachableError); one that says no is a Refusal, or a WriteError in the midst of a run.
"""

import functools
import os

import tensorstore as ts

from isogloss.engine.runtime.place import BucketPath
from isogloss.engine.runtime.refusal import Refusal, UnreachableError, WriteError

RETRIES = 32
_PATIENT = {"initial_delay": "100ms", "max_delay": "32s", "max_retries": RETRIES}
_QUICK = {"initial_delay": "100ms", "max_delay": "1s", "max_retries": 6}  # four seconds
_PATIENCE = 20.0  # seconds, for an address that doesn't answer at all
# A run opens many small handles; with a cache, everything read would stay in memory until the end.
CONTEXT = ts.Context(
    {
        "cache_pool": {"total_bytes_limit": 0},
        "s3_request_retries": _PATIENT,
        "gcs_request_retries": _PATIENT,
    }
)
_SILENT = ("ABORTED", "UNAVAILABLE", "DEADLINE_EXCEEDED", "CURL")
_NO_BUCKET = ("NoSuchBucket", "NOT_FOUND")
_NO_RIGHTS = ("PERMISSION_DENIED", "UNAUTHENTICATED", "redential")
_NO_REQUEST = ("INVALID_ARGUMENT",)  # the server can't make sense of it: a name or a region that can't be


def spec(place: BucketPath) -> dict[str, object]:
    """TensorStore's description of the objects below a place, in a bucket that was seen to answer."""
    open_bucket(place)
    return _spec(place.scheme, place.bucket) | {"path": f"{place.key}/"}


def open_bucket(place: BucketPath) -> ts.KvStore:
    """All objects of the bucket that holds a place.

    Raises:
      Refusal: the bucket doesn't exist, or may not be listed.
      UnreachableError: it doesn't answer.
    """
    return _opened(place.scheme, place.bucket, _endpoint())


@functools.cache
def _opened(scheme: str, name: str, endpoint: str) -> ts.KvStore:
    quick = ts.Context({"s3_request_retries": _QUICK, "gcs_request_retries": _QUICK})
    try:
        # Only a listing tells an absent bucket from an absent object; of these keys there is none.
        nothing = ts.KvStore.KeyRange("\x01", "\x01\x01")
        ts.KvStore.open(_spec(scheme, name), context=quick).result().list(nothing).result(timeout=_PATIENCE)
        return ts.KvStore.open(_spec(scheme, name), context=CONTEXT).result()
    except (ValueError, OSError, RuntimeError) as error:
        answered = _says(error, *_NO_BUCKET, *_NO_RIGHTS, *_NO_REQUEST)
        raise (Refusal if answered else UnreachableError)(
            f"{scheme}://{name}: {_remedy(scheme, endpoint, error)} ({brief(error)})"
        ) from error


def _spec(scheme: str, name: str) -> dict[str, object]:
    if scheme == "gs":
        return {"driver": "gcs", "bucket": name}
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    found = {"driver": "s3", "bucket": name, "endpoint": _endpoint(), "aws_region": region}
    if "AWS_ACCESS_KEY_ID" in os.environ:  # the default chain would first log each file that it doesn't find
        found["aws_credentials"] = {"type": "environment"}
    return {key: value for key, value in found.items() if value}


def _endpoint() -> str:
    """Address of the S3 server, which TensorStore doesn't read itself; "" for AWS."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""


def _remedy(scheme: str, endpoint: str, error: Exception) -> str:
    """Finding of a first request, and what to do."""
    s3 = scheme == "s3"
    where = (endpoint or "AWS") if s3 else os.environ.get("TENSORSTORE_GCS_HTTP_URL", "Google Cloud Storage")
    variables = "AWS_ENDPOINT_URL and AWS_REGION" if s3 else "TENSORSTORE_GCS_HTTP_URL"
    if _says(error, *_NO_BUCKET):
        return f"{where} has no such bucket. Make it, or check its name, {variables}"
    if _says(error, *_NO_RIGHTS):
        given = "AWS_ACCESS_KEY_ID" if "AWS_ACCESS_KEY_ID" in os.environ else "AWS_PROFILE, ~/.aws, the role"
        if s3:
            return (
                f"{where} refuses to list it with credentials from {given}. Set AWS_ACCESS_KEY_ID and "
                "AWS_SECRET_ACCESS_KEY, or AWS_PROFILE, of a user who may list, read and write it"
            )
        return (
            f"{where} refuses to list it. Set GOOGLE_APPLICATION_CREDENTIALS, or run gcloud auth "
            "application-default login, for a user who may list, read and write it"
        )
    return f"{where} can't be reached. Check the network, {variables}"


def brief(error: Exception) -> str:
    """TensorStore's message without the headers of the answer."""
    return str(error).split(" [")[0][:300] or "no answer"


def unreachable(error: Exception) -> bool:
    """True if an error says nothing about what is stored: the bucket didn't answer, or refused to."""
    return _says(error, *_SILENT) or forbidden(error)


def forbidden(error: Exception) -> bool:
    """True if the bucket refused for lack of rights, which trying again doesn't change."""
    return _says(error, *_NO_RIGHTS)


def _says(error: Exception, *words: str) -> bool:
    return any(word in str(error) for word in words)


def failure(what: str, error: Exception) -> WriteError | UnreachableError:
    """Exception for a request that failed; its message begins with `what`."""
    if forbidden(error):
        return WriteError(
            f"{what}: the bucket refuses ({brief(error)}). What is written is kept. Remedy: get the right to "
            "list, read and write it, then run the same command again"
        )
    if unreachable(error):
        return UnreachableError(
            f"{what}: the bucket doesn't answer ({brief(error)}). What is written is kept. "
            "Remedy: check the network, then run the same command again"
        )
    return WriteError(
        f"{what}: can't be written ({brief(error)}). Earlier results are kept. "
        "Remedy: check the bucket's rules and quota, then run the same command again"
    )
