"""Programs that this process compiles: their number, and the folder that caches them for later processes.

A cold process spends seconds compiling XLA's programs and Numba's functions; a later process reads them from
the folder. Numba's functions are the slower part and few, and are kept without being asked, in the user's
cache folder. Numba checks only the file that defines a function, not the functions it calls, so the name of
Numba's subfolder is a hash of all sources of `kernels`. Safe for several processes at once; nothing is ever
removed.
"""

import functools
import hashlib
import importlib
import logging
import os
import pathlib
import pkgutil
import tempfile
from collections.abc import Callable

import jax

_COMPILED = "/jax/core/compile/backend_compile_duration"  # also reported for a hit of XLA's cache
_FOUND = "/jax/compilation_cache/cache_hits"
_TRIAL = 4_000_000  # bytes; more than the functions of a machine take
_LOG = logging.getLogger(__name__)


class Programs:
    """Numbers of XLA programs and Numba functions since this counter was made.

    Attributes:
      wanted: XLA programs needed, compiled or found.
      found: XLA programs found in the cache folder.
      functions: Numba functions compiled.
      keeps_functions: whether a folder keeps Numba's functions.
    """

    def __init__(self) -> None:
        """Register listeners; the libraries can't remove them, so make only one counter."""
        self.wanted = self.found = self.functions = 0
        self._counts_numba = False
        self.keeps_functions = False
        jax.monitoring.register_event_duration_secs_listener(self._on_duration)
        jax.monitoring.register_event_listener(self._on_event)

    def counts(self) -> dict[str, int]:
        """Number of programs compiled in this process, and number found in the cache."""
        return {"compiled": self.wanted - self.found + self.functions, "found": self.found}

    def count_numba(self) -> None:
        """Also count Numba's functions; imports Numba."""
        if self._counts_numba:
            return
        from numba.core import event  # noqa: PLC0415 Numba takes long to import

        counter = self  # inside of the listener `self` is the listener

        class OnNumba(event.Listener):
            def on_start(self, event: event.Event) -> None:
                pass

            def on_end(self, event: event.Event) -> None:
                counter.functions += 1

        event.register("numba:compile", OnNumba())
        self._counts_numba = True

    def _on_duration(self, event: str, duration_secs: float, **kwargs: str | int) -> None:
        self.wanted += event == _COMPILED

    def _on_event(self, event: str, **kwargs: str | int) -> None:
        self.found += event == _FOUND


@functools.cache
def programs() -> Programs:
    """Counter shared by the whole process."""
    return Programs()


def keep(folder: pathlib.Path | None, implementation: str = "") -> Callable[[], dict[str, int]]:
    """Function that counts programs from now on; a folder caches them for later processes.

    Args:
      folder: made if it doesn't exist; None keeps Numba's functions alone, in the user's cache folder.
      implementation: of the frame kernels, if the process runs them; only numba's import Numba.
    """
    counter = programs()
    if implementation.startswith("numba"):
        counter.count_numba()
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        jax.config.update("jax_compilation_cache_dir", str(folder.resolve() / "xla"))
        # By default XLA caches only programs that compile for a second or more; ours are many and small.
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
        jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    if implementation.startswith("numba") and (folder is not None or not counter.keeps_functions):
        counter.keeps_functions = True
        _keep_functions(folder.resolve() if folder is not None else users_folder())
    before = counter.counts()  # the counter is the process's, the result only of what follows
    return lambda: {what: count - before[what] for what, count in counter.counts().items()}


def users_folder() -> pathlib.Path | None:
    """The user's cache folder for programs, made now; None, and a warning, where it can't be written.

    Source: XDG Base Directory Specification 0.8: XDG_CACHE_HOME, by default ~/.cache.
    """
    root = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    folder = pathlib.Path(root) / "isogloss"
    try:
        if not folder.is_absolute():
            raise FileNotFoundError(f"{root} isn't an absolute path")
        folder.mkdir(parents=True, exist_ok=True)
        # Permissions say nothing of a full quota, and Numba doesn't survive one while it writes.
        with tempfile.TemporaryFile(dir=folder) as trial:
            trial.write(bytes(_TRIAL))
    except OSError as error:
        _LOG.warning("kernels are compiled anew in every process: %s. XDG_CACHE_HOME names a folder", error)
        return None
    return folder


def _keep_functions(folder: pathlib.Path | None) -> None:
    """Cache Numba's functions of the kernels; must be called before the first of them is compiled."""
    if folder is None:
        return
    from numba.core import config  # noqa: PLC0415 takes long to import
    from numba.core.dispatcher import Dispatcher  # noqa: PLC0415

    from isogloss.engine.runtime.function_cache import FunctionCache  # noqa: PLC0415
    from isogloss.kernels import cpu  # noqa: PLC0415

    names = sorted(module.name for module in pkgutil.iter_modules(cpu.__path__, f"{cpu.__name__}."))
    modules = [importlib.import_module(name) for name in names]
    # Set only while the kernels look for their place: otherwise librosa, imported later, would compile its
    # functions in every new folder, some 14 s, instead of once where it is installed.
    default = config.CACHE_DIR  # pyright: ignore[reportAttributeAccessIssue]
    config.CACHE_DIR = str(folder / functions_folder())  # pyright: ignore[reportAttributeAccessIssue]
    try:
        for module in modules:
            for value in vars(module).values():
                if isinstance(value, Dispatcher):
                    setattr(value, "_cache", FunctionCache(value.py_func))  # noqa: B010 as enable_caching does
    finally:
        config.CACHE_DIR = default  # pyright: ignore[reportAttributeAccessIssue]


def functions_folder() -> str:
    """Name of the folder of Numba's functions, another for each version of the kernels' sources."""
    import numba  # noqa: PLC0415 takes long to import

    from isogloss import kernels  # noqa: PLC0415
    from isogloss.kernels.cpu import microkernels  # noqa: PLC0415

    # The kernels choose block shapes for the machine; Numba's own key has the machine but not these shapes.
    shapes = microkernels.HEIGHTS, microkernels.PANELS, microkernels.HAS_BYTE_PRODUCT
    # All, not those of `cpu` alone: constants that these import from the others are frozen in the functions.
    sources = [path.read_bytes() for path in sorted(pathlib.Path(kernels.__path__[0]).rglob("*.py"))]
    # Versions of Numba would clear each other's index while it is read.
    key = hashlib.sha256(repr((numba.__version__, shapes)).encode() + b"".join(sources))
    return f"numba-{key.hexdigest()[:16]}"
