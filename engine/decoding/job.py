"""What jobs share that let the decoder listen, transcribe and align: input, units of work, cost, summary.

A unit is a block of utterances of one language. What is asked of the decoder is each job's own.
"""

import dataclasses
import itertools
import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeVar

import jax

from isogloss.engine import time_axis
from isogloss.engine.activations import open_states
from isogloss.engine.activations.state_source import Encoded, ListedUtterance, StateSource
from isogloss.engine.checkpoints.checkpoint import Checkpoint
from isogloss.engine.decoding import decoder_cost, language_token
from isogloss.engine.decoding.job_config import DecoderJobConfig
from isogloss.engine.decoding.language_token import Token
from isogloss.engine.runtime import json_values, shards
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.part_files import PartFiles
from isogloss.engine.whisper import encoder_program
from isogloss.engine.whisper.tokenizer import Tokens

BLOCK = 16  # utterances of a unit
_PROMPT = 5  # tokens that aren't of the text, for estimates
_TOKENS = 5.0  # of a second of audio, for estimates
_LOG = logging.getLogger(__name__)
Ended = TypeVar("Ended", bound="DecoderJobSummary")
Made = TypeVar("Made")


def vocabulary(config: DecoderJobConfig) -> Tokens:
    """The tokenizer; Refusal where it can't be had."""
    return Tokens.load(*config.vocabulary_source)


def open_source(
    config: DecoderJobConfig, checkpoint: Checkpoint, states: Sequence[str], *, silence: bool
) -> StateSource:
    """The source of these states; Refusal for what can't be.

    Args:
      config: options of the job.
      checkpoint: whose encoder is run, or made the store.
      states: in any order, some perhaps more than once.
      silence: whether the rest of a store's window is filled with silence.
    """
    wanted = list(dict.fromkeys(states))
    if config.store is not None:
        return open_states.open_store(
            config.store,
            checkpoint,
            wanted,
            languages=config.languages,
            silence=silence,
            compute=config.compute,
        )
    return open_states.open_audio(
        str(config.corpus),
        checkpoint,
        wanted,
        languages=config.languages,
        recordings=config.recordings,
        long=config.long,
        compute=config.compute,
        rows_per_device=config.rows_per_device,
    )


def language_tokens(
    config: DecoderJobConfig, languages: Sequence[str], vocabulary: Tokens, task: str = "transcribe"
) -> dict[str, Token]:
    """Language token of the decoder for each language; Refusal for what the model lacks."""
    known = vocabulary.languages if vocabulary.multilingual else {}
    overrides = language_token.parse(config.stand_in)
    if unused := language_token.unused(overrides, languages):
        _LOG.warning("--stand_in: no language is called %s", ", ".join(unused))
    tokens = {code: language_token.choose(code, config.language, overrides, known) for code in languages}
    for code, token in tokens.items():
        if token.how != "detected":
            vocabulary.prompt(token.language, task)
        if token.reason:
            _LOG.info(
                "%s: Whisper lacks it; the decoder's token is %r: %s", code, token.language, token.reason
            )
    return tokens


def settings(
    config: DecoderJobConfig,
    checkpoint: Checkpoint,
    vocabulary: Tokens,
    source: StateSource,
    precision: encoder_program.Precision,
) -> dict[str, Json]:
    """All of it that decides results.

    Rows of a step don't count: they follow the memory of the device that a run or a shard finds, and
    change the last bits at most.
    """
    ids = [list(vocabulary.suppressed), list(vocabulary.suppressed_at_begin), dict(vocabulary.languages)]
    return {
        "model": checkpoint.name,
        "weights_sha256": checkpoint.sha256,
        "vocabulary_sha256": json_values.sha256([vocabulary.backend.to_str(), ids]),
        "states_from": "store" if config.corpus is None else "audio",
        "corpus": sorted({str(source.identity(language)["corpus"]) for language in source.languages}),
        "recordings": config.recordings,
        "long": config.long,
        "language": config.language,
        "stand_in": list(config.stand_in),
        "compute": precision.compute,
    }


@dataclasses.dataclass(frozen=True, kw_only=True)
class UtteranceBlock:
    """Some utterances of a language.

    Attributes:
      language: code as the corpus writes it.
      number: of the block, from 0.
      utterances: in the order of rows.
    """

    language: str
    number: int
    utterances: tuple[ListedUtterance, ...]

    @property
    def name(self) -> str:
        """Of its part."""
        return f"{self.language}.{self.number:05}"

    def key(self, source: StateSource, token: Token, **more: object) -> str:
        """Fingerprint of all that its part depends on; `more` is the job's."""
        described = {
            "states": source.identity(self.language),
            "token": dataclasses.asdict(token),
            "utterances": [dataclasses.asdict(utterance) for utterance in self.utterances],
        }
        return json_values.fingerprint(described | more)


def language_of(name: str) -> str:
    """Language of the unit of this name."""
    return name.rpartition(".")[0]


