"""The convert job: arrays of states from another program become activation stores.

Every array's shape is read and checked against its recording before anything is written. One utterance is in
memory at a time. A store that is there is completed if it has the same model, settings, recordings and
arrays; it doesn't grow, because only the arrays know how many frames a recording has.
"""

import dataclasses
import functools
import logging
import pathlib
import time
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from isogloss.engine.activations import activation_store
from isogloss.engine.activations.activation_store import Identity, LanguageStore
from isogloss.engine.activations.convert_config import ConvertConfig
from isogloss.engine.checkpoints import stored_tensors
from isogloss.engine.corpora import audio, corpus, durations
from isogloss.engine.corpora.listing import Listing
from isogloss.engine.runtime import disk_space, json_values, name_lists, objects, sentences
from isogloss.engine.runtime.options import recorded
from isogloss.engine.runtime.progress import Progress, seconds_since
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.time_axis import SAMPLE_RATE, TimeAxis

_LOG = logging.getLogger(__name__)
_ARRAY = "array"  # coordinate of a store: fingerprints of the files that its states are from
_SPARE = 2  # frames that padding of an encoder's own may add to a recording's


@dataclasses.dataclass(frozen=True, kw_only=True)
class ConvertSummary:
    """Result of a run; counts are of this process's share, and 0 in a dry run.

    Attributes:
      done: utterances written by this run.
      skipped: utterances stored by earlier runs.
      failed: reasons by "language utterance"; of a dry run, those of recordings that can't be read.
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
        """Amount of the share that is stored, and the command that compares it."""
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
      fingerprints: of each file; "" of arrays that aren't used, as below.
      samples: length of each recording at 16 kHz; 0 if its header can't be read.
      frames: frames of each that are stored; 0 if its recording can't be read.
      shape: states and features of all.
    """

    listing: Listing
    files: tuple[pathlib.Path, ...]
    fingerprints: tuple[str, ...]
    samples: tuple[int, ...]
    frames: tuple[int, ...]
    shape: tuple[int, int]


def run(config: ConvertConfig) -> ConvertSummary:
    """Summary of a conversion with these options.

    Raises:
      Refusal: an array is missing or doesn't fit its recording, or a store is of another model, of another
        corpus or of other arrays.
      WriteError: the store can't be written.
    """
    start = time.monotonic()
    axis = config.axis
    opened = corpus.open_corpus(config.corpus, config.columns)
    dumped = [
        _dumped(config, opened.listing(language, config.recordings), axis)
        for language in config.languages or opened.languages()
    ]
    states = _states(config, dumped)
    identities = [_identity(config, each.listing, states) for each in dumped]
    there = [_present(config, each, identity) for each, identity in zip(dumped, identities, strict=True)]
    # Shares divide utterances, not languages, so that they are of equal size.
    units = config.share.of([(i, row) for i, each in enumerate(dumped) for row in range(len(each.files))])
    unusable = _unusable(dumped, units, axis)
    todo = [(i, row) for i, row in units if not there[i][row] and (i, row) not in unusable]
    sizes = len(states), axis.window_frames, dumped[0].shape[1], config.dtype
    cost = sum(activation_store.shard_bytes(dumped[i].frames[row], *sizes) for i, row in todo)
    plan = {"utterances": len(todo), "bytes": cost}
    disk_space.require(config.store, cost, f"{len(todo):,} utterances", "name another --store")
    if config.dry_run:
        failed = {_name(dumped, *unit): reason for unit, reason in unusable.items()}
        return ConvertSummary(failed=failed, seconds=seconds_since(start), plan=plan)
    stores = [
        _created(config, each, identity, states, axis)
        for each, identity in zip(dumped, identities, strict=True)
    ]
    failed = _write(stores, dumped, todo, unusable, len(units))
    return ConvertSummary(
        done=len(todo) + len(unusable) - len(failed),
        skipped=len(units) - len(todo) - len(unusable),
        failed=failed,
        seconds=seconds_since(start),
        plan=plan,
    )


