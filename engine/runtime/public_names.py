"""Public names of a package, each imported from its module at first use.

So `import isogloss.engine` takes no time, and `from isogloss.engine import encode` works.
"""

import importlib
import sys
from collections.abc import Callable, Mapping


def on_demand(
    package: str, modules: Mapping[str, str]
) -> tuple[Callable[[str], Callable], Callable[[], list[str]]]:
    """Functions `__getattr__` and `__dir__` of a package (PEP 562); notebooks complete names by the second.

    Args:
      package: full name of the package.
      modules: full name of the defining module, by public name.
    """

    def find(name: str) -> Callable:
        if name not in modules:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        return getattr(importlib.import_module(modules[name]), name)

    # Without the second, notebooks would complete only names that were used before.
    return find, lambda: sorted({*vars(sys.modules[package]), *modules})
