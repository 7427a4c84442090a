"""Answers to single queries: the strongest wrong candidate of each, and by how much it is ahead.

They are stored apart from tables and page, a script of each pair, which the page loads when the pair is
chosen: a page that lies in a folder may load scripts, but may not fetch data. 350 sentences, 8 states and 22
scorings make about 0.9 MB a pair; a page without these scripts lacks them and nothing else.
"""

import json
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Shaped, UInt16

from isogloss.engine.drawing.packing import packed
from isogloss.engine.drawing.page import REGISTER
from isogloss.engine.retrieval.scorings import Scoring

FOLDER = "sentences"
"""Folder of the scripts beside the page."""


RIVAL = np.dtype([("rival", "<u2"), ("ahead", "<f2")])
"""Best wrong candidate of a query, and the right answer's score minus the score of that one."""


def rivals(scores: Float[np.ndarray, "n n"]) -> Shaped[np.ndarray, " n"]:
    """`RIVAL` of each query.

    Of equal ones the first counts. The difference is 0 in a tie, negative where the query is missed, and NaN
    for a single candidate, which has no rival.

    Args:
      scores: row = query, column = candidate; larger is closer.
    """
    found = np.zeros(len(scores), RIVAL)
    if len(scores) < 2:
        found["ahead"] = np.nan
        return found
    others = np.where(np.eye(len(scores), dtype=bool), -np.inf, scores)
    found["rival"] = others.argmax(1)
    ahead = np.diagonal(scores) - others.max(1)
    rounded = np.clip(ahead, -65504, 65504).astype(np.float16)
    # Rounding must not turn a miss or a hit into a tie.
    tiny = (rounded == 0) & (ahead != 0)
    rounded[tiny] = np.copysign(np.finfo(np.float16).smallest_subnormal, ahead[tiny])
    found["ahead"] = rounded
    return found


def script(
    file: str,
    sentences: Sequence[str],
    ranks: UInt16[np.ndarray, "S V 2 n"],
    rivals: Shaped[np.ndarray, "S V 2 n"],
    kept: Sequence[int],
) -> str:
    """JavaScript that brings a pair's answers.

    Each scoring is a packed block, uint16 little-endian (state, direction, plane, query), so that
    only the one that is shown is unpacked. Planes: rank, position of the rival, and the bits of how far the
    right answer is ahead, as float16.

    Args:
      file: name under which the page finds it.
      sentences: ids of those that both languages have.
      ranks: of the right answers.
      rivals: as of `rivals`.
      kept: indices of the scorings whose answers are kept.
    """
    bits = np.ascontiguousarray(rivals["ahead"]).view(np.uint16)
    planes = np.stack([ranks, rivals["rival"], bits], axis=3).astype("<u2")
    blocks = {v: packed(planes[:, v].tobytes(), 6) if v in kept else None for v in range(planes.shape[1])}
    found = json.dumps({"sentences": list(sentences), "blocks": list(blocks.values())}, separators=(",", ":"))
    return f"{REGISTER}[{json.dumps(file)}] = {found};\n"


def kept(chosen: Sequence[Scoring], which: str) -> list[int]:
    """Indices of the scorings whose answers are kept: all, or only the uncorrected ones."""
    return [v for v, scoring in enumerate(chosen) if which == "all" or scoring.correction == "none"]
