"""The folder that a job writes to: made, swept, and of one job with one set of settings.

Rerun with other settings, a job would mix two runs' results; it's refused with what differs.
"""

import json
import pathlib
from collections.abc import Mapping

from isogloss.engine.runtime import atomic_write, json_values
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.refusal import Refusal

JOBS = ("align", "interpret", "transcribe")
"""Those that keep their settings; each has a folder of its own, as their parts would have equal names."""


def check(out: pathlib.Path, job: str, settings: Mapping[str, Json]) -> None:
    """Refuse a folder that holds results of other settings; Refusal with both values.

    Args:
      out: the folder; it needn't be there.
      job: its name; the settings are in OUT/<job>.json.
      settings: all that decides the results, beside what the parts' fingerprints hold.
    """
    for other in JOBS:
        if other != job and (out / f"{other}.json").is_file():
            raise Refusal(f"{out}: holds results of the {other} job. Name another --out")
    file = out / f"{job}.json"
    if not file.is_file():
        return
    found = json_values.json_object(file, "name another --out, or delete that folder")
    if lines := json_values.differences(found, settings):
        raise Refusal(
            f"{out}: holds results of other settings{lines}\n"
            "  Remedy: another --out, or the flags it was made with."
        )


def claim(out: pathlib.Path, job: str, settings: Mapping[str, Json]) -> None:
    """Make the folder with its `parts`, and keep the settings in it.

    Raises:
      Refusal: it holds results of other settings, or can't be written.
    """
    for folder in (out, out / "parts"):
        atomic_write.make_folder(folder)
    check(out, job, settings)
    text = json.dumps(settings, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    atomic_write.write_whole(out / f"{job}.json", lambda file: file.write_text(text, "utf-8"))
