"""Estimated cost of a decoder job: units, utterances, FLOPs, bytes, and the time on this machine."""

import dataclasses
from collections.abc import Mapping, Sequence

import jax

from isogloss.engine.decoding import decoder_cost
from isogloss.engine.decoding.job_input import DecoderInput
from isogloss.engine.decoding.utterance_blocks import UtteranceBlock
from isogloss.engine.runtime import shards
from isogloss.engine.whisper import encoder_program

_PROMPT = 5  # tokens beside those of the text
_TOKENS = 5.0  # tokens of a second of audio, for texts of usual length


@dataclasses.dataclass(frozen=True, kw_only=True)
class Effort:
    """Work of a job for each utterance.

    Attributes:
      readings: number of times that the decoder reads or writes an utterance's text.
      beams: hypotheses of a text.
      row_bytes: on disk.
      programs: that take each kind of utterances: one writes a text, one may read it.
      decoder_share: fraction of a dense product's speed that the decoder reaches.
    """

    readings: int
    beams: int
    row_bytes: int
    programs: int
    decoder_share: float


def plan(todo: Sequence[UtteranceBlock], given: DecoderInput, effort: Effort) -> dict[str, int | float]:
    """Units, utterances, FLOPs and bytes of some units."""
    sizes, source = given.checkpoint.dimensions, given.source
    readable = [utterance for unit in todo for utterance in unit.utterances if utterance.frames]
    flops = 0.0
    for utterance in readable:
        text = round(_TOKENS * utterance.frames * encoder_program.FRAME_SECONDS)
        frames = given.window if source.whole_window else utterance.frames
        flops += decoder_cost.flops(sizes, frames, min(sizes.text_positions, _PROMPT + text), effort.beams)
    encoder_runs = given.settings["states_from"] == "audio"
    return {
        "units": len(todo),
        "utterances": len(readable),
        "exits": len(given.exits),
        "encoder_flops": int(len(readable) * encoder_program.flops(sizes)) if encoder_runs else 0,
        "decoder_flops": int(effort.readings * flops),
        "bytes": effort.row_bytes * len(readable),
    }


def time_here(plan: Mapping[str, int | float], effort: Effort, compiling: float) -> dict[str, int | float]:
    """Estimated seconds of a plan on this machine, from the speed of a dense product timed now.

    `compiling` are those that the programs take to compile.
    """
    speed = shards.product_flops(jax.default_backend()) * jax.local_device_count()
    seconds = plan["encoder_flops"] / encoder_program.SHARE_OF_PEAK
    seconds += plan["decoder_flops"] / effort.decoder_share
    return {"peak_flops_per_second": speed, "estimated_seconds": round(compiling + seconds / speed, 1)}
