"""Version of the installed package; its one source is pyproject.toml."""

import importlib.metadata


def isogloss_version() -> str:
    """Version as pip, `--version` and the attributes of stores show it."""
    return importlib.metadata.version("isogloss")
