"""Output folder of a job, which holds results of one job with one set of settings.

A run with other settings would mix the results of two runs, so it is refused; the message lists the
differences.
"""

import json
import pathlib
from collections.abc import Mapping

from isogloss.engine.runtime import atomic_write, json_values
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.refusal import Refusal

JOBS = ("align", "interpret", "transcribe")
"""Jobs that store their settings; each needs its own folder, because their parts have equal names."""


def check(out: pathlib.Path, job: str, settings: Mapping[str, Json]) -> None:
    """Refuse a folder that holds results of other settings; the Refusal gives both values.

    Args:
      out: the folder, which may not exist yet.
      job: name of the job; its settings are in OUT/<job>.json.
      settings: all settings that change results and are not in the parts' fingerprints.
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
            "  Remedy: name another --out, or use the flags it was made with."
        )


def claim(out: pathlib.Path, job: str, settings: Mapping[str, Json]) -> None:
    """Make the folder and its subfolder `parts`, and store the settings there.

    Raises:
      Refusal: the folder holds results of other settings, or can't be written.
    """
    for folder in (out, out / "parts"):
        atomic_write.make_folder(folder)
    check(out, job, settings)
    text = json.dumps(settings, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    atomic_write.write_whole(out / f"{job}.json", lambda file: file.write_text(text, "utf-8"))
