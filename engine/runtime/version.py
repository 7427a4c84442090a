"""Version of the installed package; pyproject.toml is its one source."""

import importlib.metadata


def isogloss_version() -> str:
    """Version that pip knows, as `--version` prints it and stores and tables carry it."""
    return importlib.metadata.version("isogloss")
