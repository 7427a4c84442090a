"""Options of jobs that compare the states of languages, a language at a state with all others at a time."""

import dataclasses
import pathlib

from isogloss.engine.runtime.options import ShardedJobConfig, option
from isogloss.engine.runtime.place import Place


@dataclasses.dataclass(frozen=True, kw_only=True)
class PairJobConfig(ShardedJobConfig):
    """Options that these jobs share; each definition has the field's help."""

    store: Place = option("Folder or bucket path of activation stores, one <language>.zarr each.")
    out: pathlib.Path = option("Folder to write the table to.")
    languages: tuple[str, ...] = option("Languages by their codes, or all.", (), all_if_empty=True)
    states: tuple[str, ...] = option(
        "Encoder states to compare: all that are stored, or some of 0,1,...,final.", (), all_if_empty=True
    )
    fdr: str = option(
        "False discovery rate of q: bh (Benjamini and Hochberg) or by (Yekutieli, for any dependence).",
        "bh",
        choices=("bh", "by"),
    )
