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
from collections.abc import Iterable, Mapping, Sequence

import jax
import numpy as np

from isogloss.engine import activation_store, corpus, encode, encoder, pipeline, plan, survey
from isogloss.engine.activation_store import Identity
from isogloss.engine.checkpoint import Checkpoint, load_checkpoint
from isogloss.engine.listing import Listing
from isogloss.engine.progress import Progress
from isogloss.engine.tally import Tally
from isogloss.engine.zarr_group import Json

DTYPES = ("float16", "float32")
_THREADS = 4  # decoding takes milliseconds a recording, an encoder step far longer
_AHEAD = 2  # steps of waveforms decoded beforehand
_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Config:
    """What the extract job was asked for; its flags say what each field means."""

    corpus: str
    model: str
    revision: str | None
    store: pathlib.Path
    languages: tuple[str, ...]
    states: tuple[str, ...]
    recordings: str
    dtype: str
    long: str
    rows_per_device: int
    in_flight_mb: int
    share: plan.Share
    dry_run: bool

    def __post_init__(self) -> None:
        """Refuse words that aren't among the choices."""
        choices = {"dtype": DTYPES, "long": survey.LONG, "recordings": ("first", "all")}
        for field, allowed in choices.items():
            if getattr(self, field) not in allowed:
                raise ValueError(f"--{field} must be one of {allowed}, got {getattr(self, field)!r}")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Summary:
    """How a run ended; counts are of this process's share.

    Attributes:
      done: utterances written by this run.
      skipped: utterances that were there already.
      left_out: utterances that --long=skip leaves out.
      truncated: utterances cut to the encoder's window, written now or before.
      failed: reason by "language utterance".
      seconds: of the run.
      audio_seconds_per_second: real audio encoded and written, per second of the run.
      plan: what is to do: utterances, FLOPs, bytes; with --dry_run the time it would take.
    """

    done: int
    skipped: int
    left_out: int
    truncated: int
    failed: Mapping[str, str]
    seconds: float
    audio_seconds_per_second: float
    plan: Mapping[str, int | float]

    @property
    def complete(self) -> bool:
        """Whether no utterance failed."""
        return not self.failed


def run(config: Config) -> Summary:
    """Extract what `config` asks for.

    Raises:
      ValueError: bad input, before any compute.
      OSError: the store can't be written, see pipeline.StoreError.
    """
    start = time.monotonic()
    checkpoint = load_checkpoint(config.model, config.revision)
    names = encoder.state_names(checkpoint.dimensions.encoder_layers)
    states = encoder.choose_states(config.states, names)
    precision = encode.precision_for(jax.default_backend())
    listings = _listings(config)
    settings: dict[str, Json] = {
        "states": list(states),
        "dtype": config.dtype,
        "compute": precision.compute,
        "recordings": config.recordings,
        "long": config.long,
    }
    if config.dry_run:
        return _dry_run(config, checkpoint, listings, states)
    stores = [
        survey.open_or_create(
            config.store,
            listing,
            states=states,
            positions=checkpoint.dimensions.positions,
            features=checkpoint.dimensions.features,
            long=config.long,
            identity=_identity(config, checkpoint, listing, settings),
        )
        for listing in listings
    ]
    tally = Tally(stores, listings, config.share, checkpoint.dimensions.positions)
    _check_disk(config, tally.todo, states, checkpoint)
    if tally.todo:
        _encode(config, checkpoint, states, precision, tally)
    return _summary(tally, start)


def _listings(config: Config) -> list[Listing]:
    """Listings of the languages asked for, all of the corpus's by default."""
    opened = corpus.open_corpus(config.corpus)
    languages = config.languages or opened.languages()
    if len(set(languages)) < len(languages):
        raise ValueError(f"--languages names a language twice: {','.join(languages)}")
    return [opened.listing(language, config.recordings) for language in languages]


def _identity(
    config: Config, checkpoint: Checkpoint, listing: Listing, settings: Mapping[str, Json]
) -> Identity:
    flags = {
        field.name: str(getattr(config, field.name))
        for field in dataclasses.fields(config)
        if field.name not in ("share", "dry_run", "store", "model")  # places, or without effect on the data
    }
    return Identity(
        model=checkpoint.name,
        weights_sha256=checkpoint.sha256,
        corpus=listing.corpus,
        corpus_sha256=listing.sha256(),
        settings=settings,
        flags=flags,
    )


def _bytes(frames: Iterable[int], states: Sequence[str], checkpoint: Checkpoint, dtype: str) -> int:
    """Bytes of the shards of utterances of so many frames."""
    sizes = checkpoint.dimensions
    return sum(
        activation_store.shard_bytes(n, len(states), sizes.positions, sizes.features, dtype) for n in frames
    )


