"""Distances between languages, 1 - R@1, the mean of both directions, and what distances alone say.

Pure NumPy and SciPy. A distance is 0 where every sentence finds its translation and 1 where none does. What
needs every distance (scaling, tree, Nexus file) is made where every pair of languages is known.
"""

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np
from jaxtyping import Float, Float32, Int
from scipy.cluster import hierarchy
from scipy.spatial import distance

from isogloss.engine.retrieval import metrics
from isogloss.engine.retrieval.pair_metrics import Scored
from isogloss.kernels import bootstrap

RESAMPLES = 200
"""Resamples of the sentences for the support of a clade; its standard error is then at most 3.5%."""
_MEMORY = 600_000_000  # bytes of resampled distances
_TOGETHER = 64  # pairs whose distances are stored in one go, because single ones lie far apart


@dataclasses.dataclass(frozen=True, kw_only=True)
class Distances:
    """Distances between all languages of a grid, by scoring and state.

    Attributes:
      languages: codes.
      states: names.
      scorings: names of measures, as they are and with each correction.
      values: symmetric, 0 on the diagonal, NaN where unknown.
    """

    languages: tuple[str, ...]
    states: tuple[str, ...]
    scorings: tuple[str, ...]
    values: Float[np.ndarray, "V S L L"]

    @property
    def whole(self) -> bool:
        """True if no distance is unknown."""
        return not np.isnan(self.values).any()

    @property
    def leading(self) -> int:
        """Index of the scoring that is shown first: SeqSim, or the first there is."""
        return self.scorings.index("seqsim") if "seqsim" in self.scorings else 0

    def best_state(self, scoring: int) -> int:
        """State of the smallest mean distance, the first on a tie; 0 if nothing is known."""
        mean = metrics.known_mean(self.values[scoring].reshape(len(self.states), -1))
        return 0 if np.isnan(mean).all() else int(np.nanargmin(mean))


def between_languages(results: metrics.Results) -> Distances:
    """Distances of all figures of a grid; a pair of a language with itself is left out."""
    size = len(results.languages)
    values = np.full((len(results.measures), len(results.states), size, size), np.nan)
    values[..., np.arange(size), np.arange(size)] = 0
    for pair, i, j in of_two(results):
        # A distance has no direction, R@1 has: the mean of both.
        far = 1 - results.figure("recall_at_1")[pair].mean(-1).T
        values[:, :, i, j] = values[:, :, j, i] = far
    return Distances(
        languages=results.languages,
        states=results.states,
        scorings=results.measures,
        values=values,
    )


def of_two(results: metrics.Results) -> list[tuple[int, int, int]]:
    """Index of each pair of two languages, and theirs."""
    position = {language: i for i, language in enumerate(results.languages)}
    return [(pair, position[a], position[b]) for pair, (a, b) in enumerate(results.pairs) if a != b]


def scaled(far: Float[np.ndarray, "L L"]) -> tuple[Float[np.ndarray, "L 2"], Float[np.ndarray, " 2"]]:
    """Places of languages on a plane that keeps their distances, and the share of variance of each axis.

    Classical scaling (Torgerson 1952): the doubly centred squared distances `-J D^2 J / 2` are decomposed.
    The share is that of the positive eigenvalues: these distances aren't quite those of points in a space.
    """
    squared = far**2
    centred = squared - squared.mean(0) - squared.mean(1)[:, None] + squared.mean()
    # eigh sorts upwards: the two largest are the last, read backwards.
    values, vectors = np.linalg.eigh(-centred / 2)
    positive = np.maximum(values, 0)
    places = vectors[:, :-3:-1] * np.sqrt(positive[:-3:-1])
    return places, positive[:-3:-1] / max(float(positive.sum()), 1e-12)


def turned(places: Float[np.ndarray, "L 2"], towards: Float[np.ndarray, "L 2"]) -> Float[np.ndarray, "L 2"]:
    """The same places rotated or mirrored to lie close to others (orthogonal Procrustes)."""
    # Eigenvectors have no sign of their own, so neighbouring states would flip at random.
    left, _, right = np.linalg.svd(places.T @ towards)
    return places @ (left @ right)


def linkage(far: Float[np.ndarray, "L L"]) -> Float[np.ndarray, "K 4"]:
    """Tree of average linkage, SciPy's form."""
    return hierarchy.linkage(distance.squareform(far, checks=False), "average")


