"""Modules of librosa, imported when a job needs them: that takes a second.

Numba keeps librosa's compiled functions where librosa is installed, or in the user's cache folder. Where it
may write in neither, as in a container without a home, the import would fail; so a temporary folder serves.
"""

import importlib
import types

from isogloss.engine.runtime import temporary

_kept: list[temporary.Folder] = []  # to the end of the process


def load(name: str) -> types.ModuleType:
    """Module of librosa by its whole name, as in "librosa.filters"."""
    try:
        return importlib.import_module(name)
    except RuntimeError as error:
        if "cannot cache" not in str(error) or _kept:
            raise
    from numba.core import config  # noqa: PLC0415 takes long to import

    _kept.append(temporary.Folder("isogloss-librosa-"))
    config.CACHE_DIR = _kept[0].name  # pyright: ignore[reportAttributeAccessIssue]
    return importlib.import_module(name)
