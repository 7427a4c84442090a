"""Scripts of pages as one short text: no comments, no spaces and line ends that the language doesn't need.

Scripts are written as `deno fmt` writes them, each statement ending with a semicolon or a brace, so no line
end means anything and a sign that divides has spaces. Strings, templates and regular expressions stay.
"""

import functools
import pathlib
import re

_STRING = r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\''


def _template(inner: str) -> str:
    """Pattern of a template, whose expressions may hold strings, braces, and what `inner` matches."""
    expression = rf"\$\{{(?:{_STRING}|[^`\"'{{}}]|\{{[^`\"'{{}}]*\}}|{inner})*\}}"
    return rf"`(?:[^`\\$]|\\.|\$(?!\{{)|{expression})*`"


_NEVER = r"(?!)"
_TOKEN = re.compile(
    rf"(?P<space>(?:\s|//.*)+)|(?P<kept>{_STRING}|{_template(_template(_NEVER))})"
    r"|(?P<word>[\w$]+)|(?P<sign>[^\s\w$`\"'])"
)
_REGULAR = re.compile(r"/(?:[^/\\\n\[]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/[a-z]*")
_VALUE = re.compile(r"(?!return$).*[\w$)\]}`\"']", re.DOTALL)  # what a slash may stand behind as a sign
_WORDS = set("await case delete do else in instanceof of throw typeof void yield".split())
_TOUCHING = re.compile(r"[\w$][\w$]|\+\+|--")  # would be read as one


@functools.cache
def bare(*scripts: pathlib.Path) -> str:
    """Scripts as one text.

    Raises:
      ValueError: a script has something that isn't known here, such as a template within two others, or a
        slash that may be read in two ways.
    """
    text = "\n".join(script.read_text(encoding="utf-8") for script in scripts)
    made: list[str] = []
    at, apart = 0, False
    while at < len(text):
        found = _token(text, at, made)
        if found is None:
            raise ValueError(f"not known in a script of a page: {text[at : at + 60]!r}")
        if found.lastgroup == "space":
            apart = True
        else:
            if apart and made and _touching(made[-1], found[0]):
                made.append(" ")
            made.append(found[0])
            apart = False
        at = found.end()
    return "".join(made)


def _token(text: str, at: int, made: list[str]) -> re.Match[str] | None:
    """Token behind those that are made; None if it isn't known."""
    if text[at] != "/" or text.startswith("//", at):
        return _TOKEN.match(text, at)
    last = made[-1] if made else ""
    if last in _WORDS or made[-2:] in (["+", "+"], ["-", "-"]):
        return None
    if not _VALUE.fullmatch(last):
        return _REGULAR.match(text, at)
    return _TOKEN.match(text, at) if re.match(r"\s|=", text[at + 1 :]) else None


def _touching(last: str, next_one: str) -> bool:
    """True if two tokens would be read as others without a space."""
    regular = len(last) > 1 and last[0] == "/"
    return bool(_TOUCHING.fullmatch(("a" if regular else last[-1]) + next_one[0]))
