"""Options that all jobs share which compare the languages of a store."""

import dataclasses
import pathlib

from isogloss.engine.activations.store_options import store_option
from isogloss.engine.corpora.corpus import languages_option
from isogloss.engine.runtime.options import ShardedJobConfig, option
from isogloss.engine.runtime.place import Place


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnitJobConfig(ShardedJobConfig):
    """Options of these jobs; each definition has the field's help."""

    store: Place = store_option()
    out: pathlib.Path = option("Folder to write the table to.")
    languages: tuple[str, ...] = languages_option()
