"""Rooflines of the grid on paper: the shortest time that each part of it can take on a named accelerator.

A part takes the larger of its arithmetic over a peak and its bytes over a bandwidth (Williams, Waterman,
Patterson, "Roofline", CACM 52(4), 2009). Parts on the device follow each other; uploads and disk run beside
them. Nothing is measured and no device is needed. The work is that of FLEURS at large-v2: all lengths are the
mean, 13 s, because a product's cost depends on the sum of the lengths alone.
"""

import dataclasses
import itertools
import json
import math
import sys
import time
from collections.abc import Mapping, Sequence

import numpy as np

from isogloss.engine.activations import language_states
from isogloss.engine.bench.bench_config import BenchConfig
from isogloss.engine.bench.chips import CHIPS, Chip
from isogloss.engine.grid import grid_plan, grid_work
from isogloss.engine.runtime import amounts, atomic_write
from isogloss.engine.runtime.progress import seconds_since
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.runtime.text_table import text_table
from isogloss.kernels import pair_table

LAUNCH = 10e-6  # seconds of a step of a loop on a device, whatever it does: an assumption
DISK = 2e9  # bytes/s of a file system, read or written: an assumption
WANTED_PRODUCT, WANTED_GCUPS = 0.65, 300.0  # what the acceptance suite wants, see `acceptance`
_MEASURES = 3
_DTW_BYTES = 8  # read for a cell of the table
ON_DEVICE = ("product", "maxima", "distances", "DTW", "DTW launches")


@dataclasses.dataclass(frozen=True, kw_only=True)
class GridWork:
    """Work of a grid: every pair of languages at every state.

    Attributes:
      languages: all pairs of them are compared.
      states: of the encoder.
      utterances: of a language.
      frames: of an utterance.
      features: of a frame, 2 bytes each.
    """

    languages: int
    states: int
    utterances: int
    frames: int
    features: int

    @property
    def units(self) -> int:
        """Pairs of languages, each at each state."""
        return self.languages * (self.languages - 1) // 2 * self.states

    @property
    def cells(self) -> float:
        """Cosines of one pair of languages at one state."""
        return float(self.utterances * self.frames) ** 2

    @property
    def language_bytes(self) -> float:
        """Bytes of a language's frames at one state, as they are stored."""
        return 2.0 * self.utterances * self.frames * self.features

    @property
    def shapes(self) -> list[tuple[int, int]]:
        """Utterances and frames of a language's groups on a device, padding included."""
        return language_states.device_shapes(np.full(self.utterances, self.frames, np.int32), 1)

    @property
    def padded(self) -> int:
        """Frames of a language on a device, padding included."""
        return sum(u * n for u, n in self.shapes)

    @property
    def upload_bytes(self) -> int:
        """Bytes of a language at one state as they are sent, padding included."""
        return 2 * self.padded * self.features

    @property
    def scores_bytes(self) -> float:
        """Bytes of the scores of one pair at one state."""
        return 4.0 * _MEASURES * self.utterances**2


FLEURS = GridWork(languages=102, states=34, utterances=344, frames=650, features=1280)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Part:
    """One part of the work on one chip.

    Attributes:
      name: such as "product".
      limit: what its time follows from.
      pair: seconds of one pair at one state that stands alone.
      all: seconds of all pairs at all states on one chip.
    """

    name: str
    limit: str
    pair: float
    all: float


@dataclasses.dataclass(frozen=True, kw_only=True)
class Roofline:
    """Roofline of one chip.

    Attributes:
      chip: as --device names it.
      parts: with the tile of cosines in memory, as XLA has it.
      fused: seconds of a pair on the device with a kernel that keeps the tile in registers, without DTW.
      bound: part that bounds all of the work.
      pair_seconds: of one pair at one state; uploads and disk run beside the device.
      all_hours: of all the work on one chip, by these bounds.
      wanted_hours: the same at the shares that the acceptance suite wants of product and DTW.
      uploads: of a language at a state, in all.
    """

    chip: str
    parts: tuple[Part, ...]
    fused: float
    bound: str
    pair_seconds: float
    all_hours: float
    wanted_hours: float
    uploads: int


def _memory(chip: Chip) -> int:
    """Bytes that JAX offers."""
    return int(chip.offered * chip.memory)


