"""Tests of whether matched words mean or sound alike, compared with random word pairs.

Meaning is measured by the cosine of a sentence encoder, sound by the normalised phone edit distance. For the
tests, each sentence pair has DRAWS random word pairs, drawn uniformly with replacement from its words and the
same for every state; matches may be among them, which makes the tests conservative. The limits of "alike" are
quantiles of other random word pairs, which don't match at their state. The unit of all tests is the sentence
pair, because its matches aren't independent: the mean over its matches is compared with the mean over its
random pairs. p values are two-sided and not corrected for the number of tests.

Source of the check of meaning: Shim et al., arXiv 2505.19606, who test matches against random words.
"""

import zlib
from collections.abc import Iterator, Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy import stats

from isogloss.engine.interpretation import tables
from isogloss.engine.texts import meaning, phones

DRAWS = 64
"""Random word pairs of a sentence pair."""
FLIPS = 9_999
"""Random sign flips of a permutation test; up to 13 sentence pairs have fewer, and all are tried."""
TAIL = 0.05
"""Two words are alike if they are more so than all but this share of random word pairs that don't match."""
KINDS = {"mutual": "mutual", "transport": "transported"}
"""Kinds of matches, and the Boolean column that marks them."""
CHECKS = ("meaning", "sound_distance")
ALIKE = ("neither", "sound", "meaning", "both")
"""Values of `alike`; their place is 2 for meaning plus 1 for sound."""

_BATCH = 1_000_000  # numbers of a batch of flips
_PAIR = ["language_a", "language_b"]
_STATE = [*_PAIR, "state"]
_UTTERANCES = ["utterance_a", "utterance_b"]
_SENTENCES = [*_PAIR, *_UTTERANCES]


class CheckedMatches(NamedTuple):
    """Word pairs with their meaning and sound, random word pairs, and tests of one against the other.

    Attributes:
      pairs: as given, with `meaning` (cosine), `sound_distance` (0 to 1; NaN where a word has no phones) and
        `alike`: "both", "meaning", "sound", "neither", or null if one of the two isn't known.
      random: `language_a, language_b, state, utterance_a, utterance_b, meaning, sound_distance`, DRAWS rows
        for each state's sentence pair: word pairs that match in neither way there, drawn with replacement.
        A sentence pair without any has no rows.
      tests: a row per language pair, state, kind of match and check: n (sentence pairs), matches, matched,
        random and difference (means over sentence pairs), low and high (95% t interval of the difference), t,
        p_t (paired t-test), p_permutation (sign flips), d_z (Cohen's, of the differences).
      plane: a row per language pair, state and kind: matches by `alike`, and the two limits between them.
    """

    pairs: pd.DataFrame
    random: pd.DataFrame
    tests: pd.DataFrame
    plane: pd.DataFrame


def check(
    pairs: pd.DataFrame, *, encoder: meaning.SentenceEncoder | None, voices: phones.Phones | None, seed: int
) -> CheckedMatches:
    """Meaning and sound of word pairs, and tests of the matches among them.

    Args:
      pairs: every word of A with every word of B of each sentence pair, as `tables.WORD_PAIRS`;
        rows of frames of no word stay unknown.
      encoder: of meaning; None leaves the check out, its column is NaN.
      voices: of phones; None leaves the check out, its column is NaN.
      seed: of random pairs and permutations; results don't depend on the order of rows, nor on which other
        language pairs and states are checked at once.
    """
    # Words are measured once for all states: the columns depend on the words alone.
    measured = pairs.assign(**_measure(pairs, encoder, voices))
    real = measured.loc[(measured["word_index_a"] >= 0) & (measured["word_index_b"] >= 0)]
    # In sentences of W words, 1/W of all word pairs are matches. With these among the random pairs, the
    # limits of short sentences would be quantiles of the matches themselves.
    random = _draw(real.loc[~(real["mutual"] | real["transported"])], [*_STATE, *_UTTERANCES], seed)
    limits = {key: _limits(part) for key, part in _groups(random, _STATE)}
    judged = measured.assign(alike=_alike(measured, limits))
    # The chance that tests compare with is drawn among all word pairs, matches too, so it is the same for
    # every state and kind of match.
    means = pd.DataFrame(_draw(real, _SENTENCES, seed).groupby(_SENTENCES)[list(CHECKS)].mean())
    tests = [
        {"language_a": a, "language_b": b, "state": state, "kind": kind, "check": name}
        | compare(*_means(part.loc[part[column]], means, name), seed=_seed(seed, a, b, state, kind, name))
        | {"matches": int(part.loc[part[column], name].notna().sum())}
        for (a, b, state), part in _groups(judged, _STATE)
        for kind, column in KINDS.items()
        for name in CHECKS
    ]
    return CheckedMatches(judged, random, pd.DataFrame(tests), _planes(judged, limits))


