"""Score matrices computed on the devices of this host, where languages stay as long as they are needed.

A language's frames are uploaded once, in the type they are stored in; their lengths, parts and mean are made
there. Where there are several devices, each holds all utterances and scores its share of the queries. Nothing
waits for a device before a result is asked for, so uploads and the next kernels go on meanwhile.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float32, Int, Int32

from isogloss.engine.activations import language_states
from isogloss.engine.grid.measures import MEASURES
from isogloss.engine.grid.shortlist import SHORTLISTING, Shortlisting
from isogloss.engine.runtime.devices import DIVIDED, WHOLE, Devices, Rows
from isogloss.kernels import frame_scores, operands, pooling
from isogloss.kernels.operands import Operand

Result = Callable[[], dict[str, Float32[np.ndarray, "U V"]]]
"""Waits for the scores of a pair, by measure."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class DeviceGroup:
    """Utterances of similar length on the devices, some rows more than there are utterances.

    Attributes:
      where: their indices among the language's rows.
      operand: their frames as kernels of `frame_scores` take them.
      pooled: their mean frames, if a measure compares these.
      frames: frames and their numbers as other kernels take them, if a measure names one.
    """

    where: Int32[np.ndarray, " _"]
    operand: Operand | None
    pooled: Float[Array, "U D"] | None
    frames: tuple[Float[Array, "U N D"], Int[Array, " U"]] | None


class DeviceScores:
    """Scores of pairs of languages by some devices of this host, with the kernels that the measures name."""

    AHEAD: int = 1  # units that start before a result is asked for

    def __init__(
        self,
        measures: Sequence[str],
        implementation: str,
        *,
        dtw_normalise: str = "none",
        remove_mean: bool = False,
        scan_bytes: int,
        devices: Devices | None = None,
    ) -> None:
        """Nothing is compiled yet.

        Args:
          measures: names among MEASURES.
          implementation: of `frame_scores`, one of those in XLA.
          dtw_normalise: divisor of its DTW costs.
          remove_mean: subtract a language's mean from every frame.
          scan_bytes: memory of a device for the distances of one scan of DTW.
          devices: those that share the rows of each pair, all of this host by default.
        """
        chosen = [MEASURES[name] for name in measures]
        self._remove_mean, self._implementation = remove_mean, implementation
        self._shared = tuple(measure.name for measure in chosen if not measure.kernel)
        self._alone = [measure for measure in chosen if measure.kernel and measure.by_frame]
        self._of_means = [measure for measure in chosen if not measure.by_frame]
        self._measures = tuple(measures)
        self._options = dtw_normalise, scan_bytes, devices or tuple(jax.local_devices())
        self._rows, self._score = _programs(self._shared, *self._options)

    def place(
        self,
        utterances: Sequence[Float[np.ndarray, "_ D"]],
        mean_of: Sequence[Float[np.ndarray, "_ D"]] | None = None,
    ) -> tuple[DeviceGroup, ...]:
        """One state of a language on the devices; returns before it is there.

        Args:
          utterances: at least one; frames of each, at least one.
          mean_of: utterances whose mean is removed, if it isn't that of these.
        """
        mean = None
        if mean_of:
            with self._rows.on_first():
                mean = language_states.mean_frame(mean_of)
        form = operands.form_for(jax.default_backend(), utterances[0].dtype, self._implementation)
        groups = language_states.arrange_for_devices(utterances, self._rows.count)
        # What follows is made by every device from all rows: the bits of sums, and of loops' remainders,
        # would depend on how many devices share them. Those of means also depend on the number of rows.
        frames = [self._rows.upload((group.states, group.frames)) for group in groups]
        alike, pooled = frames, [None] * len(groups)
        if self._remove_mean or self._of_means or self._alone:
            rows = (language_states.device_rows(len(group.where), 1) for group in groups)
            alike = [_first(pair, count) for pair, count in zip(frames, rows, strict=True)]
        if self._remove_mean or self._of_means:
            pooled = [pooling.meanpool(*pair) for pair in alike]
        if self._remove_mean and mean is None:
            totals = (_total(of_group) for of_group in pooled)
            mean = functools.reduce(jnp.add, totals) / np.float32(len(utterances))
        if mean is not None:
            pooled = [pooling.remove_mean(of_group, mean) for of_group in pooled]
        return tuple(
            DeviceGroup(
                where=group.where,
                operand=_operand(*pair, mean, form=form) if self._shared else None,
                pooled=means if self._of_means else None,
                frames=self._frames(own, mean),
            )
            for group, pair, own, means in zip(groups, frames, alike, pooled, strict=True)
        )

    def _frames(
        self,
        pair: tuple[Float[Array, "U N D"], Int[Array, " U"]],
        mean: Float[np.ndarray | Array, " D"] | None,
    ) -> tuple[Float[Array, "U N D"], Int[Array, " U"]] | None:
        if not self._alone:
            return None
        states, lengths = pair
        return (states if mean is None else pooling.remove_mean(states, mean)), lengths

    def start(
        self, x: Sequence[DeviceGroup], y: Sequence[DeviceGroup], among: Shortlisting | None = None
    ) -> Result:
        """Function that waits for the scores of two languages; they are computed and fetched meanwhile.

        With shortlists, transport starts when SeqSim is there: its pairs aren't known before.
        """
        if among:
            known = tuple(name for name in self._shared if name not in frame_scores.TRANSPORT)
            first = self._start(x, y, _programs(known, *self._options)[1])
            chosen = _chosen_program(self._options[-1])
            return functools.partial(_with_transport, first, x, y, among, self._rows, chosen)
        return self._start(x, y, self._score)

    def _start(
        self,
        x: Sequence[DeviceGroup],
        y: Sequence[DeviceGroup],
        score: Callable[[Operand, Operand], dict[str, Array]],
    ) -> Result:
        computing: list[tuple[str, DeviceGroup, DeviceGroup, Array]] = []
        for a, b in itertools.product(x, y):
            found = {} if a.operand is None or b.operand is None else score(a.operand, b.operand)
            found |= {
                m.name: m.function()(*a.frames, *b.frames) for m in self._alone if a.frames and b.frames
            }
            found |= {m.name: m.function()(a.pooled, b.pooled) for m in self._of_means}
            for name, matrix in found.items():
                if isinstance(matrix, jax.Array):
                    matrix.copy_to_host_async()
                computing.append((name, a, b, matrix))
        sizes = sum(len(group.where) for group in x), sum(len(group.where) for group in y)
        places = [(name, a.where, b.where, matrix) for name, a, b, matrix in computing]
        return functools.partial(_result, self._measures, sizes, places)