def units(source: StateSource) -> list[UtteranceBlock]:
    """All units of a source: blocks of BLOCK utterances, language by language."""
    return [
        UtteranceBlock(language=language, number=start // BLOCK, utterances=listed[start : start + BLOCK])
        for language in source.languages
        for listed in [source.utterances(language)]
        for start in range(0, len(listed), BLOCK)
    ]


def missing(
    units: Sequence[UtteranceBlock], parts: PartFiles, mended: Callable[[UtteranceBlock], bool]
) -> list[UtteranceBlock]:
    """Units whose part isn't there, or whose utterances without states have some now, as `mended` says."""
    return [unit for unit in units if not parts.kept(unit.name) or mended(unit)]


def awaited(units: Sequence[UtteranceBlock], parts: PartFiles) -> int:
    """How many units have no part yet, which are other shards'; told, too."""
    waiting = len(missing(units, parts, lambda _: False))
    if waiting:
        _LOG.info("%d units of other shards aren't done yet; the tables wait for them", waiting)
    return waiting


def together(
    units: Sequence[UtteranceBlock], rows: int, make: Callable[[UtteranceBlock], Sequence[Made]]
) -> Iterator[tuple[UtteranceBlock, Sequence[Made]]]:
    """Each unit with what `make` makes of it; several are made at once, so that all devices have work.

    Args:
      units: in order of work.
      rows: utterances that fill the devices.
      make: of a unit's utterances, in order, the same number of things for each.
    """
    for _, same in itertools.groupby(units, key=lambda unit: unit.language):
        of_language, size = list(same), max(1, -(-rows // BLOCK))
        for start in range(0, len(of_language), size):
            some = of_language[start : start + size]
            every = tuple(utterance for unit in some for utterance in unit.utterances)
            made, at = make(dataclasses.replace(some[0], utterances=every)), 0
            for unit in some:
                count = len(unit.utterances) * len(made) // len(every)
                yield unit, made[at : at + count]
                at += count


def utterances(units: Sequence[UtteranceBlock]) -> int:
    """How many they have."""
    return sum(len(unit.utterances) for unit in units)


def mended(unit: UtteranceBlock, source: StateSource, without: set[str]) -> bool:
    """Whether one of the utterances `without` states when the unit's part was made has some now."""
    rows = [utterance.row for utterance in unit.utterances if utterance.name in without]
    return bool(rows) and any(isinstance(made, Encoded) for made in source.encoded(unit.language, rows))


def work(
    todo: Sequence[UtteranceBlock],
    checkpoint: Checkpoint,
    source: StateSource,
    *,
    readings: int,
    beams: int,
    encoder: bool,
) -> dict[str, int]:
    """Units, utterances and FLOPs of what is to do; texts are taken to be of usual length.

    Args:
      todo: units.
      checkpoint: the model.
      source: of states.
      readings: how often the decoder goes through an utterance's text.
      beams: of it.
      encoder: whether it is run.
    """
    sizes = checkpoint.dimensions
    spoken = [utterance for unit in todo for utterance in unit.utterances if utterance.frames]
    decoder = 0.0
    for utterance in spoken:
        text = round(_TOKENS * utterance.frames * time_axis.FRAME_SECONDS)
        frames = sizes.positions if source.whole_window else utterance.frames
        decoder += decoder_cost.flops(sizes, frames, min(sizes.text_positions, _PROMPT + text), beams)
    return {
        "units": len(todo),
        "utterances": len(spoken),
        "encoder_flops": int(len(spoken) * encoder_program.flops(sizes)) if encoder else 0,
        "decoder_flops": int(readings * decoder),
    }


def time_here(cost: Mapping[str, int], decoder_share: float) -> dict[str, int | float]:
    """Time that `work` would take here, by a product timed on the spot.

    Args:
      cost: from `work`.
      decoder_share: of a product's speed that the decoder reaches.
    """
    speed = shards.product_flops(jax.default_backend()) * jax.local_device_count()
    seconds = cost["encoder_flops"] / encoder_program.SHARE_OF_PEAK + cost["decoder_flops"] / decoder_share
    return {"peak_flops_per_second": speed, "seconds": round(seconds / speed, 1)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecoderJobSummary:
    """How a run ended; `done` and `skipped` are of this process's share.

    Attributes:
      done: utterances of units made by this run.
      skipped: utterances of units that were there already.
      waiting: units of other shards that aren't done; tables are written when there is none.
      failed: reason by "language utterance"; of every share where tables were written, otherwise of this one.
      seconds: of the run.
      audio_seconds_per_second: real audio of `done`, per second of the run.
      plan: what was to do: units, utterances, FLOPs, bytes; with --dry_run the time it would take.
      programs: how many were compiled, and found in --compilation_cache.
    """

    done: int
    skipped: int
    waiting: int
    failed: Mapping[str, str]
    seconds: float
    audio_seconds_per_second: float
    plan: Mapping[str, int | float]
    programs: Mapping[str, int]

    @property
    def complete(self) -> bool:
        """Whether no utterance failed."""
        return not self.failed


def ended(
    kind: type[Ended],
    start: float,
    made: Sequence[UtteranceBlock],
    skipped: int,
    plan: Mapping[str, int | float],
    programs: Mapping[str, int],
    *,
    waiting: int = 0,
    failed: Mapping[str, str] | None = None,
    **more: object,
) -> Ended:
    """Summary of a run.

    Args:
      kind: of summary.
      start: of the run, of the monotonic clock.
      made: units that the run made.
      skipped: utterances of its share that were there already.
      plan: what was to do.
      programs: compiled and found.
      waiting: units of other shards that aren't done.
      failed: reason by utterance; told, too.
      more: fields of the job's own.
    """
    seconds = time.monotonic() - start
    audio = sum(u.frames for unit in made for u in unit.utterances) * time_axis.FRAME_SECONDS
    for utterance, problem in (failed or {}).items():
        _LOG.error("%s: %s", utterance, problem)
    return kind(
        done=utterances(made),
        skipped=skipped,
        waiting=waiting,
        failed=failed or {},
        seconds=round(seconds, 3),
        audio_seconds_per_second=round(audio / seconds, 3),
        plan=plan,
        programs=programs,
        **more,
    )