def block_size(work: GridWork, chip: Chip) -> int:
    """Number of languages in a block, as the grid job plans it for seqsim and DTW with its defaults.

    Raises:
      Refusal: the chip's memory is too small for two blocks; the job would refuse, too.
    """
    memory = _memory(chip)
    room = grid_plan.device_room(memory, pair_table.scan_bytes(memory))
    language = grid_plan.language_bytes(work.padded, work.features, 2 * chip.parts)
    block = grid_plan.languages_of_block(room, language, work.upload_bytes)
    if block < 1:
        raise Refusal(
            f"{chip.label}: {amounts.size(room)} beside a scan of DTW are too little for the grid job, whose "
            f"two blocks hold at least a language each, of {amounts.size(language)} at one state; give "
            "GridWork fewer utterances or frames, or name a chip with more memory"
        )
    return block


def uploads(work: GridWork, chip: Chip) -> int:
    """Number of times that a language at a state is copied to the device, in the job's order of work.

    Of one state times the number of states, because nothing stays from one state to the next.
    """
    pairs = tuple(itertools.combinations([f"{i:06d}" for i in range(work.languages)], 2))
    units = [(0, pair) for pair in range(len(pairs))]
    arriving = (visit.arriving for visit in grid_work.visits(units, pairs, block_size(work, chip)))
    return work.states * sum(map(len, arriving))


def parts(work: GridWork, chip: Chip, copied: int) -> tuple[Part, ...]:
    """Shortest time of every part.

    Bytes of a cell: the product writes the float32 cosine; maxima of rows and of columns read it; the
    distance is written once; DTW reads it with as many lanes outside of the table, for N = M, while the last
    two anti-diagonals stay in the cache. `copied` is the number of uploads of a language at a state.
    """
    cells, units = work.cells, work.units
    read, written = 2 * work.language_bytes, work.scores_bytes
    on_device = (
        ("product", "arithmetic", 2 * work.features * cells * chip.parts**2 / chip.product),
        ("maxima", "memory", max(12 * cells / chip.bandwidth, _comparing(work, chip))),
        ("distances", "memory", 4 * cells / chip.bandwidth),
        ("DTW", "memory", _DTW_BYTES * cells / chip.bandwidth),
        ("DTW launches", "latency", steps(work, chip) * LAUNCH),
    )
    found = [Part(name=name, limit=limit, pair=pair, all=units * pair) for name, limit, pair in on_device]
    link = 2 * work.upload_bytes / chip.link, copied * work.upload_bytes / chip.link
    found.append(Part(name="uploads", limit="link", pair=link[0], all=link[1]))
    disk = (read + written) / DISK, (copied * work.language_bytes + units * written) / DISK
    return (*found, Part(name="disk", limit="disk", pair=disk[0], all=disk[1]))


def steps(work: GridWork, chip: Chip) -> int:
    """Steps of DTW of one pair at one state, in the job's scans of its groups with its defaults."""
    found, scan = 0, pair_table.scan_bytes(_memory(chip))
    for (u, n), (v, m) in itertools.product(work.shapes, repeat=2):
        size = pair_table.sizes((u, v), n, m, scan)
        scans = math.ceil(u / size.scan) * math.ceil(v / (size.blocks * size.block))
        found += scans * (n + m - 1)
    return found


def full_scan(work: GridWork, chip: Chip) -> tuple[int, float]:
    """(lanes of a step, most GCUPS by its launches) of a scan of DTW of two full groups in the job.

    At most, because groups and the numbers of 32-bit indices are limited: more lanes can't be had.
    """
    count, padded = language_states.device_shapes(np.full(1000, work.frames, np.int32), 1)[-1]
    size = pair_table.sizes((count, count), padded, padded, pair_table.scan_bytes(_memory(chip)))
    pairs = size.scan * size.blocks * size.block
    return pairs * padded, pairs * work.frames**2 / ((2 * padded - 1) * LAUNCH) / 1e9


def _comparing(work: GridWork, chip: Chip) -> float:
    """Seconds of a pair's comparisons, two for each cosine.

    A vector unit's FLOP/s count a multiplication and an addition at once; a comparison takes as long as both.
    """
    return 2 * work.cells / (chip.vector / 2) if chip.vector else 0.0


