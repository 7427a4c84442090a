"""Stores of other encoders as a user makes them: extract in PyTorch and convert, killed and run again."""

import numpy as np
import pytest
import soundfile
from speech_models import save

FILES = "*.zarr/states/c.*[0-9]"  # and no lock of TensorStore's


@pytest.mark.deep
def test_extract_killed_at_random_moments(job, speech, tmp_path, killed_and_resumed):
    save(tmp_path / "xls-r", "wav2vec2, stable, as XLS-R")
    source = f"--corpus=manifest:{speech}", f"--model=torch:{tmp_path}/xls-r", "--rows_per_device=2"
    extract = job("extract", *source, f"--store={tmp_path}/store")
    moments = [(FILES, count) for count in (1, 7)]
    undisturbed, last, before, differing = killed_and_resumed(
        extract, tmp_path / "store", moments, FILES, apart=True
    )
    assert undisturbed["done"] == 20
    assert last["skipped"] >= len(before) > 0
    assert last["done"] + last["skipped"] == 20
    assert not [name for name in differing if "/states/c." in name]


def test_convert_killed_at_random_moments(job, speech, tmp_path, killed_and_resumed):
    for file in speech.parent.glob("*.wav"):
        language, sentence = file.stem.split("-")
        array = np.random.default_rng(1).standard_normal((3, soundfile.info(file).frames // 640, 256))
        (tmp_path / "arrays" / language).mkdir(parents=True, exist_ok=True)
        np.save(tmp_path / "arrays" / language / f"s{sentence}.0.npy", array)
    (tmp_path / "weights.pth").write_bytes(b"weights")
    source = f"--corpus=manifest:{speech}", f"--arrays={tmp_path}/arrays", "--frame_seconds=0.04"
    named = f"--weights={tmp_path}/weights.pth", "--name=owsm"
    convert = job("convert", *source, *named, f"--store={tmp_path}/store")
    moments = [(FILES, count) for count in (1, 7)]
    undisturbed, last, before, differing = killed_and_resumed(convert, tmp_path / "store", moments, FILES)
    assert undisturbed["done"] == 20
    assert last["skipped"] >= len(before) > 0
    assert not [name for name in differing if "/states/c." in name]


@pytest.mark.parametrize("name", ["transcribe", "align"])
def test_jobs_of_the_decoder_refuse_such_models(refusal, name, tmp_path):
    given = "--model=torch:facebook/wav2vec2-xls-r-300m", f"--store={tmp_path}/store", f"--out={tmp_path}/out"
    assert "without a decoder of Whisper" in refusal(name, *given)
