"""Writes what docs/ has from the code: `make docs`.

Tables of options, columns, jobs, measures and corpora stand between markers, `<!-- NAME -->` and
`<!-- /NAME -->`. A job without a page gets one, made of its docstring and its options.
"""

import importlib
import inspect
import pathlib
import re
from collections.abc import Iterable

from isogloss.engine.cluster.job_configs import job_config
from isogloss.engine.corpora import corpus
from isogloss.engine.grid.measures import MEASURES
from isogloss.engine.runtime import data_dictionary, options
from isogloss.jobs import __main__ as command

DOCS = pathlib.Path(__file__).parent
MARKED = re.compile(r"(<!-- (\w+) -->\n).*?(<!-- /\2 -->)", re.DOTALL)
PAGE = "# {job}: {first}\n\n{rest}\n\n## Options\n\n<!-- options -->\n<!-- /options -->\n"


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    """Markdown table."""
    lines = [f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |\n" for row in (head, *rows)]
    return "".join([lines[0], f"|{'---|' * len(head)}\n", *lines[1:]])


def option_table(job: str) -> str:
    """Options of a job: name, default, meaning with the values allowed."""
    rows = []
    # Required options first, each kind in the order of its fields.
    for each in sorted(options.options(job_config(job)), key=lambda one: not one.required):
        listed = each.choices if each.kind is not tuple else ()  # of a tuple the help says what each is
        allowed = f" One of {', '.join(f'`{choice}`' for choice in listed)}." if listed else ""
        name = each.name.upper() if each.positional else f"--{each.name}"
        rows.append((f"`{name}`", _default(each), each.described.replace("<", "&lt;") + allowed))
    return table(("option", "default", "meaning"), rows)


def _default(each: options.Option) -> str:
    if each.required:
        return "required"
    if each.default in (None, ()):
        return f"`{each.empty}`" if each.empty else "none"
    if isinstance(each.default, bool):
        return f"`{str(each.default).lower()}`"
    return f"`{','.join(each.default) if isinstance(each.default, tuple) else each.default}`"


def job_table() -> str:
    """Jobs, each with a link to its page."""
    rows = [(f"[{job}]({job}.md)", first) for job, first in command.jobs().items()]
    return table(("job", "what it does"), rows)


def measure_table() -> str:
    """Arrays of a grid that hold scores."""
    axes = "pair, state, query, candidate"
    meanings = [(name, f"{m.meaning[0].upper()}{m.described[1:]}.") for name, m in MEASURES.items()]
    return table(("array", "axes", "meaning"), [(f"`{name}`", axes, text) for name, text in meanings])


def corpus_table() -> str:
    """Values of --corpus."""
    rows = [(", ".join(f"`{form}`" for form in kind.forms), kind.meaning) for kind in corpus.KINDS]
    return table(("corpus", "recordings"), rows)


def column_table(job: str, name: str) -> str:
    """Columns of one of a job's tables, from the file beside the code that makes it."""
    module = inspect.getfile(job_config(job))
    known = data_dictionary.columns(pathlib.Path(module).with_name(data_dictionary.NAME))
    rows = [(f"`{column}`", *each) for (table_name, column), each in known.items() if table_name == name]
    return table(("column", "type", "meaning"), rows)


def page(job: str) -> str:
    """Text of a job's page, or of the index, with every table as the code has it now."""
    made = {
        "options": lambda: option_table(job),
        "jobs": job_table,
        "measures": measure_table,
        "corpora": corpus_table,
    }
    path = DOCS / f"{job}.md"

    def filled(found: re.Match[str]) -> str:
        kind, _, name = found[2].partition("_")
        return found[1] + (column_table(job, name) if kind == "columns" else made[found[2]]()) + found[3]

    text = path.read_text(encoding="utf-8") if path.exists() else _skeleton(job)
    return MARKED.sub(filled, text)


def _skeleton(job: str) -> str:
    text = inspect.getdoc(importlib.import_module(f"isogloss.jobs.{job}")) or ""
    first, _, rest = text.partition("\n")
    return PAGE.format(job=job, first=first.rstrip("."), rest=rest.strip("\n"))


def pages() -> dict[pathlib.Path, str]:
    """Text of every page that holds something of the code, by path."""
    return {DOCS / f"{name}.md": page(name) for name in ("index", *command.jobs())}


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text, encoding="utf-8")
