"""Options of jobs that correct scores and test many cells. Imports nothing heavy."""

from isogloss.engine.runtime.options import Field, option

CORRECTIONS = ("csls", "centred")
"""Corrections of scores for candidates that are near to everything."""


def fdr_option() -> Field:
    """Field `fdr` of a job's configuration: how the false discovery rate of its q is held."""
    return option(
        "False discovery rate of q: bh (Benjamini and Hochberg) or by (Yekutieli, for any dependence).", "bh"
    )
