"""Activation store: all encoder states of all utterances of a language, STORE/<language>.zarr.

One shard holds all states of one utterance and is one object, which appears complete: an utterance is stored
if its object exists, and that of its neurons in a store that has them. Everything else in the group depends
only on the listing and is written when the group is made, or when the corpus has changed, see
`store_growth`. An unusable utterance has no shard but a note in <language>.zarr/failed/, so that an analysis
can distinguish a broken recording from one not yet extracted.

Rows of a store that has grown are in another order than the corpus, and may be of recordings that the corpus
no longer has. A LanguageStore hides that: its utterances are those of the corpus, in the corpus's order, so
that a store that has grown gives what a new one would.
"""

import dataclasses
import functools
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import tensorstore as ts
from jaxtyping import Bool, Float, Int, Int32

from isogloss.engine.activations import state_origin, stored_neurons
from isogloss.engine.corpora.listing import Listing
from isogloss.engine.runtime import objects, zarr_group
from isogloss.engine.runtime.failure_notes import FailureNotes
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.place import Place
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.runtime.zarr_group import Array, Coordinate, Group
from isogloss.engine.time_axis import SAMPLE_RATE, TimeAxis

KIND, FORMAT, READ = "activations", 3, (1, 2, 3)  # 3 has fingerprints of recordings and their places
INNER_FRAMES = 50  # at most, in an inner chunk: one second, so that padding costs half a second per clip
_STORE = re.compile(r"([^.].*)\.zarr")


def _inner_frames(positions: int) -> int:
    """Frames of an inner chunk: the largest number that divides the window."""
    return max(n for n in range(1, INNER_FRAMES + 1) if positions % n == 0)