def _groups(table: pd.DataFrame, columns: list[str]) -> Iterator[tuple[tuple[str, ...], pd.DataFrame]]:
    """Rows by the text in some columns, in order of that text."""
    for key, part in table.groupby(columns, sort=True):
        assert isinstance(key, tuple)
        yield tuple(map(str, key)), part


def _measure(
    pairs: pd.DataFrame, encoder: meaning.SentenceEncoder | None, voices: phones.Phones | None
) -> dict[str, Float[np.ndarray, " P"]]:
    """Columns `meaning` and `sound_distance`; two words of two languages are compared once.

    Words are encoded without the punctuation around them, which would make those at a sentence's end alike.
    """
    values = {name: np.full(len(pairs), np.nan) for name in CHECKS}
    real = np.flatnonzero(((pairs["word_index_a"] >= 0) & (pairs["word_index_b"] >= 0)).to_numpy(bool))
    known = pairs[["language_a", "word_a", "language_b", "word_b"]].iloc[real].reset_index(drop=True)
    each = known.drop_duplicates()
    where = known.merge(each.reset_index(names="which"), how="left")["which"].to_numpy(int)
    place = np.searchsorted(each.index.to_numpy(int), where)
    if encoder is not None and len(each):
        values["meaning"][real] = _meanings(each, encoder)[place]
    if voices is not None and len(each):
        sides = []
        for language, word in (("language_a", "word_a"), ("language_b", "word_b")):
            read = {code: voices.of(str(code), part) for code, part in each.groupby(language)[word]}
            sides.append([read[code][text] for code, text in zip(each[language], each[word], strict=True)])
        values["sound_distance"][real] = phones.distances(list(zip(*sides, strict=True)))[place]
    return values


def _meanings(words: pd.DataFrame, encoder: meaning.SentenceEncoder) -> Float[np.ndarray, " P"]:
    """Cosine of each two words; NaN where the encoder doesn't know one of the languages."""
    codes = [words["language_a"].astype(str), words["language_b"].astype(str)]
    unread = list(encoder.unread({code for side in codes for code in side}))
    known = np.flatnonzero(~(codes[0].isin(unread) | codes[1].isin(unread)).to_numpy(bool))
    bare = [[tables.bare(str(word)) for word in words[f"word_{side}"].iloc[known]] for side in "ab"]
    values = np.full(len(words), np.nan)
    if len(known):
        values[known] = meaning.cosine(encoder.of({*bare[0], *bare[1]}), *bare)
    return values


def _draw(pairs: pd.DataFrame, columns: list[str], seed: int) -> pd.DataFrame:
    """DRAWS random word pairs of each sentence pair, which `columns` identify."""
    # Sorted, and seeded by names, so that neither the order of rows nor other language pairs change a draw.
    order = [*columns, "word_index_a", "word_index_b"]
    once = pairs.loc[:, [*order, *CHECKS]].drop_duplicates(order).sort_values(order)
    drawn = [np.zeros(0, int)]
    for key, where in once.groupby(columns, sort=True).indices.items():
        assert isinstance(key, tuple)
        rng = np.random.default_rng(_seed(seed, *key[:2], *key[-2:]))  # states of equal matches draw alike
        drawn.append(where[rng.integers(len(where), size=DRAWS)])
    return once.iloc[np.concatenate(drawn)].reset_index(drop=True).loc[:, [*columns, *CHECKS]]


def _seed(seed: int, *names: object) -> list[int]:
    """Entropy of a generator for `names`, the same in every process."""
    return [seed, zlib.crc32("\t".join(map(str, names)).encode())]


