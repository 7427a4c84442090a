"""Colophon of a page: where its figures come from, how to cite them, and the licence."""

import html
from collections.abc import Mapping

from isogloss.engine.runtime import version

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
