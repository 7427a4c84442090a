"""Dimensions: the table of tensors against transformers' Whisper, and its checks."""

import dataclasses

import pytest

from isogloss.engine.checkpoints import dimensions
from isogloss.engine.checkpoints.dimensions import Dimensions
from isogloss.engine.runtime import name_lists

PUBLISHED = ("tiny", "tiny.en", "base", "small", "medium", "large-v2", "large-v3", "large-v3-turbo")


@pytest.mark.parametrize("name", PUBLISHED)
def test_table_equals_transformers(name, published, whisper_config):
    torch = pytest.importorskip("torch", reason="the oracle is a PyTorch model")
    transformers = pytest.importorskip("transformers", reason="the oracle is its Whisper")
    sizes, usual = published(name), transformers.WhisperConfig()
    assert (usual.max_source_positions, usual.max_target_positions) == (sizes.positions, sizes.text_positions)
    with torch.device("meta"):
        state = transformers.WhisperModel(whisper_config(sizes)).state_dict()
    expected = {name: tuple(tensor.shape) for name, tensor in state.items()}
    assert dimensions.tensor_shapes(sizes) == expected


def test_keys_have_no_bias_and_nothing_is_tied(tiny):
    names = dimensions.tensor_shapes(tiny)
    assert not [name for name in names if name.endswith("k_proj.bias") or "proj_out" in name]


@pytest.mark.parametrize("field", [field.name for field in dataclasses.fields(Dimensions)])
def test_zero_is_refused(field, tiny):
    with pytest.raises(ValueError, match=f"{field} must be at least 1, got 0"):
        dataclasses.replace(tiny, **{field: 0})


@pytest.mark.parametrize("field", ["encoder_layers", "decoder_layers"])
def test_a_model_without_end_is_refused(tiny, field):
    with pytest.raises(ValueError, match=f"{field} must be at most 1000, got 16777218"):
        dataclasses.replace(tiny, **{field: 2**24 + 2})


def test_heads_must_divide_features(tiny):
    with pytest.raises(ValueError, match="multiple of heads, got 6 and 4"):
        dataclasses.replace(tiny, heads=4)


FIELDS = {field.name: field.name for field in dataclasses.fields(Dimensions)}


def test_from_sizes_reads_every_field(tiny):
    assert dimensions.from_sizes("f", dataclasses.asdict(tiny), FIELDS) == tiny


@pytest.mark.parametrize("size", [None, "6", 6.0, True, 0, -6])
def test_wrong_sizes_name_the_file(size, tiny):
    with pytest.raises(ValueError, match=r"a/config\.json: features"):
        dimensions.from_sizes("a/config.json", dataclasses.asdict(tiny) | {"features": size}, FIELDS)


def test_exactly_the_expected_tensors_pass(tiny):
    shapes = dimensions.tensor_shapes(tiny)
    dimensions.check_shapes("f", shapes, shapes, {})
    dimensions.check_shapes("f", shapes, shapes | {"tied": (11, 6)}, {"tied": (11, 6)})


def test_every_fault_is_named_in_one_message(tiny):
    shapes = dimensions.tensor_shapes(tiny)
    found = dict(shapes)
    del found["encoder.conv1.bias"]
    found |= {"extra": (3,), "encoder.layer_norm.bias": (7,), "tied": (11, 7)}
    with pytest.raises(ValueError, match="m/model") as error:
        dimensions.check_shapes("m/model", shapes, found, {"tied": (11, 6)})
    for fault in (
        "missing: encoder.conv1.bias (6,)",
        "surplus: extra (3,)",
        "encoder.layer_norm.bias must be (6,), but is (7,)",
        "tied must be (11, 6), but is (11, 7)",
        "Remedy",
    ):
        assert fault in str(error.value)


def test_a_long_list_is_counted(tiny):
    shapes = dimensions.tensor_shapes(tiny)
    with pytest.raises(ValueError, match=f"and {len(shapes) - name_lists.SHOWN} more"):
        dimensions.check_shapes("f", shapes, {}, {})
