"""Folds of sentences, by their ids: the same in every process, store and run."""

import hashlib
from collections.abc import Sequence

from isogloss.kernels import bootstrap


def shuffled(sentences: Sequence[str]) -> list[str]:
    """Sentences in an order that looks random and depends on their ids alone."""
    return sorted(sentences, key=lambda each: hashlib.sha256(f"{bootstrap.SEED} {each}".encode()).hexdigest())


def folds(sentences: Sequence[str], count: int) -> list[list[str]]:
    """Sentences of each fold, whose sizes differ by one at most."""
    order = shuffled(sentences)
    return [order[start::count] for start in range(count)]
