"""Names of languages in a report, and their orders: by FLEURS group, and clustered by R@1.

Clustering is average linkage with optimal leaf order (Bar-Joseph et al., Bioinformatics 17, 2001)
on 1 - R@1, averaged over both directions. A pair without a figure counts as averagely distant.
102 languages take about 10 ms.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.cluster import hierarchy
from scipy.spatial import distance

from isogloss.engine.corpora.languages import GROUPS, OTHER_GROUP, language_group, language_name
from isogloss.engine.retrieval import metrics


def names(languages: Sequence[str]) -> list[str]:
    """English name of each language, with its code where two of them share a name ("en-GB", "en-US")."""
    found = [language_name(code) for code in languages]
    return [
        f"{name} ({code})" if found.count(name) > 1 else name
        for name, code in zip(found, languages, strict=True)
    ]


def by_group(languages: Sequence[str]) -> list[int]:
    """Indices of `languages` in the order of FLEURS groups, and of codes inside a group."""
    groups = (*GROUPS, OTHER_GROUP)
    return sorted(
        range(len(languages)), key=lambda i: (groups.index(language_group(languages[i])), languages[i])
    )


def tree(recall: Float[np.ndarray, "L L"]) -> Float[np.ndarray, "K 4"] | None:
    """Linkage matrix of SciPy over L languages; None for fewer than three."""
    if len(recall) < 3:
        return None
    similar = metrics.known_mean(np.stack([recall, recall.T], axis=-1))
    far = distance.squareform(1 - np.where(np.eye(len(recall)), 1.0, similar), checks=False)
    typical = float(metrics.known_mean(far))
    known = np.nan_to_num(far, nan=1.0 if np.isnan(typical) else typical)
    return hierarchy.linkage(known, "average", optimal_ordering=True)


def by_cluster(recall: Float[np.ndarray, "L L"]) -> list[int]:
    """Indices of languages along the leaves of `tree`; unchanged for fewer than three."""
    linkage = tree(recall)
    return list(range(len(recall))) if linkage is None else hierarchy.leaves_list(linkage).tolist()
