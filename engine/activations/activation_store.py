"""Activation store: all encoder states of all utterances of a language, STORE/<language>.zarr.

One shard holds all states of one utterance and is one file, which appears complete, by a rename: an utterance
is stored if its file exists. Everything else in the group depends only on the listing and is written when the
group is made. An unusable utterance has no shard but a note in <language>.zarr/failed/, so that an analysis
can distinguish a broken recording from one not yet extracted.
"""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import tensorstore as ts
from jaxtyping import Bool, Float, Int32

from isogloss.engine.corpora.listing import Listing
from isogloss.engine.runtime import atomic_write, json_values, zarr_group
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.runtime.zarr_group import Array, Coordinate
from isogloss.engine.time_axis import FRAME_SECONDS, SAMPLE_RATE, SAMPLES_PER_FRAME

KIND, FORMAT, READ = "activations", 2, (1, 2)
INNER_FRAMES = 50  # at most, in an inner chunk: one second, so that padding costs half a second per clip
_IDENTITY = ("weights_sha256", "corpus_sha256", "settings")


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
    """Model, corpus and settings of a store; a run with another identity doesn't resume it.

    Attributes:
      model: model name, for people.
      weights_sha256: hash of the checkpoint's files.
      corpus: description of the corpus, for people.
      corpus_sha256: hash of the language's listing.
      settings: all settings that change the content: states, dtype, recordings, long, compute dtype.
      flags: resolved flags of the run that made the store, for the record.
    """

    model: str
    weights_sha256: str
    corpus: str
    corpus_sha256: str
    settings: Mapping[str, Json]
    flags: Mapping[str, Json]

    def attributes(self) -> dict[str, Json]:
        """Attributes of the group."""
        return {"kind": KIND, "format": FORMAT, **dataclasses.asdict(self)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class LanguageStore:
    """Open store of one language.

    Attributes:
      path: STORE/<language>.zarr.
    """

    path: pathlib.Path

    @property
    def language(self) -> str:
        """Code of the language."""
        return self.path.stem

    @functools.cached_property
    def attributes(self) -> dict[str, Json]:
        """Identity of the store, see Identity."""
        return zarr_group.read_attributes(self.path)

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """Names of the utterances, in the order of the rows."""
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
        return zarr_group.open_array(self.path, "states")

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
        return zarr_group.read_coordinate(self.path, name)

    def present(self) -> Bool[np.ndarray, " U"]:
        """True for each utterance that is stored: its shard exists."""
        stored = np.zeros(len(self.names), bool)
        stored[[index for (index,) in zarr_group.chunks_present(self.path, "states", 1)]] = True
        return stored

    def write(self, utterance: int, states: Float[np.ndarray, "S N D"]) -> ts.WriteFutures:
        """Future of writing an utterance's states, NaN beyond its frames; ready when they are on disk."""
        if states.shape != self._array.shape[1:] or states.dtype != self.dtype:
            wanted = f"{self._array.shape[1:]} {self.dtype}"
            raise Refusal(f"{self.path}: an utterance is {wanted}, got {states.shape} {states.dtype}")
        # The caller never changes `states` again, so TensorStore need not copy it (34 states: 260 MB).
        return self._array[utterance].write(states, can_reference_source_data_indefinitely=True)

    def read(self, state: str, utterances: Iterable[int]) -> list[Float[np.ndarray, "_ D"]]:
        """One state of some utterances, each with its own number of frames, in the stored dtype."""
        # All reads are started before the first is waited for.
        s = self.states.index(state)
        reads = [self._array[u, s, : int(self.frames[u])].read() for u in utterances]
        return [read.result() for read in reads]

    @property
    def _notes(self) -> pathlib.Path:
        return self.path / "failed"

    def failures(self) -> dict[int, str]:
        """Reasons why utterances have no shard, by row, from the last run that tried them."""
        notes = self._notes.glob("[0-9]*.json") if self._notes.is_dir() else ()
        return {int(note.stem): json.loads(note.read_text("utf-8"))["error"] for note in sorted(notes)}

    def note_failure(self, utterance: int, error: str) -> None:
        """Store the reason why an utterance can't be used."""
        atomic_write.make_folder(self._notes)
        text = json.dumps({"utterance": self.names[utterance], "error": error}, ensure_ascii=False) + "\n"
        note = self._notes / f"{utterance}.json"
        atomic_write.write_whole(note, lambda path: path.write_text(text, "utf-8"))

    def forget_failure(self, utterance: int) -> None:
        """Remove the note on an utterance that is stored now."""
        (self._notes / f"{utterance}.json").unlink(missing_ok=True)


def open_store(root: pathlib.Path, language: str) -> LanguageStore:
    """Store of one language; Refusal if the language hasn't been extracted."""
    path = root / f"{language}.zarr"
    if not path.is_dir() or not zarr_group.exists(path):
        known = ", ".join(languages(root)) or "none"
        raise Refusal(
            f"{root}: {language!r} isn't extracted (stored: {known}); run extract with --languages={language}"
        )
    store = LanguageStore(path=path)
    zarr_group.check_kind(path, KIND, READ)
    return store


def languages(root: pathlib.Path) -> tuple[str, ...]:
    """Codes of the languages that have a store under `root`, sorted."""
    stores = (path for path in root.glob("[!.]*.zarr") if (path / "zarr.json").is_file())
    return tuple(sorted(path.stem for path in stores if zarr_group.read_attributes(path).get("kind") == KIND))


def create(
    root: pathlib.Path,
    listing: Listing,
    samples: Sequence[int],
    frames: Sequence[int],
    *,
    states: Sequence[str],
    positions: int,
    features: int,
    identity: Identity,
) -> LanguageStore:
    """Store of a language, made without activations; an existing store is left unchanged.

    Args:
      root: folder of all stores.
      listing: utterances, one row each.
      samples: length of each recording at 16 kHz; 0 if it can't be read.
      frames: number of frames of each recording to store; 0 if it has none.
      states: names of the states to store.
      positions: frames of the encoder's window.
      features: width of a state.
      identity: model, corpus and settings, for the attributes.
    """
    path = root / f"{listing.language}.zarr"
    dtype = str(identity.settings["dtype"])
    shape = (len(listing.utterances), len(states), positions, features)
    array = Array(
        name="states",
        axes=("utterance", "state", "frame", "feature"),
        shape=shape,
        chunk=(1, *shape[1:]),
        inner=(1, 1, _inner_frames(positions), features),
        dtype=dtype,
        attributes={"long_name": "encoder state", "frame_seconds": FRAME_SECONDS, "units": "1"},
    )
    coordinates = _coordinates(listing, samples, frames, states, positions)
    zarr_group.create(path, identity.attributes(), coordinates, [array])
    return LanguageStore(path=path)


def _coordinates(
    listing: Listing, samples: Sequence[int], frames: Sequence[int], states: Sequence[str], positions: int
) -> list[Coordinate]:
    rows = listing.utterances
    seconds = np.asarray([count / SAMPLE_RATE if count else np.nan for count in samples])
    long = np.asarray([count > positions * SAMPLES_PER_FRAME for count in samples])
    columns: dict[str, tuple[np.ndarray | Sequence[str], dict[str, Json]]] = {
        "utterance": ([u.name for u in rows], {}),
        "sentence": ([u.sentence for u in rows], {"long_name": "text shared by languages"}),
        "rank": (np.asarray([u.rank for u in rows], np.int32), {"long_name": "recording of the sentence"}),
        "transcription": ([u.transcription for u in rows], {}),
        "gender": ([u.gender for u in rows], {}),
        "source": ([u.source.name for u in rows], {"long_name": "file of the recording"}),
        "duration": (seconds, {"units": "s"}),
        "frames": (np.asarray(frames, np.int32), {"units": "20 ms", "long_name": "frames of real audio"}),
        "truncated": (long, {"long_name": "longer than the encoder's window"}),
    }
    return [
        Coordinate(name="state", axis="state", values=list(states)),
        *(Coordinate(name=n, axis="utterance", values=v, attributes=a) for n, (v, a) in columns.items()),
    ]


def check_identity(store: LanguageStore, identity: Identity) -> None:
    """Refuse to resume a store of another identity; the Refusal gives both values."""

    def differences(*keys: str) -> str:
        found, wanted = (
            {key: of.get(key) for key in keys} for of in (store.attributes, identity.attributes())
        )
        return json_values.differences(found, wanted)

    if differences(*_IDENTITY):
        lines = differences(*_IDENTITY, "model", "corpus")  # people recognise names, not hashes
        raise Refusal(
            f"{store.path}: made from another model, corpus or settings{lines}\n"
            "  Remedy: name another --store, or use the flags it was made with."
        )
