"""The extract job: reads a corpus and a checkpoint, writes one activation store per language.

Bad input is refused before the encoder is loaded: unknown languages and states, a store of another identity,
too small a disk. Broken recordings are reported and left out. A second run, after a crash or not, does only
what is missing.
"""

import dataclasses
import logging
import time
from collections.abc import Mapping, Sequence, Set
from typing import Any

import numpy as np

from isogloss.engine.activations import (
    activation_store,
    encoders,
    inventory,
    pipeline,
    store_growth,
    store_languages,
)
from isogloss.engine.activations.activation_store import Identity, LanguageStore
from isogloss.engine.activations.extract_config import ExtractConfig
from isogloss.engine.activations.inventory import Outcome
from isogloss.engine.activations.settings import ExtractionSettings
from isogloss.engine.activations.state_source import FINAL
from isogloss.engine.corpora import corpus, estimated_lengths, languages, listing
from isogloss.engine.corpora.listing import Listing
from isogloss.engine.runtime import compilation, disk_space, json_values, objects, sentences
from isogloss.engine.runtime.name_lists import first_names
from isogloss.engine.runtime.options import recorded
from isogloss.engine.runtime.progress import Progress, seconds_since
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.whisper import named_states

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExtractSummary:
    """Result of a run; counts are of this process's share, and 0 in a dry run.

    Attributes:
      done: utterances written by this run.
      skipped: utterances stored by earlier runs.
      left_out: utterances that --long=skip leaves out.
      truncated: utterances cut to the encoder's window, written now or before.
      bytes: size of the stored utterances, written now or before.
      changes: names of recordings that are new, gone or changed since a store was made, by language.
      failed: reasons by "language utterance".
      through_ffmpeg: "language utterance" of the files that ffmpeg decoded, or with --dry_run will decode.
      seconds: duration of the run.
      audio_seconds_per_second: seconds of audio encoded and written per second of the run.
      programs: number compiled by this run, and number found in the cache; all steps run one program.
      plan: work to do: utterances, FLOPs, bytes; with --dry_run also the estimated time.
    """

    done: int = 0
    skipped: int = 0
    left_out: int = 0
    truncated: int = 0
    bytes: int = 0
    changes: Mapping[str, str] = dataclasses.field(default_factory=dict)
    failed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    through_ffmpeg: Sequence[str] = ()
    seconds: float
    audio_seconds_per_second: float = 0.0
    programs: Mapping[str, int]
    plan: Mapping[str, int | float]

    @property
    def complete(self) -> bool:
        """True if no utterance failed."""
        return not self.failed

    def sentence(self, config: ExtractConfig) -> str:
        """Amount of the share that is stored, and the command that compares it."""
        share, store = config.share, config.store
        counts = self.done, self.skipped, len(self.failed)
        start = sentences.stored(*counts, "utterances", store, share, self.bytes)
        grid = sentences.command("grid", store=store, grid=store.parent / "grid.zarr")
        return start + sentences.following(share, grid)