def _result(
    measures: Sequence[str],
    sizes: tuple[int, int],
    places: Sequence[tuple[str, np.ndarray, np.ndarray, Array | np.ndarray]],
) -> dict[str, Float32[np.ndarray, "U V"]]:
    # What no kernel fills is unknown. Zeros would pass for scores.
    scores = {name: np.full(sizes, np.nan, np.float32) for name in measures}
    for name, rows, columns, matrix in places:
        scores[name][np.ix_(rows, columns)] = np.asarray(matrix)[: len(rows), : len(columns)]
    return scores


@functools.lru_cache(maxsize=256)
def _programs(
    measures: tuple[str, ...], dtw_normalise: str, scan_bytes: int, devices: Devices
) -> tuple[Rows, Callable[[Operand, Operand], dict[str, Array]]]:
    """Devices and their program, kept so that a process compiles it once for all its grids."""
    rows = Rows(devices)
    of_share = functools.partial(
        frame_scores.operand_scores, measures=measures, dtw_normalise=dtw_normalise, scan_bytes=scan_bytes
    )
    # All of an operand is on every device, and a share of its rows is what the device computes.
    return rows, rows.divided(of_share, Operand._make([DIVIDED, DIVIDED, DIVIDED, WHOLE]), WHOLE)


@functools.lru_cache(maxsize=256)
def _chosen_program(devices: Devices) -> Callable[..., dict[str, Array]]:
    """Program of two groups and pairs of them, of which each device takes its share."""
    return Rows(devices).divided(frame_scores.chosen_transport, WHOLE, WHOLE, DIVIDED, DIVIDED)


def _with_transport(
    first: Result,
    x: Sequence[DeviceGroup],
    y: Sequence[DeviceGroup],
    among: Shortlisting,
    rows: Rows,
    program: Callable[..., dict[str, Array]],
) -> dict[str, Float32[np.ndarray, "U V"]]:
    """Scores of `first` with the transport of its shortlists."""
    scores = first()
    listed = among.chosen(scores[SHORTLISTING])
    computing = []
    for a, b in itertools.product(x, y):
        u, v = np.nonzero(listed[np.ix_(a.where, b.where)])
        if len(u):
            # Doubling sizes, so that few programs are compiled.
            size = rows.count << max(0, -(-len(u) // rows.count) - 1).bit_length()
            pairs = [np.pad(index, (0, size - len(u))).astype(np.int32) for index in (u, v)]
            computing.append((a.where[u], b.where[v], program(a.operand, b.operand, *pairs)))
    for u, v, found in computing:
        for name, values in found.items():
            scores[name][u, v] = np.asarray(values)[: len(u)]
    return scores


def _first(arrays: tuple[Array, Array], rows: int) -> tuple[Array, Array]:
    """First rows of a group; the group itself, not a copy, if it has no more."""
    states, lengths = arrays
    return arrays if len(lengths) == rows else (states[:rows], lengths[:rows])


_operand = jax.jit(operands.operand, static_argnames="form")


@jax.jit
def _total(pooled: Float[Array, "U D"]) -> Float[Array, " D"]:
    return pooled.astype(jnp.float32).sum(axis=0)
