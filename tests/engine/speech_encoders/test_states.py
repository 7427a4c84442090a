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
from isogloss.engine.speech_encoders.families import FAMILIES  # noqa: E402
from isogloss.engine.speech_encoders.speech_model import SpeechEncoder  # noqa: E402


def transformers_states(model, folder, wave, kind):
    """States of one recording: hidden_states, with the last block's own output where a norm hides it."""
    family = FAMILIES[kind]
    front_end = getattr(transformers, family.front_end).from_pretrained(folder)
    masks = {"return_attention_mask": True} if front_end.model_input_names[0] == "input_features" else {}
    given = front_end(wave, sampling_rate=16_000, return_tensors="pt", **masks)
    raw = []
    block = model.get_submodule(family.blocks)[-1]
    handle = block.register_forward_hook(lambda *call: raw.append(call[2]))
    with torch.no_grad():
        made = model(**given, output_hidden_states=True)
        handle.remove()
    hidden, whole = made.hidden_states, made.last_hidden_state
    last = raw[0][0] if isinstance(raw[0], tuple) else raw[0]
    states = [state.numpy()[0] for state in (*hidden[:-1], last)]
    if family.final == "always" or (
        family.final == "stable" and getattr(model.config, "do_stable_layer_norm", False)
    ):
        adapted = whole.shape != last.shape  # to other frames, in SeamlessM4T
        states.append((model.get_submodule(family.norm)(last).detach() if adapted else whole).numpy()[0])
    own = own_frames(model, wave, given.get("attention_mask"))
    assert own == len(hidden[0][0]) or masks  # a last feature that is half padding is masked
    return np.stack([state[:own] for state in states])


def own_frames(model, wave, mask):
    """Frames by the model's own length function, or by its feature extractor's mask where it has none."""
    if hasattr(model, "_get_subsampling_output_length"):
        return int(model._get_subsampling_output_length(mask.sum()))
    if isinstance(model, transformers.models.speech_to_text.modeling_speech_to_text.Speech2TextEncoder):
        return int(model._get_feat_extract_output_lengths(mask.sum()))
    if mask is not None and mask.shape[1] != len(wave):
        return int(mask.sum())
    counter = getattr(model, "prenet", model)
    frames = int(counter._get_feat_extract_output_lengths(torch.tensor(len(wave))))
    return frames // getattr(model.config, "squeeze_factor", 1)


HOPS = {  # of the others 20 ms
    **dict.fromkeys(("sew", "sew-d", "speech2text", "lasr", "lasr, ctc", "parakeet, tdt"), 0.04),
    **dict.fromkeys(("parakeet", "parakeet, ctc", "canary", "speech2text, three convolutions"), 0.08),
    **{"sew, squeezed by 3": 0.06, "moonshine": 0.024},
}
PADDED = {  # the others run one by one
    *("wav2vec2, layer norm", "wav2vec2, stable, as XLS-R", "hubert, stable", "wavlm, stable", "w2v-BERT"),
    *("SeamlessM4T v2", "SeamlessM4T", "unispeech", "unispeech-sat"),
    *("parakeet", "parakeet, ctc", "parakeet, tdt", "canary", "lasr", "lasr, ctc"),
}
QUICK = (
    "wav2vec2, group norm",
    "wav2vec2, stable, as XLS-R",
    "hubert",
    "wavlm, stable",
    "w2v-BERT",
    "SeamlessM4T v2",
    "sew",
    "sew-d",
    "moonshine",
    "speech2text",
    "parakeet, ctc",
)


@pytest.mark.filterwarnings("ignore:Support for mismatched key_padding_mask")  # in transformers' WavLM
@pytest.mark.parametrize(
    "case", [case if case in QUICK else pytest.param(case, marks=pytest.mark.deep) for case in CASES]
)
def test_states_equal_transformers(case, tmp_path, speech):
    kind, _ = CASES[case]
    model = save(tmp_path / "model", case)
    opened = encoders.open_model(f"torch:{tmp_path / 'model'}", None)
    assert isinstance(opened, SpeechEncoder)
    exact = opened.layout.padding
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
    assert (store.attrs["frame_seconds"], store.attrs["window_seconds"]) == (HOPS.get(case, 0.02), 30.0)
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
