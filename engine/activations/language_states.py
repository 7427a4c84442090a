"""Languages of a grid: one utterance for each sentence, and its states in memory.

The utterance of a sentence is the first recording by file name (rank 0), as in the public re-implementation
of SeqSim. States of all utterances are loaded together, sorted by length and padded in groups, so that
kernels waste little work on padding: memory is that of the frames plus about a tenth.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Bool, Float, Float32, Int, Int32

from isogloss.engine.activations import state_origin
from isogloss.engine.activations.activation_store import LanguageStore
from isogloss.engine.runtime import disk_faults, json_values
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.refusal import Refusal, UnreadableError
from isogloss.kernels import pooling

GROUP = 64  # utterances that share a padded length
_AT_ONCE = 8  # languages being opened
STEP = 64  # frames; padded lengths are its multiples, so that few shapes are compiled: 24 up to 30 s
_COARSE, _COARSE_STEP = 768, 128  # on accelerators, of longer utterances: 18 lengths up to 30 s
_FEWEST = 8  # rows of a group there
_SIZES = ((1024, GROUP // 2), (256, GROUP), (0, 2 * GROUP))  # utterances of a group, from a padded length on


class DamagedError(ValueError):
    """A shard can't be read; the message has its name and the remedy."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class GridLanguage:
    """Utterances of one language that enter a grid.

    Attributes:
      store: store of the language.
      rows: rows of the utterances in the store, in the order of the store.
      sentences: sentence of each utterance.
      missing: names of first recordings that the store lacks, because they are broken or left out.
      broken: names of the missing ones that --long=skip doesn't explain.
      firsts: first recordings, if these are second ones.
    """

    store: LanguageStore
    rows: tuple[int, ...]
    sentences: tuple[str, ...]
    missing: tuple[str, ...]
    broken: tuple[str, ...]
    firsts: "GridLanguage | None" = None

    @property
    def language(self) -> str:
        """Code of the language."""
        return self.store.language

    @property
    def frames(self) -> Int32[np.ndarray, " U"]:
        """Number of frames of each utterance."""
        return self.store.frames[list(self.rows)]

    def recordings(self) -> dict[str, str]:
        """Fingerprint of the recording of each sentence; by name and length in stores of earlier formats."""
        if "recording" in self.store.columns:
            return dict(zip(self.sentences, self.store.coordinate("recording")[list(self.rows)], strict=True))
        files, seconds = (self.store.coordinate(name)[list(self.rows)] for name in ("source", "duration"))
        made_of = map(json_values.fingerprint, zip(files.tolist(), seconds.tolist(), strict=True))
        return dict(zip(self.sentences, made_of, strict=True))

    def identity(self) -> dict[str, Json]:
        """Facts about the language that decide the grid's numbers or help its reader."""
        seconds = self.store.coordinate("duration")[list(self.rows)]
        truncated = self.store.coordinate("truncated")[list(self.rows)]
        return {
            "corpus": self.store.attributes["corpus"],
            "corpus_sha256": self.store.attributes["corpus_sha256"],
            "sentences": len(self.rows),
            "missing": list(self.missing),
            "seconds": round(float(np.sum(seconds)), 3),
            "truncated": int(np.sum(truncated)),
            **({"recording": "second"} if self.firsts else {}),
        }


def open_language(store: LanguageStore) -> GridLanguage:
    """Utterances of a language that enter a grid.

    Raises:
      Refusal: the extraction of the language isn't finished, or stored no utterance.
    """
    member = _chosen(store, store.coordinate("rank") == 0)
    if not member.rows:
        raise Refusal(
            f"{store.path}: no utterance is stored, every recording is broken or left out. "
            f"Leave {store.language} out by --languages"
        )
    return member


def second_recordings(firsts: GridLanguage) -> GridLanguage | None:
    """Second recordings of sentences, by another speaker as a rule; None if the store has none.

    Raises:
      Refusal: their extraction isn't finished.
    """
    store = firsts.store
    again = np.isin(store.coordinate("sentence"), firsts.sentences) & (store.coordinate("rank") == 1)
    member = _chosen(store, again)
    return dataclasses.replace(member, firsts=firsts) if member.rows else None


