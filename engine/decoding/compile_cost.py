"""Time that the programs of a decoder job take to compile on this machine, for its dry run.

Rows of like length share a program, so a job compiles one for each kind of its utterances. The largest kind
is compiled, without weights, and its time stands for every other.
"""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from isogloss.engine.decoding import beam_search, generation
from isogloss.engine.decoding.decoder_program import FRAMES_STEP, text_step
from isogloss.engine.decoding.generation import token_limit
from isogloss.engine.decoding.job_cost import Effort
from isogloss.engine.decoding.job_input import DecoderInput
from isogloss.engine.decoding.utterance_blocks import UtteranceBlock
from isogloss.engine.runtime.devices import seconds_to_compile
from isogloss.engine.whisper import encoder_program, parameters

_PROMPT = 4  # tokens: start, language, task, no timestamps


def seconds(todo: Sequence[UtteranceBlock], given: DecoderInput, rows: int, effort: Effort) -> float:
    """Seconds to compile all programs that some units need; 0 if they need none.

    Args:
      todo: units that are left.
      given: input of the decoder.
      rows: rows of a step on a device.
      effort: of the job, with the hypotheses of a text and the programs of each kind.
    """
    kinds = _kinds(todo, given)
    if not kinds:
        return 0.0
    total = len(kinds) * effort.programs * _one(given, rows, effort.beams, *max(kinds))
    if given.settings["states_from"] == "audio":
        total += encoder_program.compile_seconds(
            given.checkpoint.dimensions, given.source.states, "float32", given.precision, rows_per_device=1
        )
    return total


def _kinds(todo: Sequence[UtteranceBlock], given: DecoderInput) -> set[tuple[int, int]]:
    """Frames and tokens of the programs, both rounded up as `decoder_program` does."""
    sizes = given.checkpoint.dimensions
    room, kinds = sizes.text_positions - _PROMPT, set()
    for utterance in (utterance for unit in todo for utterance in unit.utterances if utterance.frames):
        frames = given.window if given.source.whole_window else utterance.frames
        window = min(-(-frames // FRAMES_STEP) * FRAMES_STEP, sizes.positions)
        kinds.add((window, text_step(token_limit(utterance.frames, room), room)))
    return kinds


def _one(given: DecoderInput, rows: int, beams: int, frames: int, longest: int) -> float:
    """Seconds to compile the program that writes texts of up to `longest` tokens."""
    sizes, compute = given.checkpoint.dimensions, jnp.dtype(given.precision.compute)
    graph, shapes = parameters.build_decoder(sizes, dtype=compute)
    rules = generation.Rules.of(given.vocabulary)
    program = (
        generation.greedy(graph, rules, sizes.vocabulary, longest)
        if beams == 1
        else beam_search.beam_search(graph, rules, sizes.vocabulary, longest, beams)
    )
    inputs = {
        "states": ((rows, frames, sizes.features), jnp.float32),
        "visible": ((rows,), jnp.int32),
        "apply_norm": ((rows,), jnp.bool_),
        "prompt": ((rows, _PROMPT), jnp.int32),
        "limit": ((rows,), jnp.int32),
    }
    weights = jax.eval_shape(lambda state: parameters.cast(state, compute), shapes)
    return seconds_to_compile(program, weights, *(jax.ShapeDtypeStruct(*each) for each in inputs.values()))