def run(config: ExtractConfig) -> ExtractSummary:
    """Summary of an extraction run with these options.

    Raises:
      Refusal: bad input, found before any computation.
      WriteError: the store can't be written.
    """
    start = time.monotonic()
    programs = compilation.keep(config.compilation_cache)
    settings = _settings(config)
    sizes, stored, surveys = _surveys(config, settings)
    changes = _changes(config, surveys)
    rows = [(found, row) for found in surveys for row in found.rows]
    todo = [found.frames[row] for found, row in rows if found.frames[row] and not found.present[row]]
    cost = {"utterances": len(todo), "files": settings.files * len(todo), "bytes": settings.shard_bytes(todo)}
    disk_space.require(
        config.store, cost["bytes"], f"{len(todo):,} utterances", "name another --store, or fewer --states"
    )
    if config.dry_run:
        hours = round(sum(todo) * settings.axis.frame_seconds / 3600, 4)
        work = settings.encoder.cost(todo, settings.states, settings.dtype)
        guessed = estimated_lengths.reported(sum(found.guessed for found in surveys))
        plan = {**cost, "audio_hours": hours, **work, **guessed}
        counts = _forecast(surveys, settings)
        seconds = seconds_since(start)
        return ExtractSummary(**counts, changes=changes, seconds=seconds, programs=programs(), plan=plan)
    store_languages.plan(config.store, sizes, _origin(settings), stored)
    outcome = Outcome([(_store(config, found, settings), found) for found in surveys], settings.axis)
    if outcome.todo:
        _encode(settings, outcome)
    seconds = time.monotonic() - start
    return ExtractSummary(
        done=outcome.done,
        skipped=outcome.skipped,
        left_out=outcome.left_out,
        truncated=outcome.truncated,
        failed=outcome.failed,
        through_ffmpeg=inventory.through_ffmpeg(outcome.written),
        bytes=settings.shard_bytes(outcome.stored_frames),
        changes=changes,
        seconds=round(seconds, 3),
        audio_seconds_per_second=round(outcome.audio_seconds / seconds, 3),
        programs=programs(),
        plan=cost,
    )


def make_empty(config: ExtractConfig) -> None:
    """Make the stores that a run would fill, in a folder, with a file of no bytes for each utterance.

    Jobs behind this one can plan with them before there is any state.

    Raises:
      Refusal: as of a run.
    """
    settings = _settings(config)
    _, _, surveys = _surveys(dataclasses.replace(config, dry_run=True), settings)
    outcome = Outcome([(_store(config, found, settings), found) for found in surveys], settings.axis)
    for unit in outcome.todo:
        for file in unit.store.files_of_row(unit.row):
            objects.write(file, b"")


def _forecast(surveys: Sequence[inventory.Survey], settings: ExtractionSettings) -> dict[str, Any]:
    """Fields of a dry run's summary; also logged."""
    expected = inventory.forecast(surveys, settings.axis)
    for utterance, reason in expected.failed.items():
        _LOG.error("%s: %s", utterance, reason)
    if named := expected.through_ffmpeg:
        _LOG.info("ffmpeg decodes %d recordings: %s", len(named), first_names(named))
    return dataclasses.asdict(expected)


def _settings(config: ExtractConfig) -> ExtractionSettings:
    """Settings of the model and the states that the options name; no weight is read yet."""
    opened = encoders.open_model(
        config.model,
        config.revision,
        compute=config.compute,
        attention=config.attention,
        rows_per_device=config.rows_per_device,
        neurons=config.neurons,
    )
    return ExtractionSettings(
        encoder=opened,
        states=_states(config, opened.states, opened.no_final),
        dtype=config.dtype,
        recordings=config.recordings,
        long=config.long,
    )


def _states(config: ExtractConfig, names: Sequence[str], no_final: str | None) -> tuple[str, ...]:
    """States that the options name; the refusal of "final" says why the model has none."""
    # Asked before the list of names, whose message wouldn't say why.
    if no_final is not None and FINAL in config.states:
        raise Refusal(
            f"--states: {config.model} has no state final: {no_final}. "
            f"Remedy: name {names[-1]}, the last block's"
        )
    return named_states.choose_states(config.states, names)


def _surveys(
    config: ExtractConfig, settings: ExtractionSettings
) -> tuple[dict[str, int], set[str], list[inventory.Survey]]:
    """Numbers of utterances by requested language, those that have a store, and surveys of the share's.

    Only recordings of the share's languages are looked at: of the others the list of sentences is enough.
    """
    opened = corpus.open_corpus(config.corpus, config.columns)
    sentences = {code: opened.sentences(code) for code in config.languages or opened.languages()}
    if message := languages.unknown_message(sentences):
        _LOG.warning("%s", message)
    # All languages, not the share's: each process warns alike, and of the whole corpus.
    _warn_of_unshared_sentences({code: set(own) for code, own in sentences.items()})
    sizes = {code: listing.count(own, config.recordings) for code, own in sentences.items()}
    # Those of other processes too: no share may be made that the others' refuse to stand beside.
    stores, origin = activation_store.find_all(config.store, sizes), _origin(settings)
    for store in stores.values():
        activation_store.check_origin(store, origin)
    store_languages.check(config.store, sizes.keys() - stores.keys(), origin)
    surveys = []
    for (code, size), rows in zip(sizes.items(), config.share.rows(list(sizes.values())), strict=True):
        if rows or not size:  # a language without a recording is refused by its listing
            listed = opened.listing(code, config.recordings)
            identity = _identity(config, settings, listed)
            surveys.append(
                inventory.survey(
                    stores.get(code),
                    listed,
                    rows,
                    identity,
                    settings,
                    redo_changed=config.redo_changed,
                    estimate=config.dry_run,
                )
            )
    return sizes, set(stores), surveys


