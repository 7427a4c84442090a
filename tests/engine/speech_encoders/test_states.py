"""States of tiny random models of every family against transformers, run one by one and without padding."""

import json

import numpy as np
import pytest
import soundfile
import xarray as xr
from speech_models import CASES, save

torch = pytest.importorskip("torch", reason="PyTorch isn't installed")
transformers = pytest.importorskip("transformers")

from isogloss.engine.activations import encoders, extract  # noqa: E402
from isogloss.engine.speech_encoders.families import FAMILIES, FILTER_BANK  # noqa: E402


def transformers_states(model, folder, wave, kind):
    """States of one recording: hidden_states, with the last block's own output where a norm hides it."""
    front_end = getattr(transformers, FAMILIES[kind].front_end).from_pretrained(folder)
    given = front_end(wave, sampling_rate=16_000, return_tensors="pt")
    raw = []
    handle = model.encoder.layers[-1].register_forward_hook(lambda *call: raw.append(call[2]))
    with torch.no_grad():
        hidden = model(**given, output_hidden_states=True).hidden_states
        handle.remove()
    last = raw[0][0] if isinstance(raw[0], tuple) else raw[0]
    states = [state.numpy()[0] for state in (*hidden[:-1], last)]
    if FAMILIES[kind].final == "always" or getattr(model.config, "do_stable_layer_norm", False):
        states.append(model.encoder.layer_norm(last).detach().numpy()[0])
    if FAMILIES[kind].front_end == FILTER_BANK:  # a last frame that is half padding is masked
        own = int(given["attention_mask"].sum())
    else:
        own = int(model._get_feat_extract_output_lengths(torch.tensor(len(wave))))
        assert own == len(hidden[0][0])
    return np.stack([state[:own] for state in states])


PADDED = {  # the others run one by one
    *("wav2vec2, layer norm", "wav2vec2, stable, as XLS-R", "hubert, stable", "wavlm, stable", "w2v-BERT"),
    *("SeamlessM4T v2", "SeamlessM4T", "unispeech", "unispeech-sat"),
}
QUICK = (
    "wav2vec2, group norm",
    "wav2vec2, stable, as XLS-R",
    "hubert",
    "wavlm, stable",
    "w2v-BERT",
    "SeamlessM4T v2",
)


@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")  # in transformers' WavLM
@pytest.mark.parametrize(
    "case", [case if case in QUICK else pytest.param(case, marks=pytest.mark.deep) for case in CASES]
)
def test_states_equal_transformers(case, tmp_path, speech):
    kind, _ = CASES[case]
    model = save(tmp_path / "model", case)
    exact = encoders.open_model(f"torch:{tmp_path / 'model'}", None).layout.padding
    assert exact == (case in PADDED)
    config = extract.ExtractConfig(
        corpus=f"manifest:{speech}",
        model=f"torch:{tmp_path / 'model'}",
        store=tmp_path / "store",
        languages=("aa",),
        dtype="float32",
        rows_per_device=3 if exact else 0,
    )
    assert extract.run(config).done == 7
    store = xr.open_zarr(tmp_path / "store" / "aa.zarr")
    assert (store.attrs["frame_seconds"], store.attrs["window_seconds"]) == (0.02, 30.0)
    settings = json.loads(store.attrs["settings"])
    assert settings["family"] == kind
    lengths = set()
    for row, frames in enumerate(store.frames.values.tolist()):
        wave, rate = soundfile.read(speech.parent / str(store.source.values[row]), dtype="float32")
        if rate != 16_000 or wave.ndim > 1:
            continue
        expected = transformers_states(model, tmp_path / "model", wave, kind)
        names = [*map(str, range(3)), *(["final"] if len(expected) == 4 else [])]
        assert store.state.values.tolist() == names
        assert expected.shape[1] == frames
        found = store.states[row].values
        assert np.isnan(found[:, frames:]).all()
        # A hundred additions of numbers of that size in float32; masks and shapes change their order.
        bound = 2e-5 * max(1.0, np.abs(expected).max())
        np.testing.assert_allclose(found[:, :frames], expected, atol=bound, rtol=0)
        lengths.add(frames)
    assert len(lengths) > 2
