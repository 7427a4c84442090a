"""The convert job: arrays of states from another program become activation stores.

Every array's shape is read and checked against its recording before anything is written. One utterance is in
memory at a time. A store that is there is completed if it has the same model, settings and recordings; it
doesn't grow, because only the arrays know how many frames a recording has.
"""

import dataclasses
import functools
import logging
import math
import pathlib
import time
from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from isogloss.engine.activations import activation_store
from isogloss.engine.activations.activation_store import Identity, LanguageStore
from isogloss.engine.activations.convert_config import ConvertConfig
from isogloss.engine.checkpoints import stored_tensors
from isogloss.engine.corpora import corpus, durations
from isogloss.engine.corpora.listing import Listing
from isogloss.engine.runtime import disk_space, json_values, name_lists, objects, sentences
from isogloss.engine.runtime.options import recorded
from isogloss.engine.runtime.progress import Progress
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.time_axis import SAMPLE_RATE, TimeAxis

_LOG = logging.getLogger(__name__)
_SPARE = 2  # frames that padding of an encoder's own may add to a recording's


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertSummary:
    """Result of a run; counts are of this process's share, and 0 in a dry run.

    Attributes:
      done: utterances written by this run.
      skipped: utterances stored by earlier runs.
      failed: reasons by "language utterance".
      seconds: duration of the run.
      plan: work to do: utterances and bytes.
    """

    done: int = 0
    skipped: int = 0
    failed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    seconds: float
    plan: Mapping[str, int]

    @property
    def complete(self) -> bool:
        """True if no utterance failed."""
        return not self.failed

    def sentence(self, config: ConvertConfig) -> str:
        """How much of the share is stored, and the command that compares it."""
        start = sentences.stored(
            self.done, self.skipped, len(self.failed), "utterances", config.store, config.share, None
        )
        grid = sentences.command("grid", store=config.store, grid=config.store.parent / "grid.zarr")
        return start + sentences.following(config.share, grid)


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Dumped:
    """Arrays of one language, of which only the headers are read.

    Attributes:
      listing: utterances.
      files: array of each.
      samples: length of each recording at 16 kHz.
      frames: frames of each that are stored.
      shape: states and features of all.
    """

    listing: Listing
    files: tuple[pathlib.Path, ...]
    samples: tuple[int, ...]
    frames: tuple[int, ...]
    shape: tuple[int, int]


def run(config: ConvertConfig) -> ConvertSummary:
    """Summary of a conversion with these options.

    Raises:
      Refusal: an array is missing or doesn't fit its recording, or a store is of another model or corpus.
      WriteError: the store can't be written.
    """
    start = time.monotonic()
    axis = _axis(config)
    opened = corpus.open_corpus(config.corpus, config.columns)
    dumped = [
        _dumped(config, opened.listing(language, config.recordings), axis)
        for language in config.languages or opened.languages()
    ]
    states = _states(config, dumped)
    identities = [_identity(config, each.listing, states) for each in dumped]
    there = [_present(config, each, identity) for each, identity in zip(dumped, identities, strict=True)]
    units = config.share.of([(i, row) for i, each in enumerate(dumped) for row in range(len(each.files))])
    todo = [(i, row) for i, row in units if not there[i][row]]
    sizes = len(states), axis.window_frames, dumped[0].shape[1], config.dtype
    cost = sum(activation_store.shard_bytes(dumped[i].frames[row], *sizes) for i, row in todo)
    plan = {"utterances": len(todo), "bytes": cost}
    disk_space.require(config.store, cost, f"{len(todo):,} utterances", "name another --store")
    if config.dry_run:
        return ConvertSummary(seconds=round(time.monotonic() - start, 3), plan=plan)
    stores = [
        _created(config, each, identity, states, axis)
        for each, identity in zip(dumped, identities, strict=True)
    ]
    failed = _write(stores, dumped, todo, len(units))
    return ConvertSummary(
        done=len(todo) - len(failed),
        skipped=len(units) - len(todo),
        failed=failed,
        seconds=round(time.monotonic() - start, 3),
        plan=plan,
    )