def shard_bytes(frames: int, states: int, positions: int, features: int, dtype: str) -> int:
    """Size of an utterance's file: whole inner chunks, each with its checksum, and their index."""
    slab = _inner_frames(positions)
    chunk = slab * features * np.dtype(dtype).itemsize + 4  # a CRC-32C
    # The index has an offset and a length of 8 bytes for every inner chunk, and a CRC-32C; chunks of only NaN
    # take no other space.
    return states * (-(-frames // slab) * chunk + 16 * (positions // slab)) + 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class Identity:
    """Model, corpus and settings of a store; a run with another model or settings doesn't resume it.

    Attributes:
      model: model name, for people.
      weights_sha256: hash of the checkpoint's files.
      corpus: description of the corpus, for people.
      corpus_sha256: hash of the language's listing and recordings.
      settings: all settings that change the content: states, dtype, recordings, long, compute dtype.
      flags: resolved flags of the run that made the store or changed its labels, for the record.
    """

    model: str
    weights_sha256: str
    corpus: str
    corpus_sha256: str
    settings: Mapping[str, Json]
    flags: Mapping[str, Json]

    def attributes(self, axis: TimeAxis) -> dict[str, Json]:
        """Attributes of the group, whose encoder has this time axis."""
        return {"kind": KIND, "format": FORMAT, **dataclasses.asdict(self), **axis.attributes()}


@dataclasses.dataclass(frozen=True, kw_only=True)
class LanguageStore:
    """Open store of one language.

    Attributes:
      group: STORE/<language>.zarr.
    """

    group: Group

    @property
    def path(self) -> Place:
        """Place of the group."""
        return self.group.path

    @property
    def language(self) -> str:
        """Code of the language."""
        return self.path.stem

    @property
    def attributes(self) -> dict[str, Json]:
        """Identity of the store, see Identity."""
        return self.group.attributes

    @property
    def columns(self) -> dict[str, np.ndarray]:
        """Labels by row of the array, also of recordings that the corpus no longer has."""
        return self.group.labels

    @functools.cached_property
    def rows(self) -> Int[np.ndarray, " U"]:
        """Row of the array, and number of the shard, of each utterance."""
        # Stores of format 1 and 2 have no places: they never grew, so their rows are in the corpus's order.
        places = self.columns.get("place", np.arange(len(self.columns["utterance"])))
        listed = np.flatnonzero(places >= 0)
        return listed[np.argsort(places[listed])]

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the utterances, in the order of the corpus."""
        return tuple(self.coordinate("utterance"))

    @functools.cached_property
    def states(self) -> tuple[str, ...]:
        """Names of the stored states."""
        return tuple(self.coordinate("state"))

    @functools.cached_property
    def frames(self) -> Int32[np.ndarray, " U"]:
        """Number of frames of every utterance; 0 if the recording can't be used."""
        return self.coordinate("frames")

    @functools.cached_property
    def _array(self) -> ts.TensorStore:
        return self.group.open_array("states")

    @functools.cached_property
    def time_axis(self) -> TimeAxis:
        """Frames and window of the encoder that made the store."""
        # The array's own attribute, because stores made before the group had one are read too.
        attributes = self._array.spec().to_json()["metadata"]["attributes"]
        first = self.attributes.get("first_frame_seconds")
        return TimeAxis(
            samples_per_frame=round(attributes["frame_seconds"] * SAMPLE_RATE),
            window_frames=self._array.shape[2],
            frame_samples=round(first * SAMPLE_RATE) if isinstance(first, float) else 1,
        )

    @property
    def shape(self) -> tuple[int, ...]:
        """Rows, states, frames of the window and features of the array."""
        return self._array.shape

    @property
    def features(self) -> int:
        """Width of a state."""
        return self._array.shape[3]

    @property
    def dtype(self) -> np.dtype:
        """Number format of the states."""
        return self._array.dtype.numpy_dtype

    def coordinate(self, name: str) -> np.ndarray:
        """Values of a coordinate: sentence, rank, transcription, gender, source, duration, ..."""
        return self.columns[name] if name == "state" else self.columns[name][self.rows]

    def present(self) -> Bool[np.ndarray, " U"]:
        """True for each utterance that is stored: its shard exists."""
        return np.isin(self.rows, self.stored_rows())

    def stored_rows(self) -> list[int]:
        """Rows of the array whose shards exist, also of recordings that the corpus no longer has."""
        return sorted(
            row for (row,) in set.intersection(*(self.group.chunks_present(name, 1) for name in self.arrays))
        )

    @property
    def arrays(self) -> tuple[str, ...]:
        """Names of the large arrays: states, and neurons if the store has them."""
        return ("states", stored_neurons.NAME) if stored_neurons.NAME in self.group.arrays else ("states",)

    def files_of_row(self, row: int) -> list[Place]:
        """Objects of a row of the large arrays."""
        return [self.group.chunk(array, (row, 0, 0, 0)) for array in self.arrays]

    def shard(self, utterance: int) -> Place:
        """Object that holds an utterance's states; it may not exist."""
        return self.files_of_row(int(self.rows[utterance]))[0]

    def write(self, utterance: int, states: Float[np.ndarray, "S N D"]) -> ts.WriteFutures:
        """Future of writing an utterance's states, NaN beyond its frames; ready when they are on disk."""
        return self._write(self._array, self.shard(utterance), utterance, states)

    def write_neurons(self, utterance: int, neurons: Float[np.ndarray, "L K F"]) -> ts.WriteFutures:
        """Future of writing an utterance's neurons, in a store that has them."""
        file = self.group.chunk(stored_neurons.NAME, (int(self.rows[utterance]), 0, 0, 0))
        return self._write(self._neurons, file, utterance, neurons)

    def _write(
        self, array: ts.TensorStore, file: Place, utterance: int, values: Float[np.ndarray, "..."]
    ) -> ts.WriteFutures:
        if values.shape != array.shape[1:] or values.dtype != self.dtype:
            wanted = f"{array.shape[1:]} {self.dtype}"
            raise Refusal(f"{self.path}: an utterance is {wanted}, got {values.shape} {values.dtype}")
        objects.empty_draft(file)
        # The caller never changes the values again, so TensorStore need not copy them (34 states: 260 MB).
        return array[self.rows[utterance]].write(values, can_reference_source_data_indefinitely=True)

    def read(self, state: str, utterances: Iterable[int]) -> list[Float[np.ndarray, "_ D"]]:
        """One state of some utterances, each with its own number of frames, in the stored dtype."""
        s = self.states.index(state)  # all reads are started before the first is waited for
        reads = [self._array[self.rows[u], s, : int(self.frames[u])].read() for u in utterances]
        return [objects.result(read, self.path) for read in reads]

    @functools.cached_property
    def _neurons(self) -> ts.TensorStore:
        return self.group.open_array(stored_neurons.NAME)

    def read_neurons(self, utterances: Iterable[int]) -> list[Float[np.ndarray, "L K F"]]:
        """Neurons of some utterances by block and statistic, in the stored dtype."""
        reads = [self._neurons[self.rows[u]].read() for u in utterances]
        return [objects.result(each, self.path) for each in reads]

    @functools.cached_property
    def _notes(self) -> FailureNotes:
        return FailureNotes(group=self.path)

    def failures(self) -> dict[int, str]:
        """Reasons why utterances have no shard, from the last run that tried them."""
        notes = self.notes()
        return {u: notes[row]["error"] for u, row in enumerate(self.rows.tolist()) if row in notes}

    def notes(self) -> dict[int, dict[str, str]]:
        """Notes on failures by row of the array: name of the "utterance" and the "error"."""
        return {row: note for (row,), note in self._notes.read().items()}

    def note_failure(self, utterance: int, error: str) -> None:
        """Store the reason why an utterance can't be used."""
        self._notes.write((int(self.rows[utterance]),), utterance=self.names[utterance], error=error)

    def forget_failure(self, utterance: int) -> None:
        """Remove the note on an utterance that is stored now."""
        self._notes.remove((int(self.rows[utterance]),))


def open_store(root: Place, language: str) -> LanguageStore:
    """Store of one language; Refusal if the language hasn't been extracted."""
    store = find(root, language)
    if store is None:
        zarr_group.exists(root / f"{language}.zarr")  # refuses something else in its place
        known = ", ".join(stores(root)) or "none"
        raise Refusal(
            f"{root}: {language!r} isn't extracted (stored: {known}); run extract with --languages={language}"
        )
    return store


def find(root: Place, language: str) -> LanguageStore | None:
    """Store of one language, None if there is none; Refusal if something else is there, or another format."""
    return find_all(root, [language]).get(language)


def find_all(root: Place, codes: Iterable[str]) -> dict[str, LanguageStore]:
    """Stores of those of the languages that have one, as of `find`; their metadata is read at once."""
    groups = zarr_group.find_groups([root / f"{code}.zarr" for code in codes])
    found = [group for group in groups if group is not None]
    for group in found:
        zarr_group.check_kind(group, KIND, READ)
    return {store.language: store for store in (LanguageStore(group=group) for group in found)}


def stores(root: Place) -> dict[str, LanguageStore]:
    """Stores of all languages under `root`, by language, sorted; the metadata of each is read once."""
    # Other groups may lie beside the stores, a grid.zarr for one: their kind tells them apart.
    codes = sorted(found[1] for found in map(_STORE.fullmatch, objects.children(root)) if found)
    groups = zarr_group.find_groups([root / f"{code}.zarr" for code in codes])
    found = [group for group in groups if group is not None and group.attributes.get("kind") == KIND]
    for group in found:
        zarr_group.check_kind(group, KIND, READ)
    return {store.language: store for store in (LanguageStore(group=group) for group in found)}


def create(
    root: Place,
    listing: Listing,
    samples: Sequence[int],
    frames: Sequence[int],
    *,
    states: Sequence[str],
    axis: TimeAxis,
    features: int,
    identity: Identity,
    neurons: stored_neurons.Sizes | None = None,
    further: Mapping[str, np.ndarray] | None = None,
) -> LanguageStore:
    """Store of a language, made without activations; an existing store is left unchanged.

    Args:
      root: folder of all stores.
      listing: utterances, one row each.
      samples: length of each recording at 16 kHz; 0 if it can't be read.
      frames: number of frames of each recording to store; 0 if it has none.
      states: names of the states to store.
      axis: frames and window of the encoder.
      features: width of a state.
      identity: model, corpus and settings, for the attributes.
      neurons: blocks, and neurons of a block; None stores none.
      further: labels of the utterances other than `columns`, by name.
    """
    path = root / f"{listing.language}.zarr"
    dtype = str(identity.settings["dtype"])
    shape = (len(listing.utterances), len(states), axis.window_frames, features)
    labels = coordinates(columns(listing, samples, frames, axis) | {**(further or {})}, states, axis)
    arrays = [_states(shape, dtype, axis)]
    if neurons:
        labels += stored_neurons.coordinates(neurons[0])
        arrays.append(stored_neurons.array(shape[0], neurons, dtype))
    zarr_group.create(path, identity.attributes(axis), labels, arrays)
    return LanguageStore(group=zarr_group.open_group(path))


def _states(shape: tuple[int, int, int, int], dtype: str, axis: TimeAxis) -> Array:
    return Array(
        name="states",
        axes=("utterance", "state", "frame", "feature"),
        shape=shape,
        chunk=(1, *shape[1:]),
        inner=(1, 1, _inner_frames(shape[2]), shape[3]),
        dtype=dtype,
        attributes={"long_name": "encoder state", "frame_seconds": axis.frame_seconds, "units": "1"},
    )


def columns(
    listing: Listing, samples: Sequence[int], frames: Sequence[int], axis: TimeAxis
) -> dict[str, np.ndarray]:
    """Labels of a listing's utterances by name, strings as objects."""
    utterances = listing.utterances
    return {
        "utterance": np.asarray([u.name for u in utterances], object),
        "sentence": np.asarray([u.sentence for u in utterances], object),
        "rank": np.asarray([u.rank for u in utterances], np.int32),
        "transcription": np.asarray([u.transcription for u in utterances], object),
        "gender": np.asarray([u.gender for u in utterances], object),
        "source": np.asarray([u.source.name for u in utterances], object),
        "duration": np.asarray([count / SAMPLE_RATE if count else np.nan for count in samples]),
        "frames": np.asarray(frames, np.int32),
        "truncated": np.asarray([count > axis.window_samples for count in samples]),
        "recording": np.asarray(listing.recordings, object),
        "place": np.arange(len(utterances), dtype=np.int32),
    }


_ATTRIBUTES: dict[str, dict[str, Json]] = {
    "sentence": {"long_name": "text shared by languages"},
    "rank": {"long_name": "recording of the sentence"},
    "source": {"long_name": "file of the recording"},
    "duration": {"units": "s"},
    "frames": {"long_name": "frames of real audio"},
    "truncated": {"long_name": "longer than the encoder's window"},
    "recording": {"long_name": "fingerprint of the recording's file"},
    "array": {"long_name": "fingerprint of the file that the states are from"},
    "place": {"long_name": "position in the corpus, -1 if the corpus no longer has the recording"},
}


def coordinates(labels: Mapping[str, np.ndarray], states: Sequence[str], axis: TimeAxis) -> list[Coordinate]:
    """Coordinates of a group from its labels by row."""
    attributes = {name: dict(held) for name, held in _ATTRIBUTES.items()}
    attributes["frames"]["units"] = f"{1000 * axis.frame_seconds:g} ms"
    values = {name: list(v) if v.dtype == object else v for name, v in labels.items()}
    return [
        Coordinate(name="state", axis="state", values=list(states)),
        *(
            Coordinate(name=name, axis="utterance", values=v, attributes=attributes.get(name, {}))
            for name, v in values.items()
        ),
    ]


def check_identity(store: LanguageStore, identity: Identity) -> None:
    """Refuse to resume a store of another model or other settings; the Refusal names each and both values."""
    check_origin(store, dataclasses.asdict(identity))


def check_origin(store: LanguageStore, wanted: Mapping[str, Json]) -> None:
    """As of `check_identity`, of which "model", "weights_sha256" and "settings" are enough."""
    if lines := state_origin.differences(store.attributes, wanted):
        raise Refusal(
            f"{store.path}: made from another model or other settings{lines}\n"
            "  Remedy: name another --store, or use the flags it was made with."
        )
