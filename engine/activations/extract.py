"""Conductor of extraction: a corpus and a checkpoint in, one activation store per language out.

Everything that can be refused is refused before the encoder is loaded: unknown languages and states, a store
of something else, a disk too small. Broken recordings are reported and left out. Run again after any crash,
it does what is missing.
"""

import dataclasses
import logging
import pathlib
import shutil
import time
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from isogloss.engine import time_axis
from isogloss.engine.activations import activation_store, inventory, pipeline
from isogloss.engine.activations.activation_store import Identity, LanguageStore
from isogloss.engine.activations.extract_config import ExtractConfig
from isogloss.engine.activations.inventory import Outcome
from isogloss.engine.activations.settings import ExtractionSettings
from isogloss.engine.checkpoints.checkpoint import load_checkpoint
from isogloss.engine.corpora import corpus
from isogloss.engine.corpora.listing import Listing
from isogloss.engine.runtime import compilation, devices, shards
from isogloss.engine.runtime.options import recorded
from isogloss.engine.runtime.progress import Progress
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.whisper import encoder, encoder_program

DTYPES = ("float16", "float32")
_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExtractSummary:
    """How a run ended; counts are of this process's share.

    Attributes:
      done: utterances written by this run.
      skipped: utterances that were there already.
      left_out: utterances that --long=skip leaves out.
      truncated: utterances cut to the encoder's window, written now or before.
      failed: reason by "language utterance".
      seconds: of the run.
      audio_seconds_per_second: real audio encoded and written, per second of the run.
      programs: compiled by this run, and found compiled by an earlier one; one runs every step.
      plan: what is to do: utterances, FLOPs, bytes; with --dry_run the time it would take.
    """

    done: int
    skipped: int
    left_out: int
    truncated: int
    failed: Mapping[str, str]
    seconds: float
    audio_seconds_per_second: float
    programs: Mapping[str, int]
    plan: Mapping[str, int | float]

    @property
    def complete(self) -> bool:
        """Whether no utterance failed."""
        return not self.failed


def run(config: ExtractConfig) -> ExtractSummary:
    """Extract what `config` asks for.

    Raises:
      Refusal: bad input, before any compute.
      WriteError: the store can't be written.
    """
    start = time.monotonic()
    programs = compilation.keep(config.compilation_cache)
    checkpoint = load_checkpoint(config.model, config.revision)
    names = encoder.state_names(checkpoint.dimensions.encoder_layers)
    recipe = ExtractionSettings(
        checkpoint=checkpoint,
        states=encoder.choose_states(config.states, names),
        dtype=config.dtype,
        precision=encoder_program.precision_for(jax.default_backend(), config.compute),
        rows_per_device=config.rows_per_device
        or encoder_program.rows_per_device(jax.default_backend(), checkpoint.dimensions, devices.memory()),
        recordings=config.recordings,
        long=config.long,
    )
    limits = recipe.limits()
    surveys = [
        inventory.look(
            config.store, listing, _identity(config, recipe, listing), recipe.positions, config.long
        )
        for listing in _listings(config)
    ]
    rows = [row for found in surveys for row in zip(found.present, found.frames, strict=True)]
    todo = [frames for present, frames in config.share.of(rows) if frames and not present]
    cost = {"utterances": len(todo), "bytes": recipe.shard_bytes(todo)}
    if config.dry_run:
        return _summary(None, start, programs(), {**cost, **_estimate(recipe, todo)})
    _check_disk(config.store, cost)
    stores = [_store(config.store, found, recipe) for found in surveys]
    tally = Outcome(stores, [found.listing for found in surveys], config.share, recipe.positions)
    if tally.todo:
        _encode(recipe, limits, tally)
    return _summary(tally, start, programs(), cost)


def _listings(config: ExtractConfig) -> list[Listing]:
    """Listings of the languages asked for, all of the corpus's by default."""
    opened = corpus.open_corpus(config.corpus)
    languages = config.languages or opened.languages()
    if len(set(languages)) < len(languages):
        raise Refusal(f"--languages names a language twice: {','.join(languages)}")
    listings = [opened.listing(language, config.recordings) for language in languages]
    _warn_of_strangers(listings)
    return listings