def _changes(config: ExtractConfig, surveys: Sequence[inventory.Survey]) -> dict[str, str]:
    """Names of recordings that are new, gone or changed since a store was made, by language; also logged."""
    changes = {found.listing.language: found.changes for found in surveys if found.changes}
    for language, text in changes.items():
        _LOG.warning("%s: since its store was made, %s has %s", language, config.corpus, text)
    return changes


def _warn_of_unshared_sentences(sentences: Mapping[str, Set[str]]) -> None:
    """Warn, before anything is encoded, of languages that share no sentence with another language."""
    alone = [
        code
        for code, own in sentences.items()
        if len(sentences) > 1
        and all(own.isdisjoint(other) for language, other in sentences.items() if language != code)
    ]
    if alone:
        _LOG.warning(
            "no sentence in common with another language: %s; `sentence` must be an id that languages share, "
            "not the text",
            ", ".join(alone),
        )


def _origin(settings: ExtractionSettings) -> dict[str, Any]:
    """The part of an identity that all languages of a store have in common."""
    return {
        "model": settings.encoder.name,
        "weights_sha256": settings.encoder.sha256,
        "settings": settings.settings(),
    }


def _identity(config: ExtractConfig, settings: ExtractionSettings, listing: Listing) -> Identity:
    return Identity(
        **_origin(settings),
        corpus=listing.corpus,
        corpus_sha256=json_values.sha256([listing.sha256(), listing.recordings]),
        flags=recorded(config),
    )


def _store(config: ExtractConfig, found: inventory.Survey, settings: ExtractionSettings) -> LanguageStore:
    """Store of a surveyed language with the utterances of its listing, made now if there is none."""
    if found.samples:
        store = activation_store.create(
            config.store,
            found.listing,
            found.samples,
            found.frames,
            states=settings.states,
            axis=settings.encoder.axis,
            features=settings.encoder.features,
            neurons=settings.encoder.neuron_sizes,
            identity=found.identity,
        )
        activation_store.check_identity(store, found.identity)  # another process may have made it meanwhile
    return store_growth.grow(
        config.store,
        found.listing,
        found.identity,
        settings.encoder.axis,
        config.long,
        redo_changed=config.redo_changed,
    )


def _encode(settings: ExtractionSettings, outcome: Outcome) -> None:
    """Load the encoder and run the outstanding utterances through it."""
    loaded = settings.encoder.load(settings.states, settings.dtype)
    _LOG.info(
        "%s on %d device(s): %s", settings.encoder.name, len(loaded.devices), settings.encoder.description
    )
    # Broken recordings were counted when they were surveyed; they need no step of the encoder.
    failed = len(outcome.failed)
    outcome.progress = Progress(
        "extract",
        outcome.skipped + len(outcome.todo) + failed,
        "utterances",
        before=outcome.skipped,
        without=failed,
    )
    pipeline.Pipeline(
        loaded,
        samples=settings.encoder.axis.window_samples,
        states=settings.states,
        largest=float(np.finfo(settings.dtype).max),
        limits=settings.limits(),
        stored=outcome.progress.store,
        done=outcome.finish,
        failed=outcome.fail,
        key=settings.encoder.step_key,
    ).run(outcome.todo)
    outcome.progress.close()
