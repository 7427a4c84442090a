"""Columns of a data set by their role: `--columns=sentence=id,transcription=text,audio=audio`.

Imports nothing heavy, because the options of jobs name the roles.
"""

import dataclasses
import hashlib
import json
from collections.abc import Sequence

from isogloss.engine.runtime.refusal import Refusal


@dataclasses.dataclass(frozen=True, kw_only=True)
class Columns:
    """Name of the column for each role; "" where the data set has none.

    Attributes:
      sentence: id that the languages share, the only one that must be given.
      audio: audio as `datasets` stores it, bytes and path.
      transcription: text that is compared and aligned.
      raw: text as it was written, with capitals and punctuation.
      language: code of the language; without it a configuration is a language.
      gender: of the speaker.
      id: name of the recording, unique within a language.
      samples: number of samples at 16 kHz, which spares the audio's header.
    """

    sentence: str = ""
    audio: str = "audio"
    transcription: str = ""
    raw: str = ""
    language: str = ""
    gender: str = ""
    id: str = ""
    samples: str = ""

    def texts(self) -> dict[str, str]:
        """Columns of text by role: all that are given but audio and samples."""
        given = dataclasses.asdict(self)
        return {role: name for role, name in given.items() if name and role not in ("audio", "samples")}

    def sha256(self) -> str:
        """Hash of all names."""
        return hashlib.sha256(json.dumps(dataclasses.asdict(self)).encode()).hexdigest()


ROLES = tuple(field.name for field in dataclasses.fields(Columns))


def parse(pairs: Sequence[str], defaults: Columns) -> Columns:
    """Columns of --columns=ROLE=NAME,...; the other roles as in `defaults`.

    Raises:
      Refusal: a pair is malformed, a role is unknown or given twice.
    """
    given: dict[str, str] = {}
    for pair in pairs:
        role, equals, name = pair.partition("=")
        if not equals or role not in ROLES or role in given:
            raise Refusal(
                f"--columns={','.join(pairs)}: must be ROLE=COLUMN pairs, each role once, as in "
                f"sentence=id,transcription=text; roles are {', '.join(ROLES)}; got {pair!r}"
            )
        given[role] = name
    return dataclasses.replace(defaults, **given)
