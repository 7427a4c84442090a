"""The table of families without PyTorch: frames, states and refusals of jobs that need Whisper."""

import pytest

from isogloss.engine.activations.encoders import open_model
from isogloss.engine.checkpoints.checkpoint import load_checkpoint
from isogloss.engine.speech_encoders import families
from isogloss.engine.time_axis import TimeAxis

WAV2VEC2 = {
    "conv_dim": [512] * 7,
    "conv_kernel": [10, 3, 3, 3, 3, 2, 2],
    "conv_stride": [5, 2, 2, 2, 2, 2, 2],
    "hidden_size": 1024,
    "num_hidden_layers": 24,
    "intermediate_size": 4096,
    "feat_extract_norm": "layer",
    "do_stable_layer_norm": True,
}


def test_frames_are_those_of_the_convolutions_one_by_one():
    found = families.layout("x", families.FAMILIES["wav2vec2"], WAV2VEC2, {"return_attention_mask": True})
    assert found.axis == TimeAxis(samples_per_frame=320, window_frames=1500, frame_samples=400)
    for samples in [*range(380, 2_000), 479_999, 480_000]:
        count = samples
        for kernel, stride in zip(WAV2VEC2["conv_kernel"], WAV2VEC2["conv_stride"], strict=True):
            count = max(0, (count - kernel) // stride + 1) if count >= kernel else 0
        assert found.axis.frame_count(samples) == count
    assert found.states == (*map(str, range(25)), "final")
    assert found.padding


@pytest.mark.parametrize(
    ("kind", "own", "front_end", "hop", "first"),
    [
        ("sew", WAV2VEC2 | {"squeeze_factor": 2}, {}, 640, 720),
        ("moonshine", WAV2VEC2 | {"encoder_num_hidden_layers": 2}, {}, 384, 895),
        ("wav2vec2-bert", WAV2VEC2, {"stride": 2}, 320, 560),
        ("speech_to_text", {"d_model": 8, "num_conv_layers": 2}, {}, 640, 400),
        ("parakeet_ctc", {"subsampling_conv_stride": 2, "subsampling_factor": 8}, {}, 1280, 160),
        ("lasr_ctc", {"subsampling_conv_stride": 2, "subsampling_conv_kernel_size": 5}, {}, 640, 2320),
    ],
)
def test_frames_of_every_stem(kind, own, front_end, hop, first):
    config = WAV2VEC2 | {"encoder_layers": 2, "encoder_ffn_dim": 8} | own
    found = families.layout("x", families.FAMILIES[kind], config, front_end)
    window = 480_000 // hop
    assert found.axis == TimeAxis(samples_per_frame=hop, window_frames=window, frame_samples=first)
    for frames in (1, 2, 31):  # inputs of a padded step, through the stages one by one
        count = found.inputs(frames)
        for stage in found.stem:
            count = (count - stage.taps) // stage.stride + 1
        assert count == frames
    second = found.bucket(1)
    assert (second - 1) * hop < 16_000 <= second * hop
    assert found.bucket(second) == second
    assert found.bucket(second + 1) == 2 * second
    assert found.flops(20) > 2 * found.layers * 20 * 4 * found.features**2


@pytest.mark.parametrize(
    ("change", "masks"),
    [({"feat_extract_norm": "group"}, True), ({}, False), ({"conv_pos_batch_norm": True}, True)],
)
def test_what_sees_padding_isnt_padded(change, masks):
    family, front_end = families.FAMILIES["hubert"], {"return_attention_mask": masks}
    assert not families.layout("x", family, WAV2VEC2 | change, front_end).padding


def test_flops_grow_with_frames_more_than_in_proportion():
    found = families.layout("x", families.FAMILIES["wav2vec2"], WAV2VEC2, {})
    products = 24 * 2 * 100 * (4 * 1024**2 + 2 * 1024 * 4096)  # of 100 frames, attention and stem left out
    assert products < found.flops(100) < 2 * products
    assert found.flops(200) > 2 * found.flops(100)


def test_jobs_that_need_whisper_say_so():
    with pytest.raises(ValueError, match="without a decoder of Whisper, which this job needs"):
        load_checkpoint("torch:facebook/wav2vec2-xls-r-300m")


def test_a_speech_encoder_without_torch_before_its_name_is_pointed_there(tmp_path):
    (tmp_path / "config.json").write_text('{"model_type": "wav2vec2"}')
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match=r"must be 'whisper'.*torch:NAME"):
        open_model(str(tmp_path), None)


@pytest.mark.parametrize(
    ("front_end", "message"),
    [
        ({"win_length": None}, "a width of its stem must be 1 or more, not None"),
        ({"hop_length": 0}, "a stride of its stem must be 1 or more, not 0"),
        ({"hop_length": 1_000_000}, "longer than 30 s"),
    ],
)
def test_a_front_end_without_frames_is_refused(front_end, message):
    config = WAV2VEC2 | {"subsampling_conv_stride": 2, "subsampling_conv_kernel_size": 5}
    with pytest.raises(ValueError, match=message):
        families.layout("x", families.FAMILIES["lasr_ctc"], config, front_end)
