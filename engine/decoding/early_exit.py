"""Exits of the encoder: the states that enter the decoder, with or without the final LayerNorm.

State "final" is the last block's output after the LayerNorm. Whisper was trained on it, and other exits are
compared with it; so the last block's output with the norm is not a separate exit.
"""

import dataclasses
import logging
from collections.abc import Sequence

from isogloss.engine.activations import state_source
from isogloss.engine.runtime.refusal import Refusal

_LOG = logging.getLogger(__name__)
NORMS = {"true": (True,), "false": (False,), "both": (True, False)}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exit:
    """One exit of the encoder.

    Attributes:
      state: "1" .. str(layers) or "final".
      exit_norm: whether the decoder gets it through the encoder's final LayerNorm.
    """

    state: str
    exit_norm: bool


FINAL = Exit(state=state_source.FINAL, exit_norm=True)


def choose(states: Sequence[str], exit_norm: str, layers: int) -> tuple[Exit, ...]:
    """Exits that were chosen, in the order of the encoder; the one with the norm comes first.

    Args:
      states: names among "1" .. "final"; none for all.
      exit_norm: one of NORMS.
      layers: blocks of the encoder.

    Raises:
      Refusal: a state can't enter the decoder.
    """
    if exit_norm not in NORMS:
        raise Refusal(f"--exit_norm must be one of {', '.join(NORMS)}, got {exit_norm!r}")
    every = (*map(str, range(1, layers + 1)), state_source.FINAL)
    wanted = tuple(states) or every
    state_source.check_states(wanted, layers)
    # The last block's output with the norm is what "final" means, so it would be decoded twice.
    chosen = [
        Exit(state=state, exit_norm=norm)
        for state in state_source.in_order(wanted, layers)
        if state != state_source.FINAL
        for norm in NORMS[exit_norm]
        if (state, norm) != (str(layers), True)
    ]
    if str(layers) in states and True in NORMS[exit_norm]:
        _LOG.info("state %d with the final LayerNorm is the state called final", layers)
    if state_source.FINAL in wanted or (str(layers) in wanted and True in NORMS[exit_norm]):
        chosen.append(FINAL)
    return tuple(chosen)