def clades(tree: Float[np.ndarray, "K 4"]) -> list[int]:
    """Languages below each merge of a tree, as bits."""
    # Bits, because sets of 102 languages would be built and hashed for every draw.
    below = [1 << leaf for leaf in range(len(tree) + 1)]
    for left, right in tree[:, :2].astype(int).tolist():
        below.append(below[left] | below[right])
    return below[len(tree) + 1 :]


def support(
    distances: Distances, results: metrics.Results, scored: Callable[[int], Scored], sentences: int
) -> Float[np.ndarray, "V S K"]:
    """Share of the resamples of the sentences whose tree has each clade of a scoring's tree.

    Sentences are resampled by their id, so that one drawn is drawn in every pair (Felsenstein 1985). Scorings
    are taken together as far as `_MEMORY` allows, because all figures are read once for each such block.

    Args:
      distances: all of them known.
      results: figures of the grid.
      scored: figures of a pair by its index.
      sentences: number of ids.
    """
    drawn = bootstrap.resamples(sentences)[:RESAMPLES]
    of_one = 4 * len(distances.states) * len(drawn) * len(of_two(results))
    every, block = range(len(distances.scorings)), max(1, _MEMORY // of_one)
    blocks = [every[start : start + block] for start in every[::block]]
    return np.concatenate([_support(distances, results, scored, drawn, each) for each in blocks])


def _support(
    distances: Distances,
    results: metrics.Results,
    scored: Callable[[int], Scored],
    drawn: Float32[np.ndarray, "R n"],
    scorings: Sequence[int],
) -> Float[np.ndarray, "V S K"]:
    """Support of the trees of some scorings."""
    pairs, size = of_two(results), len(distances.languages)
    chosen = [results.measures.index(distances.scorings[v]) for v in scorings]
    far = np.zeros((len(chosen), len(distances.states), len(drawn), len(pairs)), np.float32)
    some = np.empty((_TOGETHER, *far.shape[:-1]), np.float32)
    for place, (pair, *_) in enumerate(pairs):
        found = scored(pair)
        counts = drawn[:, found.sentences]
        hits = (found.ranks[:, chosen] == 1).mean(2, dtype=np.float32).swapaxes(0, 1)
        at = place % _TOGETHER
        # A resample may miss all sentences of a pair.
        some[at] = 1 - (hits @ counts.T) / np.maximum(counts.sum(1), 1)
        # Pairs are the last axis of `far`: written one by one, each number would touch its own cache line.
        if at == _TOGETHER - 1 or place == len(pairs) - 1:
            far[..., place - at : place + 1] = np.moveaxis(some[: at + 1], 0, -1)
    order = _condensed([(i, j) for _, i, j in pairs], size)
    share = np.zeros((*far.shape[:2], size - 1))
    for v, which in enumerate(scorings):
        for state, draws in enumerate(far[v]):
            wanted = clades(linkage(distances.values[which, state]))
            for draw in draws:
                seen = set(clades(hierarchy.linkage(draw[order], "average")))
                share[v, state] += [clade in seen for clade in wanted]
    return share / len(drawn)


def _condensed(pairs: Sequence[tuple[int, int]], size: int) -> Int[np.ndarray, " P"]:
    """Index of the pair at each place of SciPy's condensed distances."""
    at = {frozenset(pair): place for place, pair in enumerate(pairs)}
    return np.array([at[frozenset((i, j))] for i in range(size) for j in range(i + 1, size)])


def nexus(names: Sequence[str], far: Float[np.ndarray, "L L"], comment: str) -> str:
    """Nexus file of distances, for SplitsTree (Huson and Bryant 2006); spaces of names become "_"."""
    labels = ["'" + name.replace("'", "").replace(" ", "_") + "'" for name in names]
    lines = [" ".join([label, *(f"{d:.6f}" for d in row)]) for label, row in zip(labels, far, strict=True)]
    return "\n".join(
        [
            "#NEXUS",
            f"[{comment.replace('[', '(').replace(']', ')')}]",
            f"BEGIN TAXA;\nDIMENSIONS NTAX={len(labels)};\nTAXLABELS\n" + "\n".join(labels) + "\n;\nEND;",
            f"BEGIN DISTANCES;\nDIMENSIONS NTAX={len(labels)};\nFORMAT LABELS=LEFT DIAGONAL TRIANGLE=BOTH;",
            "MATRIX\n" + "\n".join(lines) + "\n;\nEND;\n",
        ]
    )
