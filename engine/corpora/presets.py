"""Data sets whose columns are known: FLEURS, CoVoST 2 and VoxPopuli.

Columns: of FLEURS by huggingface.co/datasets/google/fleurs, of the others by the features in their loading
scripts, which their Parquet files keep (covost2.py, voxpopuli.py). Imports nothing heavy: help names them.
"""

import dataclasses

from isogloss.engine.corpora.columns import Columns
from isogloss.engine.corpora.languages import LANGUAGES

FLEURS = Columns(
    sentence="id",
    transcription="transcription",
    raw="raw_transcription",
    gender="gender",
    samples="num_samples",
)
FLEURS_COMMIT = "cadac46d4cd7d721f5cf8844a5b9f0f20e6fcde8"  # the one that MTEB's tasks pin


@dataclasses.dataclass(frozen=True, kw_only=True)
class Preset:
    """Data set of the hub that --corpus can name in a word.

    Attributes:
      name: the word.
      repository: owner and name on the hub.
      revision: commit, or a branch whose commit is looked up.
      columns: by role.
      languages: codes, if they are known beforehand; else the configurations.
      source_first: True if a configuration is a source and a target language, such as "fr_en".
    """

    name: str
    repository: str
    revision: str
    columns: Columns
    languages: tuple[str, ...] = ()
    source_first: bool = False


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            name="fleurs",
            repository="mteb/fleurs",
            revision=FLEURS_COMMIT,
            columns=FLEURS,
            languages=tuple(LANGUAGES),
        ),
        Preset(
            name="covost2",
            repository="fixie-ai/covost2",
            revision="main",
            columns=Columns(sentence="id", transcription="sentence"),
            source_first=True,
        ),
        Preset(
            name="voxpopuli",
            repository="facebook/voxpopuli",
            revision="refs/convert/parquet",
            columns=Columns(
                sentence="audio_id", transcription="normalized_text", raw="raw_text", gender="gender"
            ),
        ),
    )
}
