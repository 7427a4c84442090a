"""What `isogloss.engine` and its rooms offer to Python users, and that it costs nothing until it is used."""

import subprocess
import sys

import pytest

import isogloss.engine
from isogloss.engine import activations, retrieval


def test_the_engine_is_imported_at_once():
    code = (
        "import sys, isogloss.engine, isogloss.engine.activations, isogloss.engine.retrieval;"
        "print({'numpy', 'jax', 'xarray', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


def test_rooms_offer_the_same_functions():
    assert isogloss.engine.encode is activations.encode
    assert isogloss.engine.compare is retrieval.compare
    assert isogloss.engine.retrieval_figures is retrieval.retrieval_figures


def test_other_names_are_missing_as_usual():
    with pytest.raises(AttributeError, match=r"module 'isogloss\.engine' has no attribute 'retrieve'"):
        _ = isogloss.engine.retrieve
    with pytest.raises(ImportError):
        from isogloss.engine import retrieve  # noqa: F401, PLC0415
