"""One recorded prompt through the real base model: every encoder state beside the encoder in float64."""

import pathlib

import numpy as np
import pytest

from isogloss.engine import encode
from isogloss.engine.bench import encoder, oracle
from isogloss.engine.checkpoints.checkpoint import load_checkpoint
from isogloss.engine.corpora import audio
from isogloss.engine.whisper import log_mel

CACHE = pathlib.Path(__file__).parents[3] / ".cache"
MODEL, PROMPT = CACHE / "whisper-base", CACHE / "demo" / "audio" / "fr" / "agent-pass.wav"


def test_every_state_of_a_prompt_is_that_of_float64():
    if not (MODEL.is_dir() and PROMPT.is_file()):
        pytest.skip("weights and speech aren't here; `make demo` fetches them")
    checkpoint, found = load_checkpoint(str(MODEL)), encode(PROMPT, model=MODEL)
    sizes = checkpoint.dimensions
    tensors = {n: checkpoint.read(n) for n in checkpoint.weights.tensors if n.startswith("encoder.")}
    wave = audio.decode(audio.FileSource.at(PROMPT, PROMPT.name))
    mel = oracle.log_mel(np.pad(wave, (0, 480_000 - len(wave))), log_mel.filters(sizes.mels))
    expected = oracle.encoder_states(tensors, sizes, mel)[:, : found.sizes["frame"]]
    assert found.sizes["state"] == len(expected) == sizes.encoder_layers + 2
    check = encoder.check_states(found.values.astype(np.float64), expected, sizes, "float32")
    assert 0 < check.error <= check.bound < 1e-4