def _check_disk(
    config: Config, todo: Sequence[pipeline.Unit], states: Sequence[str], checkpoint: Checkpoint
) -> None:
    need = _bytes([unit.frames for unit in todo], states, checkpoint, config.dtype)
    free = shutil.disk_usage(config.store).free
    if need > free:
        raise ValueError(
            f"{config.store}: {len(todo)} utterances need {need / 1e9:.2f} GB, {free / 1e9:.2f} GB are free. "
            "Free space, name another --store, or store fewer --states"
        )


def _summary(tally: Tally, start: float) -> Summary:
    seconds = time.monotonic() - start
    return Summary(
        done=tally.done,
        skipped=tally.skipped,
        left_out=tally.left_out,
        truncated=tally.truncated,
        failed=tally.failed,
        seconds=round(seconds, 3),
        audio_seconds_per_second=round(tally.audio_seconds / seconds, 3),
        plan={"utterances": len(tally.todo)},
    )


def _encode(
    config: Config,
    checkpoint: Checkpoint,
    states: tuple[str, ...],
    precision: encode.Precision,
    tally: Tally,
) -> None:
    """Load the encoder and stream the tally's units through it."""
    per_device = config.rows_per_device or encode.rows_per_device(jax.default_backend())
    limits = _limits(config, per_device * jax.local_device_count(), states, checkpoint)
    loaded = encode.load(checkpoint, states, config.dtype, precision, rows_per_device=per_device)
    _LOG.info(
        "%s on %d %s device(s), %d row(s) each, products in %s, %s attention",
        checkpoint.name,
        len(loaded.devices),
        jax.default_backend(),
        per_device,
        precision.compute,
        precision.attention,
    )
    tally.progress = Progress("extract", len(tally.todo), "utterances")
    pipeline.Pipeline(
        loaded,
        samples=encode.window_samples(checkpoint.dimensions),
        states=states,
        largest=float(np.finfo(config.dtype).max),
        limits=limits,
        done=tally.finish,
        failed=tally.fail,
    ).run(tally.todo)
    tally.progress.close()


def _limits(config: Config, capacity: int, states: Sequence[str], checkpoint: Checkpoint) -> pipeline.Limits:
    """Divide --in_flight_mb: waveforms ahead and steps on the devices first, the rest to writing."""
    row = _bytes([checkpoint.dimensions.positions], states, checkpoint, config.dtype)
    wave = 4 * encode.window_samples(checkpoint.dimensions)
    ahead = max(_THREADS, _AHEAD * capacity)
    fixed = ahead * wave + pipeline.STEPS * capacity * row
    writing = (config.in_flight_mb * 1_000_000 - fixed) // row
    if writing < 1:
        least = -(-(fixed + row) // 1_000_000)
        raise ValueError(
            f"--in_flight_mb={config.in_flight_mb} is too little for {capacity} rows a step; "
            f"give at least {least}, or a smaller --rows_per_device"
        )
    return pipeline.Limits(rows_ahead=ahead, rows_writing=int(writing), threads=_THREADS)


def _dry_run(
    config: Config, checkpoint: Checkpoint, listings: Sequence[Listing], states: Sequence[str]
) -> Summary:
    """What a run would do: nothing is written, headers are read for languages that have no store yet."""
    start = time.monotonic()
    sizes = checkpoint.dimensions
    rows: list[tuple[bool, int]] = []  # (stored already, frames)
    for listing in listings:
        if listing.language in activation_store.languages(config.store):
            store = activation_store.open_store(config.store, listing.language)
            rows += zip(store.present().tolist(), store.frames.tolist(), strict=True)
        else:
            found = survey.survey(listing, sizes.positions, config.long)
            rows += [(False, frames) for frames in found.frames]
    mine = config.share.of(rows)
    frames = [count for stored, count in mine if count and not stored]
    speed = plan.product_flops(jax.default_backend()) * jax.local_device_count()
    work = len(frames) * encode.flops(sizes)
    return Summary(
        done=0,
        skipped=sum(stored for stored, _ in mine),
        left_out=0,
        truncated=0,
        failed={},
        seconds=round(time.monotonic() - start, 3),
        audio_seconds_per_second=0.0,
        plan={
            "utterances": len(frames),
            "audio_hours": round(sum(frames) * 0.02 / 3600, 4),
            "flops": work,
            "bytes": _bytes(frames, states, checkpoint, config.dtype),
            "peak_flops_per_second": speed,
            "seconds": round(work / (encode.SHARE_OF_PEAK * speed), 1),
        },
    )