def _warn_of_strangers(listings: Sequence[Listing]) -> None:
    """Say so before anything is encoded, if no sentence of a language will be compared with any."""
    said = {listing.language: {u.sentence for u in listing.utterances} for listing in listings}
    alone = [
        code
        for code, own in said.items()
        if len(said) > 1
        and all(own.isdisjoint(other) for language, other in said.items() if language != code)
    ]
    if alone:
        _LOG.warning(
            "no sentence in common with another language: %s; `sentence` is an id that languages share, not "
            "the text",
            ", ".join(alone),
        )


def _identity(config: ExtractConfig, recipe: ExtractionSettings, listing: Listing) -> Identity:
    return Identity(
        model=recipe.checkpoint.name,
        weights_sha256=recipe.checkpoint.sha256,
        corpus=listing.corpus,
        corpus_sha256=listing.sha256(),
        settings=recipe.settings(),
        flags=recorded(config),
    )


def _store(root: pathlib.Path, found: inventory.Survey, recipe: ExtractionSettings) -> LanguageStore:
    """The store of a surveyed language, made now if there is none."""
    if not found.samples:
        return activation_store.open_store(root, found.listing.language)
    store = activation_store.create(
        root,
        found.listing,
        found.samples,
        found.frames,
        states=recipe.states,
        positions=recipe.positions,
        features=recipe.checkpoint.dimensions.features,
        identity=found.identity,
    )
    activation_store.check_identity(store, found.identity)  # another process may have made it meanwhile
    return store


def _check_disk(store: pathlib.Path, cost: Mapping[str, int]) -> None:
    there = next(path for path in (store, *store.absolute().parents) if path.exists())
    free = shutil.disk_usage(there).free
    if cost["bytes"] > free:
        raise Refusal(
            f"{store}: {cost['utterances']} utterances need {cost['bytes'] / 1e9:.2f} GB, "
            f"{free / 1e9:.2f} GB are free. Free space, name another --store, or store fewer --states"
        )


def _estimate(recipe: ExtractionSettings, frames: Sequence[int]) -> dict[str, int | float]:
    """Work and time of encoding utterances of so many frames here, by a product timed on the spot."""
    speed = shards.product_flops(jax.default_backend()) * jax.local_device_count()
    work = len(frames) * encoder_program.flops(recipe.checkpoint.dimensions)
    return {
        "audio_hours": round(sum(frames) * time_axis.FRAME_SECONDS / 3600, 4),
        "flops": work,
        "peak_flops_per_second": speed,
        "seconds": round(work / (encoder_program.SHARE_OF_PEAK * speed), 1),
    }


def _encode(recipe: ExtractionSettings, limits: pipeline.Limits, tally: Outcome) -> None:
    """Load the encoder and stream the tally's units through it."""
    loaded = encoder_program.load(
        recipe.checkpoint,
        recipe.states,
        recipe.dtype,
        recipe.precision,
        rows_per_device=recipe.rows_per_device,
    )
    _LOG.info(
        "%s on %d %s device(s), %d row(s) each, products in %s, %s attention",
        recipe.checkpoint.name,
        len(loaded.devices),
        jax.default_backend(),
        recipe.rows_per_device,
        recipe.precision.compute,
        recipe.precision.attention,
    )
    tally.progress = Progress("extract", len(tally.todo), "utterances")
    pipeline.Pipeline(
        loaded,
        samples=encoder_program.window_samples(recipe.checkpoint.dimensions),
        states=recipe.states,
        largest=float(np.finfo(recipe.dtype).max),
        limits=limits,
        done=tally.finish,
        failed=tally.fail,
    ).run(tally.todo)
    tally.progress.close()


def _summary(
    tally: Outcome | None, start: float, programs: Mapping[str, int], cost: Mapping[str, int | float]
) -> ExtractSummary:
    """Counts and rates; a dry run has no tally."""
    seconds = time.monotonic() - start
    return ExtractSummary(
        done=tally.done if tally else 0,
        skipped=tally.skipped if tally else 0,
        left_out=tally.left_out if tally else 0,
        truncated=tally.truncated if tally else 0,
        failed=tally.failed if tally else {},
        seconds=round(seconds, 3),
        audio_seconds_per_second=round(tally.audio_seconds / seconds, 3) if tally else 0.0,
        programs=programs,
        plan=cost,
    )
