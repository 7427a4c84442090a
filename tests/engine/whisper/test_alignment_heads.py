"""Alignment heads against OpenAI's own masks, and the order of their three sources."""

import base64
import dataclasses
import gzip

import numpy as np
import pytest

from isogloss.engine.checkpoints import stored_tensors
from isogloss.engine.checkpoints.checkpoint import Checkpoint
from isogloss.engine.whisper import alignment_heads

NAMES = ("tiny.en", "tiny", "base.en", "base", "small.en", "small", "medium.en", "medium")
NAMES += ("large-v1", "large-v2", "large-v3", "large-v3-turbo")


def model(*, dimensions, name="mine", sha256="0" * 64, alignment_heads=None):
    """A checkpoint without tensors."""
    sizes = {"dimensions": dimensions, "alignment_heads": alignment_heads}
    checkpoint = Checkpoint(name=name, weights=stored_tensors.Weights(**sizes, tensors={}, files=()))
    checkpoint.__dict__["sha256"] = sha256  # in place of the one that it would compute
    return checkpoint


@pytest.mark.parametrize("name", NAMES)
def test_heads_of_official_sizes(name, published):
    found = alignment_heads.choose(model(dimensions=published(name), name=f"openai/whisper-{name}"))
    assert found.listed
    assert name in found.source
    layers, heads = found.heads[-1][0], max(head for _, head in found.heads)
    assert layers < published(name).decoder_layers
    assert heads < published(name).heads
    assert list(found.heads) == sorted(set(found.heads))


@pytest.mark.parametrize("name", NAMES)
def test_equal_to_openai(name, published):
    """Heads by name, and the hashes of files."""
    whisper = pytest.importorskip("whisper", reason="openai-whisper isn't installed")
    sizes = published(name)
    packed = gzip.decompress(base64.b85decode(whisper._ALIGNMENT_HEADS[name]))
    mask = np.frombuffer(packed, bool).reshape(sizes.decoder_layers, sizes.heads)
    expected = tuple((int(layer), int(head)) for layer, head in np.argwhere(mask))
    assert alignment_heads.choose(model(dimensions=sizes, name=name)).heads == expected
    sha256 = whisper._MODELS[name].split("/")[-2]
    assert alignment_heads._LARGE_FILES.get(sha256) == (name if name in alignment_heads._LARGE else None)


@pytest.mark.parametrize("name", ["large-v1", "large-v2"])
def test_openai_file_is_known_by_its_hash(name, published):
    hashes = {large: sha256 for sha256, large in alignment_heads._LARGE_FILES.items()}
    found = alignment_heads.choose(model(dimensions=published(name), name="renamed.pt", sha256=hashes[name]))
    assert found.source == f"published for {name}"


def test_large_of_unknown_version_goes_by_the_rule(published):
    found = alignment_heads.choose(model(dimensions=published("large-v2"), name="my-large-v20"))
    assert not found.listed
    assert len(found.heads) == 16 * 20


def test_own_list_comes_first_unless_it_is_empty(published):
    own = ((5, 1), (3, 2), (5, 1))
    found = alignment_heads.choose(model(dimensions=published("base"), alignment_heads=own))
    assert found.heads == ((3, 2), (5, 1))
    assert "mine" in found.source
    empty = alignment_heads.choose(model(dimensions=published("base"), alignment_heads=()))
    assert empty.source == "published for base"


@pytest.mark.parametrize(("layers", "first"), [(1, 0), (2, 1), (3, 1), (4, 2)])
def test_the_rule(sizes, layers, first):
    """Upper half, as in openai/whisper: all_heads[n_text_layer // 2 :] = True."""
    found = alignment_heads.choose(model(dimensions=dataclasses.replace(sizes, decoder_layers=layers)))
    assert found.heads == tuple((layer, head) for layer in range(first, layers) for head in (0, 1))
    assert not found.listed
    assert "no list" in found.source


@pytest.mark.parametrize("bad", [(6, 0), (0, 8), (-1, 0)])
def test_heads_that_do_not_exist(bad, published):
    with pytest.raises(ValueError, match=r"mine: alignment_heads .*layers 0 to 5 of heads 0 to 7.*Remedy"):
        alignment_heads.choose(model(dimensions=published("base"), alignment_heads=((1, 1), bad)))