def _axis(config: ConvertConfig) -> TimeAxis:
    """Frames and window that the options give."""
    samples = config.frame_seconds * SAMPLE_RATE
    if samples < 1 or not math.isclose(samples, round(samples), abs_tol=1e-6):
        raise Refusal(f"--frame_seconds={config.frame_seconds:g} must be a whole number of samples at 16 kHz")
    hop, window = round(samples), round(config.window_seconds * SAMPLE_RATE)
    if window < hop or window % hop:
        raise Refusal(f"--window_seconds={config.window_seconds:g} must be a whole number of frames")
    return TimeAxis(samples_per_frame=hop, window_frames=window // hop)


def _dumped(config: ConvertConfig, listing: Listing, axis: TimeAxis) -> _Dumped:
    """Arrays of a language; Refusal if one is missing or doesn't fit its recording."""
    files = [config.arrays / listing.language / f"{each.name}.npy" for each in listing.utterances]
    if missing := [file.name for file in files if not file.is_file()]:
        raise Refusal(
            f"{config.arrays / listing.language}: lacks {name_lists.first_names(missing)}. Make them, "
            "or take their recordings out of the corpus"
        )
    samples, frames, shapes = durations.lengths(listing), [], set()
    for file, length in zip(files, samples, strict=True):
        states, count, features = _opened(file).shape
        longest = min(axis.frame_count(length) + _SPARE, axis.window_frames)
        if not 0 < count <= longest:
            raise Refusal(
                f"{file}: has {count} frames, but its recording, of {length / SAMPLE_RATE:.2f} s, at most "
                f"{longest}. Remedy: cut what is of padding, or correct --frame_seconds"
            )
        frames.append(count)
        shapes.add((states, features))
    if len(shapes) > 1:
        raise Refusal(
            f"{config.arrays / listing.language}: states and features must be equal, but are {sorted(shapes)}"
        )
    return _Dumped(
        listing=listing, files=tuple(files), samples=samples, frames=tuple(frames), shape=shapes.pop()
    )


def _opened(file: pathlib.Path) -> Float[np.ndarray, "S N D"]:
    """Array of a file, which stays on disk."""
    try:
        array = np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OSError) as error:
        raise Refusal(f"{file}: no array can be read ({error}). Remedy: write it with numpy.save") from error
    if array.ndim != 3 or array.dtype not in (np.float16, np.float32, np.float64):
        rule = "must be (state, frame, feature) in float16, float32 or float64"
        raise Refusal(f"{file}: {rule}, but is {array.shape} in {array.dtype}")
    return array


def _states(config: ConvertConfig, dumped: list[_Dumped]) -> tuple[str, ...]:
    """Names of the states, as many as all arrays have."""
    shapes = {each.listing.language: each.shape for each in dumped}
    if len(set(shapes.values())) != 1:
        raise Refusal(
            f"{config.arrays}: states and features must be equal in all languages, but are {shapes}"
        )
    count, _ = next(iter(shapes.values()))
    names = config.states or tuple(map(str, range(count)))
    if len(names) != count:
        raise Refusal(f"--states names {len(names)} states, but the arrays have {count}")
    return names


@functools.cache
def _sha256(file: pathlib.Path) -> str:
    if not file.is_file():
        raise Refusal(f"{file}: --weights must name a file")
    return stored_tensors.sha256([file])


def _identity(config: ConvertConfig, listing: Listing, states: tuple[str, ...]) -> Identity:
    return Identity(
        model=config.name,
        weights_sha256=_sha256(config.weights),
        corpus=listing.corpus,
        corpus_sha256=json_values.sha256([listing.sha256(), listing.recordings]),
        settings={
            "states": list(states),
            "dtype": config.dtype,
            "recordings": config.recordings,
            "frame_seconds": config.frame_seconds,
            "window_seconds": config.window_seconds,
        },
        flags=recorded(config),
    )


def _present(config: ConvertConfig, dumped: _Dumped, identity: Identity) -> tuple[bool, ...]:
    """True for each utterance that a store of the same model and corpus has."""
    store = activation_store.find(config.store, dumped.listing.language)
    if store is None:
        return (False,) * len(dumped.files)
    activation_store.check_identity(store, identity)
    if store.attributes["corpus_sha256"] != identity.corpus_sha256 or store.frames.tolist() != [
        *dumped.frames
    ]:
        raise Refusal(
            f"{store.path}: made of other recordings, or of arrays with other frames. Name another --store"
        )
    return tuple(store.present().tolist())


def _created(
    config: ConvertConfig, dumped: _Dumped, identity: Identity, states: tuple[str, ...], axis: TimeAxis
) -> LanguageStore:
    """Store of a language, made without states if there is none."""
    return activation_store.create(
        config.store,
        dumped.listing,
        dumped.samples,
        dumped.frames,
        states=states,
        axis=axis,
        features=dumped.shape[1],
        identity=identity,
    )


def _write(
    stores: list[LanguageStore], dumped: list[_Dumped], todo: list[tuple[int, int]], units: int
) -> dict[str, str]:
    """Write utterances, given by store and row; reasons why some can't be, by "language utterance"."""
    failed: dict[str, str] = {}
    progress = Progress("convert", units, "utterances", before=units - len(todo))
    for i, row in todo:
        store, file = stores[i], dumped[i].files[row]
        given, name = _opened(file), f"{store.language} {store.names[row]}"
        whole = np.full(store.shape[1:], np.nan, store.dtype)
        with np.errstate(over="ignore"):  # an overflow isn't finite, and refused below
            whole[:, : given.shape[1]] = given
        if not np.isfinite(whole[:, : given.shape[1]]).all():
            failed[name] = f"{file.name}: states must be finite in {store.dtype}. Remedy: --dtype=float32"
            _LOG.error("%s: %s", name, failed[name])
            store.note_failure(row, failed[name])
        else:
            objects.finish(store.write(row, whole), store.path, f"{store.path}: {name}")
            store.forget_failure(row)
        progress.advance(stored=name not in failed)
    progress.close()
    return failed
