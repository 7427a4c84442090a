"""Origin of states, a model and settings, compared by what people recognise.

That is the model's name and each setting that differs. A hash is shown only where models of one name have
other weights, and then its beginning is enough.
"""

from collections.abc import Mapping

from isogloss.engine.runtime import json_values
from isogloss.engine.runtime.json_values import Json

_SHOWN = 12  # characters of a hash


def differences(
    found: Mapping[str, Json], wanted: Mapping[str, Json], names: tuple[str, str] = ("stored", "asked for")
) -> str:
    """Lines that name the settings and the model that differ; "" if weights and settings are equal.

    Args:
      found: attributes of a store or a grid.
      wanted: those that are needed.
      names: what the lines call the two.
    """

    def lines(key: str) -> str:
        here, there = ({key: of.get(key)} for of in (found, wanted))
        return json_values.differences(here, there, names)

    if not lines("weights_sha256"):
        return lines("settings")
    return lines("settings") + (lines("model") or _weights(found, wanted, names))


def _weights(found: Mapping[str, Json], wanted: Mapping[str, Json], names: tuple[str, str]) -> str:
    here, there = (str(of.get("weights_sha256"))[:_SHOWN] for of in (found, wanted))
    return f"\n  weights of {wanted.get('model')}: {names[0]} {here}, {names[1]} {there}"
