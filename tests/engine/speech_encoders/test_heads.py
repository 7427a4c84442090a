"""Encoders of whole models, with their decoders and heads, and stems whose sizes make no sense."""

import numpy as np
import pytest
from speech_models import CASES, save

torch = pytest.importorskip("torch", reason="PyTorch isn't installed")
transformers = pytest.importorskip("transformers")
from transformers.models.auto import modeling_auto  # noqa: E402

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


def test_an_encoder_with_a_decoder_of_another_family_has_the_states_of_the_encoder_alone(tmp_path):
    alone, pair = tmp_path / "alone", tmp_path / "pair"
    save(alone, "wav2vec2, stable, as XLS-R")
    encoder = transformers.Wav2Vec2Model.from_pretrained(alone)
    sizes = {"d_model": 16, "decoder_layers": 1, "decoder_attention_heads": 2, "decoder_ffn_dim": 8}
    decoder = transformers.MBartForCausalLM(transformers.MBartConfig(vocab_size=20, is_decoder=True, **sizes))
    transformers.SpeechEncoderDecoderModel(encoder=encoder, decoder=decoder).save_pretrained(pair)
    settings = (alone / "preprocessor_config.json").read_bytes()
    (pair / "preprocessor_config.json").write_bytes(settings)
    wave = 0.1 * np.sin(np.arange(8_000) / 9)
    found, expected = (encode(wave, model=f"torch:{folder}") for folder in (pair, alone))
    np.testing.assert_array_equal(found.values, expected.values)
    (pair / "config.json").write_text('{"model_type": "speech-encoder-decoder", "encoder": {}}')
    with pytest.raises(ValueError, match="must be wav2vec2, not None"):
        encode(wave, model=f"torch:{pair}")


@pytest.mark.parametrize("of", ["CTC", "RNNT", "TDT", "SPEECH_SEQ_2_SEQ"])
def test_every_type_that_transformers_recognizes_speech_with_has_a_family_or_a_reason(of):
    """The lists of the installed version; earlier ones lack some."""
    listed = getattr(modeling_auto, f"MODEL_FOR_{of}_MAPPING_NAMES", {})
    assert listed or of in ("RNNT", "TDT")
    assert _without_a_reason(listed) == []


def test_every_language_model_that_transformers_lists_for_its_audio_has_a_family_or_a_reason():
    """Of the list of multimodal models what is in no list of pictures."""
    listed = getattr(modeling_auto, "MODEL_FOR_MULTIMODAL_LM_MAPPING_NAMES", {})
    pictures = getattr(modeling_auto, "MODEL_FOR_IMAGE_TEXT_TO_TEXT_MAPPING_NAMES", {})
    assert _without_a_reason(listed.keys() - pictures.keys()) == []
    of_whisper = speech_checkpoint.reason_against("whisper")
    assert speech_checkpoint.reason_against("moss_transcribe_diarize") == of_whisper


def _without_a_reason(kinds):
    return sorted(
        kind for kind in kinds if kind not in FAMILIES and not speech_checkpoint.reason_against(kind)
    )


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
