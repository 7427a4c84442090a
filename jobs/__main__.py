"""The command `isogloss`: `isogloss JOB --flags` is `python -m isogloss.jobs.JOB --flags`."""

import ast
import pathlib
import runpy
import sys

from isogloss.engine.runtime import version
from isogloss.jobs import early_stop


def jobs() -> dict[str, str]:
    """First line of each job's docstring, by name; read from the source, because importing takes longer."""
    sources = {
        path.stem: path.read_text(encoding="utf-8")
        for path in pathlib.Path(__file__).parent.glob("[a-z]*.py")
    }
    return {
        name: (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
        for name, source in sorted(sources.items())
        if 'if __name__ == "__main__":' in source
    }


def overview() -> str:
    """Text of `isogloss --help`: one line per job."""
    lines = [f"  {name:<12}{first}" for name, first in jobs().items()]
    return "\n".join(
        ["usage: isogloss JOB --flags", "", *lines, "", "isogloss JOB --help lists a job's flags."]
    )


def main() -> None:
    """Runs the job that the first argument names; without one, lists the jobs."""
    early_stop.watch()
    name = sys.argv[1] if len(sys.argv) > 1 else "--help"
    if name == "--version":
        print(f"isogloss {version.isogloss_version()}")
    elif name in {"--help", "-h"}:
        print(overview())
    elif name in jobs():
        del sys.argv[1]
        # `alter_sys` makes the job the program's main module, exactly as `python -m` does.
        runpy.run_module(f"isogloss.jobs.{name}", run_name="__main__", alter_sys=True)
    else:
        print(f"error: no job is called {name!r}\n\n{overview()}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
