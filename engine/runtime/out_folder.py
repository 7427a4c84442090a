"""Output folder of a job, which holds results of one job with one set of settings.

A run with other settings would mix the results of two runs, so it is refused; the message lists the
differences. Names are kept for people: weights with equal hashes are one model, wherever they lie.
"""

import json
import pathlib
from collections.abc import Mapping

from isogloss.engine.runtime import atomic_write, json_values
from isogloss.engine.runtime.json_values import Json
from isogloss.engine.runtime.refusal import Refusal

_JOB = "job"  # the entry that tells a job's settings from a file of the user

NAMES = ("model", "heads_from")
"""Settings that are names; other settings identify what they name, by a hash or by value."""


def identity(settings: Mapping[str, Json]) -> dict[str, Json]:
    """Settings that results depend on, without the names among them."""
    return {key: value for key, value in settings.items() if key not in NAMES}


def is_claimed(out: pathlib.Path, job: str) -> bool:
    """True if a run of the job has claimed the folder."""
    return (out / f"{job}.json").is_file()


def check(out: pathlib.Path, job: str, settings: Mapping[str, Json]) -> None:
    """Refuse a folder that holds results of another job, whose parts have equal names, or of other settings.

    Args:
      out: the folder, which may not exist yet.
      job: name of the job; its settings are in OUT/<job>.json.
      settings: all settings that change results and are not in the parts' fingerprints.
    """
    for other in sorted(out.glob("*.json")):
        if other.stem != job and _is_of_a_job(other):
            raise Refusal(f"{out}: holds results of the {other.stem} job. Name another --out")
    if not is_claimed(out, job):
        return
    file = out / f"{job}.json"
    found = json_values.json_object(file, "name another --out, or delete that folder")
    found.pop(_JOB, None)
    if json_values.differences(identity(found), identity(settings)):
        # The message has the names as well: people recognise them, and not hashes.
        raise Refusal(
            f"{out}: holds results of other settings{json_values.differences(found, settings)}\n"
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
    text = json.dumps({_JOB: job, **settings}, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    atomic_write.write_whole(out / f"{job}.json", lambda file: file.write_text(text, "utf-8"))


def _is_of_a_job(file: pathlib.Path) -> bool:
    """True for settings that a job stored, False for any other file that a user keeps there."""
    try:
        content = json.loads(file.read_text("utf-8"))
    except ValueError:  # not JSON, or not text
        return False
    return isinstance(content, dict) and content.get(_JOB) == file.stem
