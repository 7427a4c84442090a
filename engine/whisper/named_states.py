"""Names of the states of an encoder, and the choice among them; without Flax, which takes long to import."""

from collections.abc import Sequence

from isogloss.engine.runtime.refusal import Refusal


def state_names(layers: int) -> tuple[str, ...]:
    """Names of the states of an encoder of `layers` blocks, in order: "0" .. str(layers), "final"."""
    return (*map(str, range(layers + 1)), "final")


def choose_states(wanted: Sequence[str], names: Sequence[str]) -> tuple[str, ...]:
    """States of `names` that are wanted, in the order of `names`; all of them if none is named.

    Raises:
      Refusal: a wanted state does not exist, or is named twice.
    """
    unknown = [state for state in wanted if state not in names]
    if unknown or len(set(wanted)) < len(wanted):
        raise Refusal(
            f"--states must name states among {', '.join(names)}, each once; got {','.join(wanted)}"
        )
    return tuple(name for name in names if not wanted or name in wanted)
