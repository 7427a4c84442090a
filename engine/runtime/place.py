"""Places of stores and grids: a folder, or a path in a bucket (s3://bucket/path, gs://bucket/path).

Both are joined by "/" and have a name; `objects` lists, reads and writes what they hold. Imports nothing
heavy, because `--help` loads this module.
"""

import dataclasses
import pathlib
import posixpath

SCHEMES = ("s3", "gs")


@dataclasses.dataclass(frozen=True, order=True)
class BucketPath:
    """Path in a bucket: the key of an object, or the beginning of the keys of several.

    Attributes:
      url: scheme, bucket and key, without a slash at the end.
    """

    url: str

    @property
    def scheme(self) -> str:
        """One of SCHEMES."""
        return self.url.split("://", 1)[0]

    @property
    def bucket(self) -> str:
        """Name of the bucket."""
        return self.url.split("/", 3)[2]

    @property
    def key(self) -> str:
        """Path inside the bucket."""
        return self.url.split("/", 3)[3]

    @property
    def name(self) -> str:
        """Last part of the key."""
        return posixpath.basename(self.url)

    @property
    def stem(self) -> str:
        """Last part of the key, without its suffix."""
        return posixpath.splitext(self.name)[0]

    @property
    def parent(self) -> "BucketPath":
        """Path that holds this one."""
        return BucketPath(posixpath.dirname(self.url))

    def __truediv__(self, below: str) -> "BucketPath":
        """Path below this one."""
        return BucketPath(f"{self.url}/{below}")

    def __str__(self) -> str:
        """The URL, for messages."""
        return self.url


Place = pathlib.Path | BucketPath


def parse(text: str) -> BucketPath | None:
    """Path in a bucket that a URL names; None for anything else.

    Raises:
      ValueError: the URL names no path in a bucket; the message is the rule.
    """
    scheme, separator, rest = text.partition("://")
    if not separator or scheme not in SCHEMES:
        return None
    parts = rest.rstrip("/").split("/")
    # A key isn't a path: a bucket would store ".." and an empty part as names, which no folder can copy.
    if len(parts) < 2 or not all(parts) or {".", ".."} & set(parts):
        raise ValueError(f"names a path in a bucket, {scheme}://bucket/path")
    return BucketPath(f"{scheme}://{'/'.join(parts)}")
