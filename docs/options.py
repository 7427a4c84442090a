"""Writes the tables of options in the pages of docs/ from the configurations of the jobs: `make docs`."""

import importlib
import pathlib
import re

from isogloss.engine.runtime import options

DOCS = pathlib.Path(__file__).parent
TABLE = re.compile(r"(?<=<!-- options -->\n).*?(?=<!-- /options -->)", re.DOTALL)


def configuration(job: str) -> type[options.JobConfig]:
    """Configuration of a job, from the one module of the engine that is named after it."""
    (path,) = (DOCS.parent / "engine").glob(f"*/{job}_config.py")
    module = importlib.import_module(f"isogloss.engine.{path.parent.name}.{path.stem}")
    return getattr(module, f"{job.capitalize()}Config")


def table(job: str) -> str:
    """Markdown table of a job's options: name, default, meaning with the values allowed."""
    rows = ["| option | default | meaning |", "|---|---|---|"]
    # Required options first, each kind in the order of its fields.
    for each in sorted(options.options(configuration(job)), key=lambda one: not one.required):
        allowed = f" One of {', '.join(f'`{choice}`' for choice in each.choices)}." if each.choices else ""
        meaning = each.help.replace("|", "\\|").replace("<", "&lt;") + allowed
        rows.append(f"| `--{each.name}` | {_default(each)} | {meaning} |")
    return "\n".join(rows) + "\n"


def _default(each: options.Option) -> str:
    if each.required:
        return "required"
    if each.default in (None, ()):
        return "`all`" if each.all_if_empty else "none"
    if isinstance(each.default, bool):
        return f"`{str(each.default).lower()}`"
    return f"`{','.join(each.default) if isinstance(each.default, tuple) else each.default}`"


def page(path: pathlib.Path) -> str:
    """Text of a job's page with its table as the configuration has it now."""
    return TABLE.sub(lambda _: table(path.stem), path.read_text(encoding="utf-8"))


def pages() -> list[pathlib.Path]:
    """Pages of the jobs."""
    return [path for path in sorted(DOCS.glob("*.md")) if path.stem != "index"]


if __name__ == "__main__":
    for one in pages():
        one.write_text(page(one), encoding="utf-8")