def _means(
    matches: pd.DataFrame, random: pd.DataFrame, name: str
) -> tuple[Float[np.ndarray, " K"], Float[np.ndarray, " K"]]:
    """Means over the matches and over the random pairs of each sentence pair that has both."""
    # Matches of one sentence pair share words and noise, so its mean is one observation.
    found = pd.DataFrame({"matched": matches.groupby(_SENTENCES)[name].mean()})
    both = found.join(pd.DataFrame({"random": random[name]})).dropna()
    return both["matched"].to_numpy(), both["random"].to_numpy()


def compare(
    matched: Float[np.ndarray, " K"], random: Float[np.ndarray, " K"], *, seed: int | list[int]
) -> dict[str, float | int]:
    """Statistics of one comparison of K sentence pairs, NaN if K is too small; `seed` is of sign flips."""
    differences = matched - random
    n = len(differences)
    mean = float(differences.mean()) if n else np.nan
    deviation = float(differences.std(ddof=1)) if n > 1 else np.nan
    figures = dict.fromkeys(("low", "high", "t", "p_t", "d_z"), np.nan)
    if deviation > 1e-12:  # equal differences have no t
        test = stats.ttest_rel(matched, random)
        low, high = test.confidence_interval(0.95)
        values = (low, high, test.statistic, test.pvalue, mean / deviation)
        figures = dict(zip(figures, map(float, values), strict=True))
    return {
        "n": n,
        "matched": float(matched.mean()) if n else np.nan,
        "random": float(random.mean()) if n else np.nan,
        "difference": mean,
        **figures,
        "p_permutation": sign_flip_p(differences, seed=seed) if n else np.nan,
    }


def sign_flip_p(differences: Float[np.ndarray, " K"], *, seed: int | list[int]) -> float:
    """Two-sided p of a permutation test that flips the signs of differences.

    All flips are tried if there are at most FLIPS; otherwise random ones, and the data's own signs count as
    one more (Phipson and Smyth 2010), so that p is never 0.
    """
    if len(differences) == 1:
        return 1.0  # either sign is as far from 0
    # Under the null hypothesis matched and random could change places: each difference has either sign.
    # The one-sided test of |mean|: SciPy's own two-sided p, twice the smaller tail, would be at least
    # 2 / (FLIPS + 1).
    test = stats.permutation_test(
        (differences,),
        lambda flipped, axis: np.abs(np.mean(flipped, axis=axis)),
        permutation_type="samples",
        vectorized=True,
        n_resamples=FLIPS,
        batch=max(1, _BATCH // len(differences)),
        alternative="greater",
        rng=np.random.default_rng(seed),
    )
    return float(test.pvalue)


def _limits(random: pd.DataFrame) -> tuple[float, float]:
    """Cosine above which, and distance below which, only TAIL of the random word pairs are."""
    cosines, distances = (random[name].dropna().to_numpy(float) for name in CHECKS)
    return (
        float(np.quantile(cosines, 1 - TAIL)) if cosines.size else np.nan,
        float(np.quantile(distances, TAIL)) if distances.size else np.nan,
    )


def _alike(pairs: pd.DataFrame, limits: Mapping[tuple[str, ...], tuple[float, float]]) -> pd.Series:
    """Column `alike` of word pairs, by the limits of their language pair and state."""
    alike = pd.Series(None, index=pairs.index, dtype=object)
    for key, part in _groups(pairs, _STATE):
        least, most = limits.get(key, (np.nan, np.nan))
        known = part.dropna(subset=list(CHECKS))
        if np.isnan(least) or np.isnan(most):
            continue
        which = 2 * (known["meaning"] > least) + (known["sound_distance"] < most)
        alike[known.index] = np.array(ALIKE, object)[which.to_numpy(int)]
    return alike


def _planes(pairs: pd.DataFrame, limits: Mapping[tuple[str, ...], tuple[float, float]]) -> pd.DataFrame:
    rows = []
    for (a, b, state), part in _groups(pairs, _STATE):
        least, most = limits.get((a, b, state), (np.nan, np.nan))
        for kind, column in KINDS.items():
            counts = part.loc[part[column], "alike"].value_counts()
            rows.append(
                {"language_a": a, "language_b": b, "state": state, "kind": kind}
                | {name: int(counts.get(name, 0)) for name in reversed(ALIKE)}
                | {"meaning_limit": least, "sound_limit": most}
            )
    return pd.DataFrame(rows)
