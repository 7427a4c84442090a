"""Shell of the HTML pages: one file, opens from disk without a network, all data inside.

The files in this folder have the markup, style and scripts that all pages share. A page's own markup is put
into `page.html`; its data are JSON and deflated blocks, which the scripts unpack when needed.
"""

import base64
import html
import json
import pathlib
import string
import zlib
from collections.abc import Mapping, Sequence

from isogloss.engine.drawing import style
from isogloss.engine.runtime.json_values import Json

_FOLDER = pathlib.Path(__file__).parent
_BESIDE = " 'self' file:"


def render(
    body: str,
    *,
    title: str,
    styles: Sequence[pathlib.Path] = (),
    scripts: Sequence[pathlib.Path],
    meta: Mapping[str, Json],
    blocks: Mapping[str, bytes],
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
      beside: True if the page may load scripts and recordings from its own place.
    """
    packed = (
        f'<script type="application/octet-stream" id="{html.escape(key)}">{_pack(value)}</script>'
        for key, value in blocks.items()
    )
    data = json.dumps(meta, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return filled(
        _FOLDER / "page.html",
        title=html.escape(title),
        # Opened from a folder, browsers differ in whether 'self' is that folder.
        beside=_BESIDE if beside else "",
        media=f"; media-src{_BESIDE}" if beside else "",
        css="\n".join((style.css(), *(_read(file) for file in (_FOLDER / "page.css", *styles)))),
        body=body,
        # "</script>" within the data would end the element that holds them.
        meta=data.replace("<", "\\u003c"),
        blocks="\n".join(packed),
        script="\n".join(_read(file) for file in (_FOLDER / "page.js", *scripts)),
    )


def filled(template: pathlib.Path, **parts: str) -> str:
    """A template with its parts filled in; parts that aren't markup must be escaped."""
    return string.Template(_read(template)).substitute(parts)


def alert(text: str) -> str:
    """Markup of a warning."""
    return f'<p class="alert">{html.escape(text)}</p>'


def settings_table(rows: Mapping[str, Json]) -> str:
    """Table of settings by name."""
    body = "".join(
        f"<tr><th scope=row>{html.escape(key)}</th><td>{html.escape(_text(value))}</td></tr>"
        for key, value in rows.items()
    )
    return f"<table class=settings><tbody>{body}</tbody></table>"


def _text(value: Json) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _pack(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data, 9)).decode()


def _read(file: pathlib.Path) -> str:
    return file.read_text(encoding="utf-8")
