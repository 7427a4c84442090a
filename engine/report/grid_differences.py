"""Differences of R@1 between every two grids: contrasts of each language pair, and of means over pairs.

Each pair is read once, and its rows are written before the next one is read: 102 languages, 34 states and 22
scorings make 8 million rows, of which memory holds p and, while they are written, 65,536. All contrasts are
on the sentences that a pair has in both grids.
"""

import dataclasses
import functools
import itertools
import logging
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Bool, Float, Int

from isogloss.engine.grid import grid_store
from isogloss.engine.grid.grid_store import Pair
from isogloss.engine.report.reported_grids import Reported
from isogloss.engine.retrieval import contrasts, summaries, table as retrieval_table
from isogloss.engine.retrieval.pair_metrics import Scored
from isogloss.engine.retrieval.scorings import Scoring
from isogloss.engine.runtime import atomic_write, table_files
from isogloss.engine.runtime.name_lists import first_names

_LOG = logging.getLogger(__name__)
COMPARED = ("same state", "best state")
"""Kinds of differences: of states of one name, or of each grid's best state of that pair and scoring."""
BEST = "best"
"""State of a mean over pairs at the best state of each."""
_TEXT = ("grid", "other_grid", "compared", "language_a", "language_b", "direction", "measure", "correction")
_SHARES = ("recall_at_1", "other_recall_at_1", *contrasts.VALUES)
SCHEMA = pa.schema(
    {
        **dict.fromkeys((*_TEXT, "state", "other_state"), pa.string()),
        "n": pa.int32(),
        **dict.fromkeys((*_SHARES, "q"), pa.float64()),
    }
)
_KEYS = ("grid", "other_grid", "compared", "measure", "correction", "state", "other_state")
_ENDS = ("sentences_low", "sentences_high", "languages_low", "languages_high")
MEAN_SCHEMA = pa.schema(
    {
        **dict.fromkeys(_KEYS, pa.string()),
        "pairs": pa.int32(),
        **dict.fromkeys((*_SHARES[:3], *_ENDS, "p", "q"), pa.float64()),
    }
)
_ROWS = 65536  # of a row group
Hits = Bool[np.ndarray, "K 2 n"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Two:
    """Two grids side by side.

    Attributes:
      labels: their names.
      one: the first.
      other: the second.
    """

    labels: tuple[str, str]
    one: Reported
    other: Reported

    @functools.cached_property
    def pairs(self) -> list[Pair]:
        """Language pairs that both have, in the order of the first."""
        # A pair that is held the other way round isn't compared; `_name_uncompared` logs it.
        others = set(self.other.grid.pairs)
        return [pair for pair in self.one.grid.pairs if pair in others]

    @functools.cached_property
    def scorings(self) -> list[Scoring]:
        """Scorings that both have."""
        return [each for each in self.one.scorings if each in self.other.scorings]

    @functools.cached_property
    def sentences(self) -> dict[str, int]:
        """Position of each sentence on the axis of the first."""
        return {name: i for i, name in enumerate(self.one.grid.sentences)}

    @functools.cached_property
    def states(self) -> list[tuple[int, int]]:
        """Indices of the states of one name."""
        names = self.other.grid.states
        return [(s, names.index(name)) for s, name in enumerate(self.one.grid.states) if name in names]


def twos(of_each: Mapping[str, Reported]) -> list[Two]:
    """Every two of some grids, by label."""
    return [
        Two(labels=(label, other_label), one=one, other=other)
        for (label, one), (other_label, other) in itertools.combinations(of_each.items(), 2)
    ]


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Compared:
    """Rows of one language pair: what is compared, and the hits of both grids.

    Attributes:
      index: `COMPARED`, scoring, state, other state.
      hits: of both grids, by row, direction and sentence.
      sentences: positions on the first grid's axis.
      whole: True if every row that can be there is.
    """

    index: Int[np.ndarray, "K 4"]
    hits: tuple[Hits, Hits]
    sentences: Int[np.ndarray, " n"]
    whole: bool


def _of_pair(two: Two, pair: Pair) -> _Compared | None:
    """Rows of a language pair; None if there is no sentence or no state to compare."""
    # R@1 depends on the number of candidates, so both grids are ranked among the same sentences.
    shared = two.one.sentences(pair) & two.other.sentences(pair)
    if not shared:
        return None
    sides = [each.figures(pair, shared) for each in (two.one, two.other)]
    figures, (names, other_names) = [found for found, _ in sides], (names for _, names in sides)
    # Grids may hold the same sentences in another order; the test pairs hits by sentence.
    order = [other_names.index(name) for name in names] if names != other_names else slice(None)
    places = np.array([[each.scorings.index(s) for s in two.scorings] for each in (two.one, two.other)])
    index = np.array(list(_rows(two, figures, places)), np.int64).reshape(-1, 4)
    if not len(index):
        return None
    here, there = (
        found.ranks[index[:, 2 + side], places[side, index[:, 1]]] == 1 for side, found in enumerate(figures)
    )
    return _Compared(
        index=index,
        hits=(here, there[..., order]),
        sentences=np.array([two.sentences[name] for name in names]),
        whole=len(index) == len(two.scorings) * (len(two.states) + 1),
    )


def _rows(
    two: Two, figures: Sequence[Scored], places: Int[np.ndarray, "2 V"]
) -> Iterator[tuple[int, int, int, int]]:
    """Rows of `_Compared.index`, scoring by scoring, as far as they are computed."""
    for v in range(len(two.scorings)):
        known = [found.computed[:, places[side, v]] for side, found in enumerate(figures)]
        for here, there in two.states:
            if known[0][here] and known[1][there]:
                yield 0, v, here, there
        if known[0].any() and known[1].any():
            best = [
                # A state without scores counts as -1, below any share of hits.
                int(np.where(known[side], (found.ranks[:, places[side, v]] == 1).mean((1, 2)), -1).argmax())
                for side, found in enumerate(figures)
            ]
            yield 1, v, best[0], best[1]


def _tabulated(two: Two, pair: Pair, found: _Compared) -> pa.Table:
    """Rows of a language pair as in the table, without q."""
    (here, there), n = found.hits, found.hits[0].shape[-1]
    values = contrasts.contrast(here.reshape(-1, n), there.reshape(-1, n))
    # Each row stands twice, for both directions, which `contrast` has side by side.
    compared, scoring, state, other = np.repeat(found.index, 2, axis=0).T
    same = np.zeros(len(compared), np.int64)
    texts = {
        **{
            name: retrieval_table.labels([label], same)
            for name, label in zip(_TEXT, two.labels, strict=False)
        },
        "compared": retrieval_table.labels(COMPARED, compared),
        "language_a": retrieval_table.labels([pair[0]], same),
        "language_b": retrieval_table.labels([pair[1]], same),
        "direction": retrieval_table.labels(retrieval_table.arrows([pair]), np.arange(len(same)) % 2),
        **retrieval_table.scoring_columns([each.name for each in two.scorings], scoring),
        "state": retrieval_table.labels(two.one.grid.states, state),
        "other_state": retrieval_table.labels(two.other.grid.states, other),
    }
    shares = (here.mean(-1).ravel(), there.mean(-1).ravel(), *values.T)
    numbers = {name: pa.array(column, pa.float64()) for name, column in zip(_SHARES, shares, strict=True)}
    return pa.table({**texts, "n": pa.array(np.full(len(same), n), pa.int32()), **numbers})


class _Sums:
    """Sums over the language pairs of two grids, for the differences of their means."""

    def __init__(self, two: Two) -> None:
        """Start without any pair."""
        self.two = two
        self.means = summaries.Means(len(two.one.grid.sentences))
        rows = len(two.scorings) * (len(two.states) + 1)
        self.shares = np.zeros((2, rows))
        self.by_sentence = np.zeros((len(two.one.grid.sentences), rows))

    def add(self, pair: Pair, found: _Compared) -> None:
        """Take in a pair; one that isn't wholly computed counts in no mean."""
        # Means over different sets of pairs couldn't be compared, state by state.
        if not found.whole:
            return
        here, there = found.hits
        # In int8, because a difference of booleans isn't defined.
        difference = here.astype(np.int8) - there
        self.means.add(pair, found.sentences, difference[:, None])
        self.shares += np.stack([here.mean((1, 2)), there.mean((1, 2))])
        self.by_sentence[found.sentences] += difference.mean(1).T / difference.shape[-1]

    def tabulated(self) -> pa.Table:
        """Rows of the table of means, without q; none if no pair is whole."""
        if not self.means.pairs:
            return MEAN_SCHEMA.remove(MEAN_SCHEMA.get_field_index("q")).empty_table()
        two, pairs = self.two, len(self.means.pairs)
        mean, by_sentence, by_language = (values[..., 0] for values in self.means.result())
        states = [*(two.one.grid.states[here] for here, _ in two.states), BEST]
        scoring, state = (axis.ravel() for axis in np.indices((len(two.scorings), len(states))))
        same = np.zeros(len(scoring), np.int64)
        ends = (*by_sentence, *by_language)
        numbers = (*(self.shares / pairs), mean, *ends, contrasts.flipped(self.by_sentence))
        names = (*_SHARES[:3], *_ENDS, "p")
        return pa.table(
            {
                **{
                    name: retrieval_table.labels([label], same)
                    for name, label in zip(_KEYS, two.labels, strict=False)
                },
                "compared": retrieval_table.labels(COMPARED, state == len(two.states)),
                **retrieval_table.scoring_columns([each.name for each in two.scorings], scoring),
                "state": retrieval_table.labels(states, state),
                "other_state": retrieval_table.labels(states, state),
                "pairs": pa.array(np.full(len(same), pairs), pa.int32()),
                **{name: pa.array(each, pa.float64()) for name, each in zip(names, numbers, strict=True)},
            }
        )


def write(out: pathlib.Path, of_each: Mapping[str, Reported], fdr: str) -> None:
    """Write grid_contrasts and grid_means as Parquet and CSV; q is over the rows of one `compared`."""
    compared: list[Int[np.ndarray, " K"]] = []
    p: list[Float[np.ndarray, " K"]] = []
    means = []

    def pieces() -> Iterator[pa.Table]:
        for two in twos(of_each):
            _name_uncompared(two)
            sums = _Sums(two)
            for pair in two.pairs:
                found = _of_pair(two, pair)
                if found is None:
                    continue
                sums.add(pair, found)
                made = _tabulated(two, pair, found)
                compared.append(np.repeat(found.index[:, 0], 2))
                p.append(made["p"].to_numpy())
                yield made
            means.append(sums.tabulated())

    # q needs the p of all rows, so the rows go to a draft first and get their q when it is read again.
    with atomic_write.draft(out / "grid_contrasts.parquet") as unfinished:
        without_q = SCHEMA.remove(SCHEMA.get_field_index("q"))
        table_files.write_parquet_in_pieces(without_q, _gathered(pieces()), unfinished)
        q = _q(compared, p, fdr)
        retrieval_table.write_in_pieces(
            SCHEMA.with_metadata({"fdr": fdr}),
            functools.partial(_with_q, unfinished, q),
            out,
            "grid_contrasts",
        )
    whole = pa.concat_tables(means)
    of_means = [np.array([COMPARED.index(each) for each in whole["compared"].to_pylist()], np.int64)]
    added = pa.array(_q(of_means, [whole["p"].to_numpy()], fdr), pa.float64())
    made = whole.append_column("q", added).cast(MEAN_SCHEMA).replace_schema_metadata({"fdr": fdr})
    retrieval_table.write_table(made, out, "grid_means")


def _gathered(tables: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """The tables one after the other, joined to such of `_ROWS` rows or more."""
    held: list[pa.Table] = []
    for each in tables:
        held.append(each)
        # Row groups of one language pair would make the file larger and slower to read.
        if sum(table.num_rows for table in held) >= _ROWS:
            yield pa.concat_tables(held).combine_chunks()
            held = []
    if held:
        yield pa.concat_tables(held).combine_chunks()


def _q(
    compared: Sequence[Int[np.ndarray, " _"]], p: Sequence[Float[np.ndarray, " _"]], fdr: str
) -> Float[np.ndarray, " R"]:
    if not p:
        return np.empty(0)
    return contrasts.false_discovery(np.concatenate(p), fdr, np.concatenate(compared))


def _with_q(path: pathlib.Path, q: Float[np.ndarray, " R"]) -> Iterator[pa.Table]:
    start = 0
    for piece in table_files.read_parquet_in_pieces(path):
        end = start + piece.num_rows
        yield piece.append_column("q", pa.array(q[start:end], pa.float64()))
        start = end


def _name_uncompared(two: Two) -> None:
    """Log the language pairs that one of two grids lacks, or holds the other way round."""
    pairs = dict(zip(two.labels, (two.one.grid.pairs, two.other.grid.pairs), strict=True))
    for here, there in (two.labels, two.labels[::-1]):
        held = set(pairs[there])
        if lone := [pair for pair in pairs[here] if pair not in held]:
            turned = [pair for pair in lone if pair[::-1] in held]
            _LOG.warning(
                "%d language pairs of %s aren't compared: %s lacks them%s: %s",
                len(lone),
                here,
                there,
                f" ({len(turned)} it holds the other way round)" if turned else "",
                first_names([grid_store.pair_name(pair) for pair in lone]),
            )
