"""Encoders of whole models, with their decoders and heads, and stems whose sizes make no sense."""

import numpy as np
import pytest
from speech_models import CASES, save

torch = pytest.importorskip("torch", reason="PyTorch isn't installed")
transformers = pytest.importorskip("transformers")

from isogloss.engine import encode  # noqa: E402
from isogloss.engine.checkpoints import speech_checkpoint  # noqa: E402
from isogloss.engine.speech_encoders.families import FAMILIES, PREFIXES  # noqa: E402

DECODER = {"num_hidden_layers": 1, "hidden_size": 16, "num_attention_heads": 2, "num_key_value_heads": 2}
DECODER |= {"head_dim": 8, "intermediate_size": 24, "vocab_size": 20}
HEADS = {
    "sew": ("SEWForCTC", {}),
    "sew-d": ("SEWDForCTC", {}),
    "speecht5": ("SpeechT5ForSpeechToText", {"decoder_attention_heads": 2, "decoder_layers": 1}),
    "moonshine": ("MoonshineForConditionalGeneration", {"decoder_num_attention_heads": 2}),
    "speech2text": ("Speech2TextForConditionalGeneration", {"decoder_layers": 1}),
    "parakeet, ctc": ("ParakeetForCTC", {}),
    "parakeet, tdt": ("ParakeetForTDT", {}),
    "canary": ("CanaryForConditionalGeneration", {"decoder_config": DECODER, "vocab_size": 20}),
    "lasr, ctc": ("LasrForCTC", {}),
}


@pytest.mark.parametrize("case", HEADS)
def test_tensors_of_an_encoder_are_found_in_a_whole_model(case, tmp_path):
    kind, options = CASES[case]
    name, others = HEADS[case]
    config = transformers.AutoConfig.for_model(kind, **options | others)
    whole = getattr(transformers, name)(config)
    whole.save_pretrained(tmp_path)
    (tmp_path / "preprocessor_config.json").write_text("{}")
    found = speech_checkpoint.open_checkpoint(str(tmp_path), None, PREFIXES)[0].tensors()
    family = FAMILIES[kind]
    encoder = whole.get_submodule(family.prefix.rstrip("."))
    assert type(encoder).__name__ == family.name
    expected = encoder.state_dict()
    assert len(found) > 20
    assert found.keys() == expected.keys()
    assert all(torch.equal(tensor, expected[name]) for name, tensor in found.items())


def test_a_stem_of_even_kernels_is_refused(tmp_path, monkeypatch):
    """Its frames aren't those of the model's own length function."""
    kind, options = CASES["speech2text"]
    monkeypatch.setitem(CASES, "even", (kind, {**options, "conv_kernel_sizes": (4, 4)}))
    save(tmp_path, "even")
    with pytest.raises(ValueError, match="states of 13 frames where the sizes of the stem tell 12"):
        encode(0.1 * np.sin(np.arange(8_000) / 9), model=f"torch:{tmp_path}")


def test_a_stride_that_is_no_number_is_refused(tmp_path):
    save(tmp_path, "SeamlessM4T v2")
    front_end = tmp_path / "preprocessor_config.json"
    front_end.write_text(front_end.read_text().replace('"stride": 2', '"stride": 0'))
    with pytest.raises(ValueError, match="a stride of its stem must be 1 or more, not 0"):
        encode(np.ones(8_000), model=f"torch:{tmp_path}")
