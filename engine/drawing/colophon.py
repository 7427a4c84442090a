"""Colophon of a page: where its figures come from, how to cite them, and the licence."""

import html
from collections.abc import Mapping

from isogloss.engine.runtime import version
from isogloss.engine.runtime.json_values import Json

TITLE = "isogloss: where inside a multilingual speech model do languages meet"
AUTHORS = "The isogloss authors"
LICENCE = "Apache-2.0"
PAPERS = (
    "Ma, Qian, Fathullah, Tang, Gales, Knill: Cross-Lingual Transfer Learning for Speech Translation. "
    "NAACL 2025, doi:10.18653/v1/2025.naacl-short.4",
    "Shim, De Cristofaro, Hu, Vietti, Plank: Languages in Whisper-Style Speech Encoders Align Both "
    "Phonetically and Semantically. 2025, arXiv:2505.19606",
)
"""As in CITATION.cff, which a wheel doesn't hold."""


def of_grid(attributes: Mapping[str, Json], name: str, date: str) -> str:
    """Colophon of a page made from a grid; arguments as of `facts`."""
    return colophon(facts(attributes, name, date))


def facts(attributes: Mapping[str, Json], name: str, date: str) -> dict[str, str]:
    """Model, corpus, grid and date of a page made from a grid, as far as they are known.

    Args:
      attributes: those of the grid; "languages" has facts about each language.
      name: name of the grid.
      date: day on which the page is made.
    """
    made = {
        "Model": str(attributes.get("model", "")),
        "Corpus": ", ".join(corpora(attributes)),
        "Grid": name,
        "Date": date,
    }
    return {key: value for key, value in made.items() if value}


def corpora(attributes: Mapping[str, Json]) -> list[str]:
    """Corpora of a grid's languages, each once; none of a grid that doesn't know them."""
    known = attributes.get("languages")
    of_each = list(known.values()) if isinstance(known, Mapping) else []
    return [
        *dict.fromkeys(
            str(each["corpus"]) for each in of_each if isinstance(each, Mapping) and "corpus" in each
        )
    ]


def colophon(made: Mapping[str, str]) -> str:
    """Markup of what the page is made from, by name, such as model, corpus and date, and how to cite it."""
    facts = "".join(
        f"<dt>{html.escape(key)}</dt><dd>{html.escape(value)}</dd>" for key, value in made.items()
    )
    release, commit = version.isogloss_version(), version.isogloss_commit()
    built = f" (commit {html.escape(commit)})" if commit else ""
    papers = "".join(f"<li>{html.escape(paper)}</li>" for paper in PAPERS)
    made_by = f"<dt>Made by</dt><dd>isogloss {html.escape(release)}{built}, licence {LICENCE}</dd>"
    return (
        f'<dl class="colophon">{facts}{made_by}</dl>'
        f"<details><summary>How to cite</summary><p>{AUTHORS}. {html.escape(TITLE)}. Version "
        f"{html.escape(release)}. Software.</p><p>And the papers whose experiments it implements:</p>"
        f"<ul>{papers}</ul></details>"
    )
