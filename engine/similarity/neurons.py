"""The neurons job: reads activation stores with neurons, writes a table of NeuronXA for every language pair.

The unit of work is a pair of languages. Pairs are taken block by block as the grid's are, and the languages
of two blocks stay in memory, and one more while it is read: 350 utterances of Whisper large take 460 MB.
Finished pairs are part files under OUT/parts.
"""

import dataclasses
import itertools
import math
import pathlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from isogloss.engine.activations import language_blocks, store_languages
from isogloss.engine.activations.language_states import (
    DamagedError,
    GridLanguage,
    agreement,
    open_languages,
)
from isogloss.engine.activations.stored_neurons import NAME
from isogloss.engine.grid.grid_axes import Pair, pair_name
from isogloss.engine.retrieval.derived import BASELINE, DERIVED, Given
from isogloss.engine.runtime import data_dictionary, disk_faults, json_values, table_files
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.part_files import PartFiles
from isogloss.engine.runtime.refusal import Refusal, UnreadableError
from isogloss.engine.similarity import neuron_alignment, unit_run
from isogloss.engine.similarity.neuron_alignment import Alignment
from isogloss.engine.similarity.neurons_config import NeuronsConfig
from isogloss.engine.similarity.unit_run import UnitJob, UnitSummary
from isogloss.engine.whisper.neurons import STATISTICS

