"""What `isogloss.engine` and its rooms offer to Python users, and that it costs nothing until it is used."""

import shutil
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import isogloss.engine
from isogloss.engine import activations, grid, retrieval


def test_the_engine_is_imported_at_once():
    code = (
        "import sys, isogloss.engine, isogloss.engine.activations, isogloss.engine.retrieval;"
        "print({'numpy', 'jax', 'xarray', 'pandas'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "set()"


def test_the_example_runs_as_it_stands(tmp_path, monkeypatch, speech, model_folder, capsys):
    """With a model of two blocks in the place of Whisper base, whose last block is state 2."""
    for language, recorded in (("en", "aa"), ("fr", "bb")):
        (tmp_path / language).mkdir()
        for name, sentence in (("pass", 1), ("bye", 2)):
            shutil.copy(speech.parent / f"{recorded}-{sentence}.wav", tmp_path / language / f"{name}.wav")
    shutil.copytree(model_folder, tmp_path / "openai" / "whisper-base")
    monkeypatch.chdir(tmp_path)
    example = isogloss.engine.__doc__.split("\n\n", 2)[2]
    found = {}
    exec(textwrap.dedent(example).replace('"6"', '"2"'), found)
    assert found["states"].dims == ("frame", "feature")
    assert found["scores"].dtw.sel(state="final", a="bye.wav").shape == (2,)
    np.testing.assert_allclose(found["similarity"], found["scores"].seqsim.sel(state="2")[0, 0], rtol=1e-6)
    assert found["table"].shape == (8, 14)
    assert "recall_at_1" in capsys.readouterr().out


def test_rooms_offer_the_same_functions():
    assert isogloss.engine.encode is activations.encode
    assert isogloss.engine.compare is grid.compare
    assert isogloss.engine.retrieval_figures is retrieval.retrieval_figures


def test_notebooks_complete_them():
    assert {"encode", "compare", "retrieval_figures", "retrieval", "__doc__"} <= set(dir(isogloss.engine))


def test_other_names_are_missing_as_usual():
    with pytest.raises(AttributeError, match=r"module 'isogloss\.engine' has no attribute 'retrieve'"):
        _ = isogloss.engine.retrieve
