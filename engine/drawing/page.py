"""Shell of the HTML pages: one file, opens from disk without a network, all data inside.

The files in this folder have the markup, style and scripts that all pages share. A page's own markup is put
into `page_body.html`, which `page.html` has deflated, because style and scripts are most of a small page; its
data are JSON and further deflated blocks, which the scripts unpack when needed.
"""

import html
import json
import os
import pathlib
import re
import string
import urllib.parse
from collections.abc import Iterable, Mapping, Sequence

from isogloss.engine.drawing import page_script, style
from isogloss.engine.drawing.packing import packed
from isogloss.engine.runtime import atomic_write
from isogloss.engine.runtime.json_values import Json

_FOLDER = pathlib.Path(__file__).parent
_BESIDE = " 'self' file:"
REGISTER = "(globalThis.isogloss ??= {})"
"""Object of the page's scripts that takes what a script beside the page brings, by the script's name."""
TO_WORK_IN = (_FOLDER / "page_tables.js", _FOLDER / "page_figures.js")
"""Scripts of pages whose tables sort and filter, and whose figures and tables can be downloaded."""


def render(
    body: str,
    *,
    title: str,
    styles: Sequence[pathlib.Path] = (),
    scripts: Sequence[pathlib.Path],
    meta: Mapping[str, Json],
    blocks: Mapping[str, bytes],
    needs: str = "figures",
    numbers: str = "",
    beside: bool = False,
) -> str:
    """HTML of a page.

    Args:
      body: markup, from `filled`.
      title: of the window; it is escaped here.
      styles: files, after the shared style.
      scripts: files, after the shared ones.
      meta: data for the scripts.
      blocks: further data, by id of their element.
      needs: what of the page needs scripts, a plural.
      numbers: file beside the page that has its numbers, for a reader without scripts.
      beside: True if the page may load scripts and recordings from its own place.
    """
    held = (_element("application/octet-stream", key, packed(value)) for key, value in blocks.items())
    return filled(
        _FOLDER / "page.html",
        title=html.escape(title),
        # Opened from a folder, browsers differ in whether 'self' is that folder.
        beside=_BESIDE if beside else "",
        media=f"; media-src{_BESIDE}" if beside else "",
        without_scripts=html.escape(_without_scripts(needs, numbers)),
        blocks="\n".join(held),
        page=_element(
            "application/octet-stream", "page", packed(_shown(body, styles, scripts, meta).encode())
        ),
        load=page_script.bare(_FOLDER / "load.js"),
    )


def _shown(
    body: str, styles: Sequence[pathlib.Path], scripts: Sequence[pathlib.Path], meta: Mapping[str, Json]
) -> str:
    """Content that the page unpacks: style, markup, data and scripts."""
    css = _dense((style.css(), *map(_read, (_FOLDER / "page.css", *styles))))
    data = json.dumps(meta, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return filled(
        _FOLDER / "page_body.html",
        style=f'<style id="style">{css}</style>',
        body=re.sub(r"\n\s*", "\n", body),
        # "</script>" within the data would end the element that holds them.
        meta=_element("application/json", "meta", data.replace("<", "\\u003c")),
        script=_element("module", "script", page_script.bare(_FOLDER / "page.js", *scripts)),
    )


def _element(kind: str, key: str, text: str) -> str:
    """An element of script, which isn't run where it is put into a page as text."""
    return f'<script type="{kind}" id="{html.escape(key)}">{text}</script>'


def _without_scripts(needs: str, numbers: str) -> str:
    """Text that a reader without scripts sees instead of the page."""
    text = f"This page unpacks itself, and its {needs} need JavaScript, from this file alone."
    return f"{text} The same numbers are in {numbers} beside it." if numbers else text


def filled(template: pathlib.Path, **parts: str) -> str:
    """A template with its parts filled in; parts that aren't markup must be escaped."""
    return string.Template(_read(template)).substitute(parts)


def head(
    heading: str,
    lead: Sequence[str],
    *,
    alerts: Sequence[str] = (),
    terms: Mapping[str, str] | None = None,
) -> str:
    """Markup with which a page begins.

    Args:
      heading: text of the heading.
      lead: markup of each paragraph below it.
      alerts: texts of warnings.
      terms: meanings of words by word.
    """
    meanings = "".join(
        f"<dt>{html.escape(term)}</dt><dd>{html.escape(meaning)}</dd>"
        for term, meaning in (terms or {}).items()
    )
    return filled(
        _FOLDER / "page_head.html",
        heading=html.escape(heading),
        lead="".join(f'<p class="lead">{paragraph}</p>' for paragraph in lead),
        alerts="".join(f'<p class="alert">{html.escape(text)}</p>' for text in alerts),
        terms=filled(_FOLDER / "page_terms.html", terms=meanings) if terms else "",
    )


def table_section(key: str, title: str, table: str) -> str:
    """Markup of a section with a table that scrolls; `key` says what the table is of."""
    return filled(_FOLDER / "page_table.html", key=key, title=html.escape(title), table=table)


def settings_table(rows: Mapping[str, Json]) -> str:
    """Table of settings by name."""
    body = "".join(
        f"<tr><th scope=row>{html.escape(key)}</th><td>{html.escape(written(value))}</td></tr>"
        for key, value in rows.items()
    )
    return f"<table class=settings><tbody>{body}</tbody></table>"


def dotted(settings: Mapping[str, Json]) -> dict[str, Json]:
    """Settings by name, nested ones by dotted name."""
    rows: dict[str, Json] = {}
    for key, value in settings.items():
        inner = value if isinstance(value, Mapping) else {"": value}
        rows |= {f"{key}.{sub}" if sub else key: setting for sub, setting in inner.items()}
    return rows


def written(value: Json) -> str:
    """A setting as text."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def address(name: str) -> str:
    """Relative address of a file or folder of that name."""
    # As bytes, because a name in another encoding than UTF-8 isn't text.
    return urllib.parse.quote(os.fsencode(name), safe="")


def script_beside(file: str, block: bytes) -> str:
    """JavaScript that brings a deflated block under the name of its file, for `bring` of the scripts."""
    return f"{REGISTER}[{json.dumps(file)}] = {json.dumps(packed(block))};\n"


def write_scripts(folder: pathlib.Path, scripts: Iterable[tuple[str, str]]) -> None:
    """Write scripts beside a page, each with its name, and remove those of an earlier page.

    Without scripts no folder is made.

    Raises:
      OSError: a script can't be written.
    """
    names = set()
    for name, text in scripts:
        atomic_write.make_folder(folder)
        atomic_write.write_whole(folder / name, lambda file, text=text: file.write_text(text, "utf-8"))
        names.add(name)
    # Last, so that a page that is open finds its scripts until the new ones are there.
    for old in folder.glob("*.js"):
        if old.name not in names:
            old.unlink(missing_ok=True)


def _dense(styles: Sequence[str]) -> str:
    """Styles as one text without indentation and line ends."""
    return re.sub(r"(?<=[{};,]) | (?=[{}])", "", re.sub(r"\s+", " ", " ".join(styles)))


def _read(file: pathlib.Path) -> str:
    return file.read_text(encoding="utf-8")