def roofline(name: str, work: GridWork = FLEURS) -> Roofline:
    """Roofline of the chip of this name.

    Raises:
      Refusal: the grid job would refuse the work on it.
    """
    chip = CHIPS[name]
    copied = uploads(work, chip)
    found = {part.name: part for part in parts(work, chip, copied)}
    device = [found[part] for part in ON_DEVICE]
    beside = max(found["uploads"].all, found["disk"].all)
    whole = sum(part.all for part in device)
    bounding = device if whole >= beside else [found["uploads"], found["disk"]]
    wanted = found["product"].pair / WANTED_PRODUCT + work.cells / (1e9 * WANTED_GCUPS)
    return Roofline(
        chip=name,
        parts=tuple(found.values()),
        fused=max(found["product"].pair, _comparing(work, chip)),
        bound=max(bounding, key=lambda part: part.all).name,
        pair_seconds=max(sum(part.pair for part in device), found["uploads"].pair, found["disk"].pair),
        all_hours=max(whole, beside) / 3600,
        wanted_hours=max(work.units * wanted, beside) / 3600,
        uploads=copied,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RooflineSummary:
    """Summary of a run.

    Attributes:
      rooflines: one of each chip asked for.
      assumed: assumptions beside the table of chips.
      seconds: of the run.
      plan: the work: pairs at states, FLOPs, DTW cells, bytes of the store.
    """

    rooflines: Sequence[Roofline]
    assumed: Mapping[str, float]
    seconds: float
    plan: Mapping[str, int | float]

    @property
    def complete(self) -> bool:
        """True: nothing is measured."""
        return True

    def sentence(self, config: BenchConfig) -> str:
        """Meaning of the numbers, and the place where they are kept."""
        kept = f"; also in {config.json}" if config.json else ""
        return f"computed {len(self.rooflines)} rooflines of all of FLEURS; nothing was measured{kept}"


def run(config: BenchConfig) -> RooflineSummary:
    """Summary of the chips that --device names, by default all; tables go to stderr."""
    start = time.monotonic()
    names = tuple(CHIPS) if config.device == "auto" else (config.device,)
    summary = RooflineSummary(
        rooflines=[roofline(name) for name in names],
        assumed={"launch_seconds": LAUNCH, "disk_bytes_per_second": DISK},
        seconds=seconds_since(start),
        plan={
            "units": FLEURS.units,
            "flops": 2 * FLEURS.features * FLEURS.cells * FLEURS.units,
            "dtw_cells": FLEURS.cells * FLEURS.units,
            "bytes": FLEURS.languages * FLEURS.states * FLEURS.language_bytes,
        },
    )
    if not config.dry_run:
        print("\n\n".join(table(found) for found in summary.rooflines), file=sys.stderr)
        if config.json:
            text = json.dumps(dataclasses.asdict(summary), indent=1) + "\n"
            atomic_write.make_folder(config.json.parent)
            atomic_write.write_whole(config.json, lambda file: file.write_text(text, "utf-8"))
    return summary


def table(found: Roofline, work: GridWork = FLEURS) -> str:
    """A chip, its parts and what bounds it, as text."""
    chip = CHIPS[found.chip]
    vector = amounts.scaled(chip.vector, "FLOP/s") if chip.vector else "not published"
    rows = [
        (part.name, part.limit, f"{1000 * part.pair:.1f} ms", f"{part.all / 3600:.2f} h")
        for part in found.parts
    ]
    head = ("part", "limit", "one pair, one state", f"{work.units:,} of them, one chip")
    gcups, (lanes, by_launches) = chip.bandwidth / _DTW_BYTES / 1e9, full_scan(work, chip)
    lines = [
        f"{chip.label}: 16-bit product {amounts.scaled(chip.product, 'FLOP/s')}, float32 {vector}, memory "
        f"{amounts.scaled(chip.bandwidth, 'B/s')} and {amounts.size(chip.memory)}, host link "
        f"{amounts.scaled(chip.link, 'B/s')}",
        f"source: {chip.source}. {chip.note}".rstrip(),
        text_table(head, rows),
        f"one pair {1000 * found.pair_seconds:.0f} ms, of which SeqSim alone with a fused kernel "
        f"{1000 * found.fused:.0f} ms; all {found.all_hours:.1f} h, bounded by {found.bound}; "
        f"{found.uploads:,} uploads of a language at a state",
        f"at {WANTED_PRODUCT:.0%} of the product and {WANTED_GCUPS:g} GCUPS: {found.wanted_hours:.1f} h; "
        f"memory allows {gcups:.0f} GCUPS while sums stay in a cache, launches {by_launches:.0f} at the "
        f"{lanes / 1e6:.1f} million lanes a step of full groups",
    ]
    return "\n".join(lines)
