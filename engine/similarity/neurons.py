"""The neurons job: reads activation stores with neurons, writes a table of NeuronXA for every language pair.

The unit of work is a pair of languages: both are in memory, 350 utterances of Whisper large take 460 MB each,
and the first one stays for all its pairs. Finished pairs are part files under OUT/parts.
"""

import dataclasses
import itertools
import logging
import math
import time
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
from jaxtyping import Float

from isogloss.engine.activations import activation_store
from isogloss.engine.activations.language_states import GridLanguage, agreement, open_languages
from isogloss.engine.activations.stored_neurons import NAME
from isogloss.engine.runtime import atomic_write, json_values, sentences, version, written_once
from isogloss.engine.runtime.part_files import PartFiles
from isogloss.engine.runtime.progress import Progress
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.similarity import neuron_alignment, outputs
from isogloss.engine.similarity.neuron_alignment import Alignment
from isogloss.engine.similarity.neurons_config import NeuronsConfig
from isogloss.engine.whisper.neurons import STATISTICS

LANGUAGE_MEAN = ("kept", "removed")
ALL_BLOCKS = "mean"
_TEXT = ("language_a", "language_b", "block", "statistic", "language_mean", "index", "weights")
SCHEMA = pa.schema(
    {
        **dict.fromkeys(_TEXT, pa.string()),
        "n": pa.int32(),
        **dict.fromkeys((*Alignment._fields, "chance"), pa.float64()),
    }
)
_LOG = logging.getLogger(__name__)
Pair = tuple[str, str]
Neurons = Float[np.ndarray, "U L K F"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class NeuronsSummary:
    """Result of a run; units are pairs of languages, of this process's share.

    Attributes:
      done: pairs computed by this run.
      skipped: pairs computed by earlier runs.
      failed: reasons by pair that couldn't be computed.
      missing: broken utterances that a language's store lacks, by language; they are left out.
      waiting: pairs of other shards that aren't done; the table is written when there are none.
      rows: rows of the table.
      table: path of the table; None while other shards are unfinished.
      seconds: duration of the run.
      pairs_per_second: throughput.
      plan: work to do: pairs, FLOPs, bytes to read.
    """

    done: int = 0
    skipped: int
    failed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    missing: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    waiting: int = 0
    rows: int = 0
    table: str | None = None
    seconds: float
    pairs_per_second: float = 0.0
    plan: Mapping[str, int | float]

    @property
    def complete(self) -> bool:
        """True if every pair is computed and no recording is broken."""
        return not self.failed and not any(self.missing.values())

    def sentence(self, config: NeuronsConfig) -> str:
        """Place of the table, or what it waits for."""
        start = sentences.stored(
            self.done, self.skipped, len(self.failed), "pairs of languages", config.out, config.share
        )
        if self.table is None:
            return f"{start}; the table waits for {self.waiting:,} of other shards"
        return f"{start}; the table is {self.table}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Work:
    """Languages and part files of a run."""

    members: Mapping[str, GridLanguage]
    parts: PartFiles

    @property
    def pairs(self) -> list[Pair]:
        return list(itertools.combinations(sorted(self.members), 2))


def name(pair: Pair) -> str:
    """Name of a pair's part, and in messages."""
    return "-".join(pair)


def run(config: NeuronsConfig) -> NeuronsSummary:
    """Summary of a run that computes the missing pairs, and writes the table if none is left.

    Raises:
      Refusal: there are fewer than two languages, of different models or without neurons, or OUT can't be
        written to.
      OSError: the table can't be written.
    """
    start = time.monotonic()
    work = _open(config)
    mine = config.share.of(work.pairs)
    todo = [pair for pair in mine if not work.parts.kept(name(pair))]
    skipped, plan = len(mine) - len(todo), _plan(work, todo)
    if config.dry_run:
        return NeuronsSummary(skipped=skipped, seconds=round(time.monotonic() - start, 3), plan=plan)
    for folder in (config.out, work.parts.folder):
        atomic_write.make_folder(folder)
    failed = _compute(config, work, todo, skipped)
    others = [pair for pair in work.pairs if pair not in set(mine)]
    waiting = [pair for pair in others if work.parts.awaited(name(pair))]
    rows = 0
    if not waiting:
        unmade = [pair for pair in others if not work.parts.kept(name(pair))]
        failed |= _compute(config, work, unmade, 0) if unmade else {}
        rows = _write_once(config, work)
    seconds = time.monotonic() - start
    return NeuronsSummary(
        done=len([pair for pair in todo if name(pair) not in failed]),
        skipped=skipped,
        failed=failed,
        missing={code: member.broken for code, member in work.members.items() if member.broken},
        waiting=len(waiting),
        rows=rows,
        table=None if waiting else str(config.out / "neurons.parquet"),
        seconds=round(seconds, 3),
        pairs_per_second=round(len(todo) / seconds, 3),
        plan=plan,
    )


def _open(config: NeuronsConfig) -> _Work:
    stores = activation_store.compared(config.store, config.languages, "neurons")
    found = open_languages(list(stores.values()))
    for code, member in found.items():
        if NAME not in member.store.arrays:
            raise Refusal(
                f"{member.store.path}: has no neurons of {code}; extract it to another --store with --neurons"
            )
    settings = [agreement(found), config.weights]
    made_of = {code: json_values.fingerprint(member.recordings()) for code, member in found.items()}
    keys = {
        name((a, b)): json_values.fingerprint([settings, made_of[a], made_of[b]])
        for a, b in itertools.combinations(sorted(found), 2)
    }
    return _Work(members=found, parts=PartFiles(folder=config.out / "parts", keys=keys))


def _plan(work: _Work, pairs: Sequence[Pair]) -> dict[str, int | float]:
    counts = {code: len(member.rows) for code, member in work.members.items()}
    store = next(iter(work.members.values())).store
    size, itemsize = math.prod(store.group.arrays[NAME]["shape"][1:]), store.dtype.itemsize
    read = sum(sum(counts[code] for code in pair) for pair in pairs)
    products = sum(counts[a] * counts[b] for a, b in pairs)
    return {
        "pairs": len(pairs),
        "flops": 2 * len(LANGUAGE_MEAN) * size * products,
        "bytes": read * size * itemsize,
    }


def _compute(config: NeuronsConfig, work: _Work, pairs: Sequence[Pair], before: int) -> dict[str, str]:
    """Reasons of the pairs that couldn't be computed, after storing the others."""
    failed: dict[str, str] = {}
    held: dict[str, Neurons] = {}
    progress = Progress("neurons", before + len(pairs), "pairs", before=before)
    for pair in pairs:
        held = {code: values for code, values in held.items() if code in pair}
        try:
            for code in pair:
                if code not in held:
                    member = work.members[code]
                    held[code] = np.stack(member.store.read_neurons(member.rows))
            rows = list(_rows(pair, [work.members[code] for code in pair], held, config.weights))
            work.parts.save_tables(name(pair), pa.Table.from_pylist(rows, schema=SCHEMA))
        except ValueError as error:  # a checksum error of TensorStore is one
            failed[name(pair)] = f"{error}; run verify --repair on the store, then extract again"
            work.parts.note(name(pair), failed[name(pair)])
            _LOG.error("%s: %s", name(pair), failed[name(pair)])
        progress.advance(stored=name(pair) not in failed)
    progress.close()
    return failed


def _rows(
    pair: Pair, both: Sequence[GridLanguage], neurons: Mapping[str, Neurons], weights: str
) -> Iterator[dict[str, str | int | float]]:
    """Rows of a pair: each statistic by block, then their means, with language means and without."""
    common = [s for s in both[0].sentences if s in set(both[1].sentences)]
    rows = [[member.sentences.index(s) for s in common] for member in both]
    key = {"language_a": pair[0], "language_b": pair[1], "weights": weights, "n": len(common)}
    key["chance"] = 1 / len(common) if common else math.nan
    for (k, statistic), removed in itertools.product(enumerate(STATISTICS), LANGUAGE_MEAN):
        found = []
        for block in range(neurons[pair[0]].shape[1]):
            sides = [neurons[code][:, block, k] for code in pair]
            if removed == "removed":
                sides = [neuron_alignment.centred(side) for side in sides]
            x, y = (side[where] for side, where in zip(sides, rows, strict=True))
            found.append(neuron_alignment.alignment(x, y))
        own = key | {"statistic": statistic, "language_mean": removed}
        for block, each in enumerate(found):
            yield own | {"block": str(block + 1), "index": ""} | each._asdict()
        mean = neuron_alignment.mean(found, weights)._asdict()
        index = neuron_alignment.INDICES.get(statistic, "") if removed == "kept" else ""
        yield own | {"block": ALL_BLOCKS, "index": index} | mean


def _write_once(config: NeuronsConfig, work: _Work) -> int:
    kept = [pair for pair in work.pairs if work.parts.kept(name(pair))]
    made_of = [version.isogloss_version(), [work.parts.keys[name(pair)] for pair in kept]]

    def write() -> int:
        parts = [work.parts.table(name(pair)) for pair in kept]
        whole = pa.concat_tables([SCHEMA.empty_table(), *parts])
        outputs.write(whole, config.out / "neurons")
        return whole.num_rows

    rows, _ = written_once.write(config.out, "neurons", made_of, write)
    assert isinstance(rows, int)
    return rows
