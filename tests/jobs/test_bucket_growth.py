"""A store and a grid in a bucket that grow with their corpus: the bytes of a folder's, whoever is killed."""

import shutil

import pytest

from isogloss.engine.activations import extract
from isogloss.engine.activations.extract_config import ExtractConfig
from isogloss.engine.grid import grid
from isogloss.engine.grid.grid_config import GridConfig
from isogloss.engine.runtime import objects, place, zarr_group


@pytest.fixture
def grow(tmp_path, speech, model_folder):
    """Function that extracts and compares below a place: 2 languages first, then one more, then s3 too."""
    shutil.copytree(speech.parent, tmp_path / "speech")
    manifest = tmp_path / "speech" / "speech.tsv"
    header, *lines = manifest.read_text().splitlines()

    def make(root, step):
        left_out = [("cc\t", "\ts3\t"), ("\ts3\t",), ()][step]
        kept = [line for line in lines if not any(each in line for each in left_out)]
        manifest.write_text("\n".join([header, *kept]) + "\n")
        given = ExtractConfig(
            corpus=f"manifest:{manifest}", model=str(model_folder), store=root / "store", states=("final",)
        )
        compared = GridConfig(
            store=root / "store", grid=root / "grid.zarr", measures=("meanpool",), memory_gb=1.0
        )
        return extract.run(given), grid.run(compared)

    return make


@pytest.mark.deep
def test_a_bucket_grows_as_a_folder_does(grow, s3, files, tmp_path):
    folder, bucket = tmp_path / "folder", place.parse(f"{s3.bucket()}/all")
    for step in range(3):
        (extracted, compared), (of_bucket, grid_of_bucket) = grow(folder, step), grow(bucket, step)
        assert extracted.done == of_bucket.done == (12, 5, 3)[step]
        assert compared.done == grid_of_bucket.done == (1, 2, 3)[step]
        assert compared.changes == grid_of_bucket.changes
        assert s3.groups(bucket) == files(folder)
    assert compared.changes == dict.fromkeys(("aa", "bb", "cc"), "1 sentence more: s3")
    assert [done.done for done in grow(bucket, 2)] == [0, 0]


@pytest.mark.deep
def test_a_growth_killed_in_a_bucket_goes_on(grow, s3, tmp_path, monkeypatch):
    """Readers see the old grid until the last object; a process with other labels is kept out meanwhile."""
    bucket = place.parse(f"{s3.bucket()}/all")
    grow(bucket, 0)
    path, write, puts = bucket / "grid.zarr", objects.write, []

    def killed(at, content):
        puts.append(at)
        if str(at) == f"{path}/zarr.json":
            raise KeyboardInterrupt
        write(at, content)

    with monkeypatch.context() as patched:
        patched.setattr(objects, "write", killed)
        with pytest.raises(KeyboardInterrupt):
            grow(bucket, 1)
    assert len(puts) > 10
    assert pairs_of(path) == ["aa-bb"]
    claim = rf"{path}: another process is giving the group other labels.* remove {path}/\.claim-\w+ if"
    with pytest.raises(ValueError, match=claim):
        grow(bucket, 2)
    assert [done.done for done in grow(bucket, 1)] == [0, 2]
    assert pairs_of(path) == ["aa-bb", "aa-cc", "bb-cc"]
    assert not [key for key in s3.keys(str(path)) if key.startswith(".claim-")]


def pairs_of(path):
    return zarr_group.open_group(path).labels["pair"].tolist()