def _dumped(config: ConvertConfig, listing: Listing, axis: TimeAxis) -> _Dumped:
    """Arrays of a language; Refusal if one is missing or doesn't fit its recording."""
    files = [config.arrays / listing.language / f"{each.name}.npy" for each in listing.utterances]
    samples = durations.lengths(listing)
    if not any(samples):
        reason, _ = durations.why_unusable(listing.utterances[0], axis)
        raise Refusal(f"{listing.corpus}: no recording of {listing.language} can be read, such as {reason}")
    if missing := [file.name for file, n in zip(files, samples, strict=True) if n and not file.is_file()]:
        raise Refusal(
            f"{config.arrays / listing.language}: lacks {name_lists.first_names(missing)}. Make them, "
            "or take their recordings out of the corpus"
        )
    frames, shapes = [], set()
    for file, length in zip(files, samples, strict=True):
        if not length:
            frames.append(0)
            continue
        states, count, features = _opened(file).shape
        # An array beyond its recording holds padding, which would enter every score.
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
        listing=listing,
        files=tuple(files),
        fingerprints=tuple(
            audio.FileSource.at(file, file.name).fingerprint() if count else ""
            for file, count in zip(files, frames, strict=True)
        ),
        samples=samples,
        frames=tuple(frames),
        shape=shapes.pop(),
    )


def _opened(file: pathlib.Path) -> Float[np.ndarray, "S N D"]:
    """Array of a file, which stays on disk."""
    try:
        # Mapped, because of most files only the header is needed; a pickle could run any code.
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
    """True for each utterance that a store of the same model, corpus and arrays has."""
    store = activation_store.find(config.store, dumped.listing.language)
    if store is None:
        return (False,) * len(dumped.files)
    activation_store.check_identity(store, identity)
    _, states, _, features = store.shape
    if (states, features) != dumped.shape:
        raise Refusal(
            f"{store.path}: has {states} states of {features} features, but the arrays have "
            f"{dumped.shape[0]} of {dumped.shape[1]}. Name another --store"
        )
    if store.attributes["corpus_sha256"] != identity.corpus_sha256:
        raise Refusal(f"{store.path}: made of other recordings. Name another --store")
    if _ARRAY not in store.columns:
        raise Refusal(f"{store.path}: doesn't tell which arrays it was made of. Name another --store")
    held = zip(store.coordinate(_ARRAY), store.frames.tolist(), strict=True)
    asked = zip(dumped.fingerprints, dumped.frames, strict=True)
    same = [one == other for one, other in zip(held, asked, strict=True)]
    if changed := [name for name, equal in zip(store.names, same, strict=True) if not equal]:
        raise Refusal(
            f"{store.path}: made of other arrays, or when other recordings could be read: "
            f"{name_lists.first_names(changed)}. Restore them, or name another --store"
        )
    return tuple(store.present().tolist())


def _unusable(
    dumped: list[_Dumped], units: Sequence[tuple[int, int]], axis: TimeAxis
) -> dict[tuple[int, int], str]:
    """Reasons why recordings can't be read, by those units of a share that are of such."""
    found = {}
    for i, row in units:
        if not dumped[i].frames[row]:
            found[i, row], _ = durations.why_unusable(dumped[i].listing.utterances[row], axis)
            _LOG.error("%s: %s", _name(dumped, i, row), found[i, row])
    return found


def _name(dumped: list[_Dumped], i: int, row: int) -> str:
    """Text "language utterance" of a unit."""
    return f"{dumped[i].listing.language} {dumped[i].listing.utterances[row].name}"


def _created(
    config: ConvertConfig, dumped: _Dumped, identity: Identity, states: tuple[str, ...], axis: TimeAxis
) -> LanguageStore:
    """Store of a language, made without states if there is none."""
    store = activation_store.create(
        config.store,
        dumped.listing,
        dumped.samples,
        dumped.frames,
        states=states,
        axis=axis,
        features=dumped.shape[1],
        identity=identity,
        further={_ARRAY: np.asarray(dumped.fingerprints, object)},
    )
    _present(config, dumped, identity)  # another process may have made it meanwhile
    return store


def _write(
    stores: list[LanguageStore],
    dumped: list[_Dumped],
    todo: list[tuple[int, int]],
    unusable: Mapping[tuple[int, int], str],
    units: int,
) -> dict[str, str]:
    """Write utterances, given by store and row; reasons why some can't be, by "language utterance"."""
    failed: dict[str, str] = {}
    for (i, row), reason in unusable.items():
        failed[_name(dumped, i, row)] = reason
        stores[i].note_failure(row, reason)
    before = units - len(todo) - len(unusable)
    progress = Progress("convert", units, "utterances", before=before, without=len(unusable))
    for i, row in todo:
        store, file = stores[i], dumped[i].files[row]
        given, name = _opened(file), _name(dumped, i, row)
        # NaN beyond the array, as extract stores it.
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