LANGUAGE_MEAN = ("kept", "removed")
ALL_BLOCKS = "mean"
_COLUMNS = pathlib.Path(__file__).with_name(data_dictionary.NAME)
_LAYOUT = 2  # of the parts; another number makes older parts unfindable
_TEXT = ("language_a", "language_b", "block", "statistic", "language_mean", "index", "weights")
_OF_LENGTH = tuple(f"duration_{field}" for field in Alignment._fields)
SCHEMA = pa.schema(
    {
        **dict.fromkeys(_TEXT, pa.string()),
        "n": pa.int32(),
        **dict.fromkeys((*Alignment._fields, "chance", *_OF_LENGTH), pa.float64()),
    }
)
Neurons = Float[np.ndarray, "U L K F"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class NeuronsSummary(UnitSummary):
    """Result of a run; units are pairs of languages."""

    def sentence(self, config: NeuronsConfig) -> str:
        """Place of the table, or what it waits for."""
        return self.stored(config, "pairs of languages")


def run(config: NeuronsConfig) -> NeuronsSummary:
    """Summary of a run that computes the missing pairs, and writes the table if none is left.

    Raises:
      Refusal: there are fewer than two languages, of different models, without neurons or too large for the
        memory, or OUT can't be written to.
      OSError: the table can't be written.
    """
    stores = store_languages.compared(config.store, config.languages, "neurons")
    members = open_languages(list(stores.values()))
    for code, member in members.items():
        if NAME not in member.store.arrays:
            raise Refusal(
                f"{member.store.path}: has no neurons of {code}; extract it to another --store with --neurons"
            )
    settings = [_LAYOUT, agreement(members), config.weights]
    made_of = {code: json_values.fingerprint(member.recordings()) for code, member in members.items()}
    pairs = list(itertools.combinations(sorted(members), 2))
    keys = {pair_name((a, b)): json_values.fingerprint([settings, made_of[a], made_of[b]]) for a, b in pairs}

    def size(pairs: Sequence[Pair]) -> int:
        return block_size(config, members, pairs)

    held = _Held(members, size)

    def write(table: pa.Table) -> dict[str, Json]:
        table_files.write_both(table, config.out / "neurons")
        data_dictionary.write(config.out, _COLUMNS)
        return {"rows": table.num_rows}

    job = UnitJob[Pair](
        name="neurons",
        members=members,
        units=pairs,
        in_order=held.in_order,
        label=pair_name,
        parts=PartFiles(folder=config.out / "parts" / "neurons", keys=keys),
        schema=SCHEMA,
        rows=lambda pair: _table(pair, members, held.of(pair), config.weights),
        plan=lambda pairs: _plan(members, pairs, size(pairs)),
        estimated_seconds=lambda pairs: math.ceil(_seconds(members, len(pairs))),
        settings={},
        outputs=write,
    )
    return unit_run.run(job, config, NeuronsSummary)


def block_size(config: NeuronsConfig, members: Mapping[str, GridLanguage], pairs: Sequence[Pair]) -> int:
    """Number of languages in a block, so that two blocks of those in `pairs` fit memory; 1 without pairs.

    One language more must fit: while a language is read, its utterances exist alone and as one array.

    Raises:
      Refusal: two languages and one more don't fit.
    """
    if not pairs:
        return 1
    largest = max(len(members[code].rows) for pair in pairs for code in pair) * _bytes(members)
    # One place is for the language that is being read.
    fit = int(config.memory_gb * 1e9 / largest) - 1
    if fit < 2:
        raise Refusal(
            f"--memory_gb={config.memory_gb} is too little: two languages of up to {largest / 1e9:.3f} GB, "
            f"and as much again to read one, must fit; give at least {math.ceil(3 * largest / 1e6) / 1e3:.3f}"
        )
    return fit // 2


class _Held:
    """Neurons of languages, read when a pair needs them and kept while its blocks are at work."""

    def __init__(self, members: Mapping[str, GridLanguage], size: Callable[[Sequence[Pair]], int]) -> None:
        self._members, self._size = members, size
        self._kept: dict[Pair, frozenset[str]] = {}
        self._held: dict[str, Neurons] = {}

    def in_order(self, pairs: Sequence[Pair]) -> Sequence[Pair]:
        """The same pairs, block by block."""
        self._kept = dict(language_blocks.blocks(pairs, self._size(pairs)))
        return [*self._kept]

    def of(self, pair: Pair) -> Mapping[str, Neurons]:
        """Neurons of both languages; DamagedError if they can't be read."""
        # Dropped before the next is read, or three blocks would be in memory.
        self._held = {code: values for code, values in self._held.items() if code in self._kept[pair]}
        for code in pair:
            if code not in self._held:
                member = self._members[code]
                try:
                    self._held[code] = np.stack(member.store.read_neurons(member.rows))
                except UnreadableError as error:
                    remedy = "; run verify --repair on the store, then extract again"
                    raise DamagedError(disk_faults.with_remedy(error, remedy)) from error
        return self._held


def _plan(members: Mapping[str, GridLanguage], pairs: Sequence[Pair], size: int) -> dict[str, int | float]:
    counts = {code: len(member.rows) for code, member in members.items()}
    read = language_blocks.arrivals(language_blocks.blocks(pairs, size))
    products = sum(counts[a] * counts[b] for a, b in pairs)
    return {
        "pairs": len(pairs),
        "flops": 2 * len(LANGUAGE_MEAN) * math.prod(_shape(members)) * products,
        "bytes": sum(counts[code] for _, codes in read for code in codes) * _bytes(members),
    }


def _bytes(members: Mapping[str, GridLanguage]) -> int:
    """Bytes of an utterance's neurons."""
    return math.prod(_shape(members)) * next(iter(members.values())).store.dtype.itemsize


def _table(
    pair: Pair, members: Mapping[str, GridLanguage], neurons: Mapping[str, Neurons], weights: str
) -> pa.Table:
    both = [members[code] for code in pair]
    return pa.Table.from_pylist(list(_rows(pair, both, neurons, weights)), schema=SCHEMA)


def _rows(
    pair: Pair, both: Sequence[GridLanguage], neurons: Mapping[str, Neurons], weights: str
) -> Iterator[dict[str, str | int | float]]:
    """Rows of a pair: each statistic by block, then their means, with language means and without."""
    common = [s for s in both[0].sentences if s in set(both[1].sentences)]
    rows = [[member.sentences.index(s) for s in common] for member in both]
    key = {"language_a": pair[0], "language_b": pair[1], "weights": weights, "n": len(common)}
    key["chance"] = 1 / len(common) if common else math.nan
    key |= dict(zip(_OF_LENGTH, _by_length(both, rows), strict=True))
    for (k, statistic), removed in itertools.product(enumerate(STATISTICS), LANGUAGE_MEAN):
        found = []
        for block in range(neurons[pair[0]].shape[1]):
            sides = [neurons[code][:, block, k] for code in pair]
            # Over all sentences of a language, not the common ones: a mean doesn't vary by pair.
            if removed == "removed":
                sides = [neuron_alignment.centred(side) for side in sides]
            x, y = (side[where] for side, where in zip(sides, rows, strict=True))
            found.append(neuron_alignment.alignment(x, y))
        own = key | {"statistic": statistic, "language_mean": removed}
        for block, each in enumerate(found):
            yield own | {"block": str(block + 1), "index": ""} | each._asdict()
        mean = neuron_alignment.mean(found, weights)._asdict()
        # NeuronXA defines its indices for neurons as they are.
        index = neuron_alignment.INDICES.get(statistic, "") if removed == "kept" else ""
        yield own | {"block": ALL_BLOCKS, "index": index} | mean


def _by_length(both: Sequence[GridLanguage], rows: Sequence[Sequence[int]]) -> Alignment:
    """Alignment by the numbers of frames of the common sentences, and nothing else."""
    n, m = (member.frames[list(where)] for member, where in zip(both, rows, strict=True))
    return neuron_alignment.of_scores(DERIVED[BASELINE].derive(Given(arrays={}, n=n, m=m)))


def _seconds(members: Mapping[str, GridLanguage], pairs: int) -> float:
    """Estimate by one comparison of random neurons of this size."""
    n = max(len(member.rows) for member in members.values())
    blocks, statistics, width = _shape(members)
    x = np.random.default_rng(0).standard_normal((2, n, width))
    begin = time.monotonic()
    neuron_alignment.alignment(*x)
    return pairs * blocks * statistics * len(LANGUAGE_MEAN) * (time.monotonic() - begin)


def _shape(members: Mapping[str, GridLanguage]) -> tuple[int, ...]:
    """Blocks, statistics and neurons of every utterance."""
    return tuple(next(iter(members.values())).store.group.arrays[NAME]["shape"][1:])