def _chosen(store: LanguageStore, chosen: Bool[np.ndarray, " U"]) -> GridLanguage:
    """Stored utterances among the chosen ones; Refusal if one of them isn't extracted yet."""
    present, failures, names = store.present(), store.failures(), store.names
    pending = [names[row] for row in np.flatnonzero(chosen & ~present) if row not in failures]
    if pending:
        raise Refusal(
            f"{store.path}: {len(pending)} of {int(chosen.sum())} utterances aren't extracted yet, "
            f"{pending[0]} among them. Run extract to its end, or leave {store.language} out by --languages"
        )
    rows, absent = np.flatnonzero(chosen & present), chosen & ~present
    skipped = store.coordinate("truncated") & (store.frames == 0)  # by --long=skip
    return GridLanguage(
        store=store,
        rows=tuple(map(int, rows)),
        sentences=tuple(store.coordinate("sentence")[rows]),
        missing=tuple(names[row] for row in np.flatnonzero(absent)),
        broken=tuple(names[row] for row in np.flatnonzero(absent & ~skipped)),
    )


def open_languages(stores: Sequence[LanguageStore]) -> dict[str, GridLanguage]:
    """Utterances of several languages, by language; a bucket is asked about several at once."""
    with ThreadPoolExecutor(_AT_ONCE, "open") as pool:
        return {language.language: language for language in pool.map(open_language, stores)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class PaddedGroup:
    """Utterances of similar length, padded to a multiple of STEP.

    Attributes:
      where: their indices among the language's rows.
      frames: number of frames of each, and of rows that fill the group.
      states: states, padded with zeros.
    """

    where: Int32[np.ndarray, " _"]
    frames: Int32[np.ndarray, " U"]
    states: Float[np.ndarray, "U N D"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LanguageStates:
    """One state of a language, in memory.

    Attributes:
      groups: frames of all utterances, by length.
      pooled: mean frame of every utterance, in the order of the language's rows.
    """

    groups: tuple[PaddedGroup, ...]
    pooled: Float[np.ndarray, "U D"]


def load(member: GridLanguage, state: str, *, remove_language_mean: bool) -> LanguageStates:
    """One state of all utterances of a language; DamagedError if a shard is damaged.

    The mean to remove is that of the first recordings, also from second ones, which may be few.
    """
    firsts = read(member.firsts, state) if remove_language_mean and member.firsts else None
    mean = None if firsts is None else mean_frame(firsts)
    return arrange(read(member, state), remove_mean=remove_language_mean, mean=mean)


def mean_frame(utterances: Sequence[Float[np.ndarray, "_ D"]]) -> Float32[np.ndarray, " D"]:
    """A language's mean: that of its utterances' mean frames."""
    return np.asarray(pooling.language_mean(arrange(utterances, remove_mean=False).pooled))


def read(member: GridLanguage, state: str) -> list[Float[np.ndarray, "_ D"]]:
    """Frames of all utterances of a language at one state; DamagedError if a shard is damaged."""
    try:
        return member.store.read(state, member.rows)
    except UnreadableError as error:
        reason = disk_faults.with_remedy(
            error, ". Remedy: delete that file, run extract again, then this job"
        )
        raise DamagedError(f"{member.store.path}: state {state} can't be read: {reason}") from error


def arrange(
    utterances: Sequence[Float[np.ndarray, "_ D"]],
    *,
    remove_mean: bool,
    mean: Float32[np.ndarray, " D"] | None = None,
) -> LanguageStates:
    """States of a language's utterances in the form that kernels take.

    Args:
      utterances: at least one; frames of each, at least one.
      remove_mean: subtract the language's mean, an average over utterances, from every frame.
      mean: that mean, if it isn't that of these utterances.
    """
    lengths = np.asarray([len(frames) for frames in utterances], np.int32)
    groups = [_group(utterances, where, _padded(lengths[where].max())) for where in host_groups(lengths)]
    pooled = np.zeros((len(utterances), utterances[0].shape[1]), np.float32)
    for group in groups:
        pooled[group.where] = pooling.meanpool(group.states, group.frames)
    if remove_mean:
        mean = np.asarray(pooling.language_mean(pooled)) if mean is None else mean
        pooled = np.asarray(pooling.remove_mean(pooled, mean))
        groups = [
            dataclasses.replace(group, states=np.asarray(pooling.remove_mean(group.states, mean)))
            for group in groups
        ]
    return LanguageStates(groups=tuple(groups), pooled=pooled)


def arrange_for_devices(
    utterances: Sequence[Float[np.ndarray, "_ D"]], devices: int
) -> tuple[PaddedGroup, ...]:
    """Groups of a language's utterances as they are uploaded, in the type they are stored in.

    A group has as many rows as `device_shapes` says: frames of zeros, of length 1, fill it.
    """
    lengths = np.asarray([len(frames) for frames in utterances], np.int32)
    shapes = zip(device_groups(lengths), device_shapes(lengths, devices), strict=True)
    return tuple(_filled(_group(utterances, where, longest), rows) for where, (rows, longest) in shapes)


def host_groups(frames: Int32[np.ndarray, " U"]) -> list[Int[np.ndarray, " _"]]:
    """Utterances of each group, the shortest first."""
    order = np.argsort(frames, kind="stable")
    return [order[i : i + GROUP] for i in range(0, len(order), GROUP)]


def device_groups(frames: Int32[np.ndarray, " U"]) -> list[Int[np.ndarray, " _"]]:
    """Utterances of each group for an accelerator, the shortest first, whatever the number of devices.

    A full group with itself has a million frames by utterances, which a step of DTW takes at once: 32 squared
    by 1,024, 64 squared by 256, 128 squared by 64. The fewer the long ones are, the less is padded. The group
    that isn't full is the shortest, because its rows are filled up.
    """
    order, groups = np.argsort(frames, kind="stable"), []
    while len(order):
        longest = _padded_on_devices(int(frames[order[-1]]))
        size = next(size for least, size in _SIZES if longest >= least)
        groups.append(order[-size:])
        order = order[:-size]
    return groups[::-1]


def device_shapes(frames: Int32[np.ndarray, " U"], devices: int) -> list[tuple[int, int]]:
    """Shapes (utterances, padded frames) of the groups for accelerators, rows that fill them included.

    Utterances are a power of 2, 8 at least, rounded up to a multiple of `devices`: each shape is a program.
    """
    return [
        (device_rows(len(where), devices), _padded_on_devices(frames[where].max()))
        for where in device_groups(frames)
    ]


def device_rows(utterances: int, devices: int) -> int:
    """Rows of a group of so many utterances, those that fill it included; see `device_shapes`."""
    power_of_2 = 1 << (max(_FEWEST, utterances) - 1).bit_length()
    return -(-power_of_2 // devices) * devices


def _padded(frames: int | np.integer) -> int:
    return -(-int(frames) // STEP) * STEP


def _padded_on_devices(frames: int | np.integer) -> int:
    return _padded(frames) if frames <= _COARSE else -(-int(frames) // _COARSE_STEP) * _COARSE_STEP


def _group(utterances: Sequence[np.ndarray], where: np.ndarray, longest: int) -> PaddedGroup:
    frames = np.asarray([len(utterances[u]) for u in where], np.int32)
    states = np.zeros((len(where), longest, utterances[0].shape[1]), utterances[0].dtype)
    for padded, u in zip(states, where, strict=True):
        padded[: len(utterances[u])] = utterances[u]
    return PaddedGroup(where=where.astype(np.int32), frames=frames, states=states)


def _filled(group: PaddedGroup, rows: int) -> PaddedGroup:
    missing = rows - len(group.frames)
    frames = np.pad(group.frames, (0, missing), constant_values=1)
    states = np.pad(group.states, ((0, missing), (0, 0), (0, 0))) if missing else group.states
    return dataclasses.replace(group, frames=frames, states=states)


def agreement(members: Mapping[str, GridLanguage]) -> dict[str, Json]:
    """Model and settings that all languages share; their frames and windows are of one length.

    Raises:
      Refusal: two languages have different models, settings, frames or windows.
    """
    first = next(iter(members.values())).store
    for member in members.values():
        names = (first.language, member.language)
        if lines := state_origin.differences(first.attributes, member.store.attributes, names):
            raise Refusal(
                f"{first.path} and {member.store.path}: languages need one model and settings{lines}\n"
                "  Remedy: extract one of them anew, or leave it out by --languages."
            )
        axes = first.time_axis.attributes(), member.store.time_axis.attributes()
        if lines := json_values.differences(*axes, names):
            raise Refusal(
                f"{first.path} and {member.store.path}: frames and windows must be equal{lines}\n"
                "  Remedy: write one of them anew, or leave it out by --languages."
            )
    return {key: first.attributes[key] for key in ("model", "weights_sha256", "settings")}
