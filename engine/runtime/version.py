"""Version of the installed package; its one source is pyproject.toml. Its commit, if known, and the day."""

import datetime
import functools
import json
import os
import pathlib
import shutil
import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import importlib.metadata

_TOP = pathlib.Path(__file__).resolve().parents[2]


def today() -> str:
    """Day by UTC, as 2026-01-31; that of SOURCE_DATE_EPOCH (reproducible-builds.org) if it is set."""
    given = os.environ.get("SOURCE_DATE_EPOCH")
    now = datetime.datetime.fromtimestamp(int(given) if given else time.time(), datetime.UTC)
    return f"{now:%Y-%m-%d}"


def isogloss_version() -> str:
    """Version as pip, `--version` and the attributes of stores show it.

    "not installed" where the code is a folder on the path alone, as `bench` may be run.
    """
    found = _installed()
    return found.version if found else "not installed"


def _installed() -> "importlib.metadata.Distribution | None":
    import importlib.metadata  # noqa: PLC0415 (--help loads this module)

    try:
        return importlib.metadata.distribution("isogloss")
    except importlib.metadata.PackageNotFoundError:
        return None


@functools.cache
def isogloss_commit() -> str:
    """Commit of the code that runs, "" if unknown: as pip recorded it, else of the working tree it lies in.

    A tree with changes that aren't committed gets a plus sign.
    """
    found = _installed()
    recorded = found.read_text("direct_url.json") if found else None
    vcs = json.loads(recorded or "{}").get("vcs_info", {})
    if vcs.get("commit_id"):
        return str(vcs["commit_id"])[:12]
    git = shutil.which("git")
    if git is None or not (_TOP / ".git").exists():
        return ""
    asked = ["describe", "--always", "--abbrev=12", "--dirty=+", "--exclude=*"]
    described = subprocess.run([git, "-C", _TOP, *asked], capture_output=True, text=True, check=False)
    return described.stdout.strip() if described.returncode == 0 else ""
