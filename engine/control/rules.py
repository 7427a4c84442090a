"""Rules that mark sentences whose words may be alike in sound in all languages: names and numbers.

A corpus is parallel in all its languages, so a name or a number belongs to the sentence: found in one
language, it marks the sentence for all. Names need two raters who agree where there are two or more, because
each errs; digits need one, because another language may spell the number out. What no rater's language writes
with a digit ("twenty") is not found.
"""

import dataclasses
import unicodedata
from collections.abc import Mapping, Sequence

from isogloss.engine.control.names import Names

VOTES = 2
"""Raters who must agree on a name, where there are as many."""
RULES = ("names", "numbers", "alike")
"""In the order in which they are cumulated."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evidence:
    """Names and numbers found in the sentences of a corpus.

    Attributes:
      names: by language that has a rater and by sentence.
      numbers: words with a digit, by language and by sentence that has some.
      named: sentences that the rule `names` marks; None without a rater.
      numbered: sentences that the rule `numbers` marks.
    """

    names: Names
    numbers: Mapping[str, Mapping[str, tuple[str, ...]]]
    named: frozenset[str] | None
    numbered: frozenset[str]


def evidence(texts: Mapping[str, Mapping[str, str]], names: Names) -> Evidence:
    """Evidence in texts by language and sentence, and in the names that raters found."""
    numbers = {
        code: {sentence: found for sentence, text in held.items() if (found := with_digits(text))}
        for code, held in texts.items()
    }
    return Evidence(
        names=names,
        numbers=numbers,
        named=voted(names) if names else None,
        numbered=frozenset(sentence for held in numbers.values() for sentence in held),
    )


def with_digits(text: str) -> tuple[str, ...]:
    """Words of a text that have a decimal digit of any script."""
    return tuple(word for word in text.split() if any(unicodedata.category(c) == "Nd" for c in word))


def voted(names: Names) -> frozenset[str]:
    """Sentences in which enough raters find a name."""
    votes: dict[str, int] = {}
    for held in names.values():
        for sentence, found in held.items():
            votes[sentence] = votes.get(sentence, 0) + bool(found)
    return frozenset(sentence for sentence, count in votes.items() if count >= min(VOTES, len(names)))


def removals(available: Sequence[str]) -> tuple[tuple[str, ...], ...]:
    """Sets of rules to remove by: each alone, then cumulated in the order of `RULES`."""
    alone = tuple((rule,) for rule in RULES if rule in available)
    together = [rule for (rule,) in alone]
    return alone + tuple(tuple(together[:count]) for count in range(2, len(together) + 1))
