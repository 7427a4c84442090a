"""Tiny random models of every family, saved as transformers saves them."""

import importlib

import pytest

from isogloss.engine.speech_encoders.families import FAMILIES
from isogloss.engine.speech_encoders.stems import FRONT_ENDS

SIZES = {"hidden_size": 32, "num_attention_heads": 2, "num_hidden_layers": 2, "intermediate_size": 48}
STEM = {"conv_dim": (16,) * 7, "num_feat_extract_layers": 7, "num_conv_pos_embeddings": 16}
STEM |= {"num_conv_pos_embedding_groups": 2}
WAVE = {**SIZES, **STEM, "layer_norm_eps": 1e-5}
LAYER = {**WAVE, "feat_extract_norm": "layer", "conv_bias": True}
SEAMLESS = {
    "hidden_size": 32,
    "speech_encoder_layers": 2,
    "speech_encoder_attention_heads": 2,
    "speech_encoder_intermediate_size": 48,
}
SEW = {**WAVE, "conv_kernel": (10, 3, 3, 3, 3, 2, 2), "conv_stride": (5, 2, 2, 2, 2, 2, 2)}
TEXT = {"encoder_layers": 2, "encoder_ffn_dim": 48, "encoder_attention_heads": 2}
MOONSHINE = {"hidden_size": 32, "encoder_num_attention_heads": 2, "intermediate_size": 48}
CONFORMER = {**SIZES, "num_mel_bins": 80, "subsampling_conv_channels": 4, "conv_kernel_size": 5}
LASR = {**SIZES, "subsampling_conv_channels": 12, "conv_kernel_size": 5}
CASES = {
    "wav2vec2, group norm": ("wav2vec2", {**WAVE, "do_stable_layer_norm": False}),
    "wav2vec2, layer norm": ("wav2vec2", {**LAYER, "do_stable_layer_norm": False}),
    "wav2vec2, stable, as XLS-R": ("wav2vec2", {**LAYER, "do_stable_layer_norm": True}),
    "hubert": ("hubert", {**WAVE, "do_stable_layer_norm": False}),
    "hubert, stable": ("hubert", {**LAYER, "do_stable_layer_norm": True}),
    "wavlm": ("wavlm", {**WAVE, "do_stable_layer_norm": False}),
    "wavlm, stable": ("wavlm", {**LAYER, "do_stable_layer_norm": True}),
    "w2v-BERT": ("wav2vec2-bert", {**SIZES, "conv_depthwise_kernel_size": 5}),
    "SeamlessM4T v2": ("seamless_m4t_v2", {**SEAMLESS, "speech_encoder_chunk_size": 20}),
    "SeamlessM4T": ("seamless_m4t", SEAMLESS),
    "unispeech": ("unispeech", {**LAYER, "do_stable_layer_norm": True}),
    "unispeech-sat": ("unispeech-sat", {**LAYER, "do_stable_layer_norm": True}),
    "data2vec": ("data2vec-audio", {**WAVE, "num_conv_pos_embeddings": 3}),
    "wav2vec2-conformer": ("wav2vec2-conformer", {**LAYER, "conv_depthwise_kernel_size": 5}),
    "sew": ("sew", {**SEW, "feat_extract_norm": "layer"}),
    "sew, squeezed by 3": ("sew", {**SEW, "squeeze_factor": 3}),
    "sew-d": ("sew-d", {**SEW, "max_position_embeddings": 64, "position_buckets": 16}),
    "speecht5": ("speecht5", {**LAYER, **TEXT}),
    "moonshine": ("moonshine", {**MOONSHINE, "encoder_num_hidden_layers": 2}),
    "speech2text": ("speech_to_text", {**TEXT, "d_model": 32, "conv_channels": 24}),
    "speech2text, three convolutions": (
        "speech_to_text",
        {**TEXT, "d_model": 32, "conv_channels": 24, "num_conv_layers": 3, "conv_kernel_sizes": (5, 3, 3)},
    ),
    "parakeet": ("parakeet_encoder", CONFORMER),
    "parakeet, ctc": ("parakeet_ctc", {"encoder_config": {**CONFORMER, "scale_input": False}}),
    "parakeet, tdt": ("parakeet_tdt", {"encoder_config": {**CONFORMER, "subsampling_factor": 4}}),
    "canary": ("canary", {"encoder_config": {**CONFORMER, "layerdrop": 0.0}}),
    "lasr": ("lasr_encoder", LASR),
    "lasr, ctc": ("lasr_ctc", {"encoder_config": LASR}),
}


def save(folder, case, seed=0, rate=16_000):
    """Folder of a random model with its feature extractor."""
    torch = pytest.importorskip("torch", reason="PyTorch isn't installed")
    transformers = pytest.importorskip("transformers")
    kind, options = CASES[case]
    family = FAMILIES[kind]
    module = importlib.import_module(f"transformers.models.{family.module}")
    config = whole = transformers.AutoConfig.for_model(kind, **options)
    if family.nested:
        config = getattr(whole, family.nested)
    torch.set_num_threads(1)  # small products, and other processes of a test run want the cores
    torch.manual_seed(seed)
    model = getattr(module, family.name)(config).eval()
    with torch.no_grad():  # norms and biases begin as ones and zeros, with which mistakes could hide
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn_like(parameter))
    model.save_pretrained(folder)
    whole.save_pretrained(folder)
    # As published: those of group norms return no mask.
    samples = not FRONT_ENDS[family.front_end]({})
    settings = {"return_attention_mask": options.get("feat_extract_norm") == "layer"} if samples else {}
    if hasattr(config, "subsampling_conv_channels"):
        settings["feature_size"] = config.num_mel_bins
    getattr(transformers, family.front_end)(sampling_rate=rate, **settings).save_pretrained(folder)
    return model
