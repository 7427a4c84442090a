"""Verify: every damaged file is named, removed on request, and made again to the same bytes."""

import dataclasses
import errno
import pathlib
import shutil

import numpy as np
import pytest

from isogloss.engine.activations import extract
from isogloss.engine.grid import grid
from isogloss.engine.grid.grid_config import GridConfig
from isogloss.engine.operations import status, verify
from isogloss.engine.operations.status_config import StatusConfig
from isogloss.engine.operations.verify_config import VerifyConfig
from isogloss.engine.runtime import disk_faults, objects, place
from small_grids import made_grid


@pytest.fixture(scope="module")
def made(tmp_path_factory, extract_config):
    """Options that made a store and a grid, by the option that verify takes."""
    folder = tmp_path_factory.mktemp("verified")
    of_store = extract_config(store=folder / "store", states=("0", "final"))
    of_grid = GridConfig(store=folder / "store", grid=folder / "grid.zarr", states=("final",))
    extract.run(of_store)
    grid.run(of_grid)
    return {"store": (extract.run, of_store), "grid": (grid.run, of_grid)}


@pytest.fixture(params=["store", "grid"])
def copied(request, made, tmp_path):
    """Kind, options of verify for a copy, and the function that makes what is missing there."""
    run, config = made[request.param]
    shutil.copytree(getattr(config, request.param), tmp_path / "copy.zarr")
    again = dataclasses.replace(config, **{request.param: tmp_path / "copy.zarr"})
    return request.param, VerifyConfig(**{request.param: tmp_path / "copy.zarr"}), lambda: run(again)


def damage(path, how):
    data = bytearray(path.read_bytes())
    if how == "flipped first":
        data[3] ^= 1
    elif how == "flipped last":
        data[-1] ^= 128
    elif how == "cut":
        data = data[: len(data) // 2]
    elif how == "longer":
        data += b"\0" * 8
    elif how == "zeros":
        data = bytearray(len(data))
    else:
        data = bytearray()
    path.write_bytes(data)


DAMAGE = ("flipped first", "flipped last", "cut", "longer", "zeros", "empty")


def test_damage_is_named_removed_and_made_again(copied, files):
    kind, config, make = copied
    root = config.store or config.grid
    whole = files(root)
    sound = verify.run(config)
    assert sound.complete
    assert sound.checked == {"store": 20, "grid": 9}[kind]
    chunks = sorted(root.glob("aa.zarr/states/c.*" if kind == "store" else "*/c.*"))
    for path, how in zip(chunks, DAMAGE, strict=False):
        damage(path, how)
    found = verify.run(config)
    assert (len(found.damaged), found.removed, found.complete) == (len(DAMAGE), 0, False)
    names = [f"aa s{row}.0" for row in range(6)] if kind == "store" else ["aa-bb state final dtw"]
    assert set(names) <= set(found.damaged)
    assert "--repair" in found.sentence(config)
    repaired = verify.run(dataclasses.replace(config, repair=True))
    assert (repaired.damaged, repaired.removed, repaired.complete) == (found.damaged, len(DAMAGE), True)
    assert not any(path.exists() for path in chunks[: len(DAMAGE)])
    assert make().done > 0
    assert files(root) == whole
    assert verify.run(config).complete


@pytest.mark.parametrize("number", [errno.ESTALE, errno.EACCES])
def test_files_that_can_not_be_read_are_named_and_kept(copied, monkeypatch, number):
    """The others are checked and repaired all the same."""
    kind, config, _ = copied
    root = config.store or config.grid
    *unread, flipped = sorted(root.glob("aa.zarr/states/c.*" if kind == "store" else "*/c.*"))[:3]
    damage(flipped, "flipped last")
    read = pathlib.Path.read_bytes

    def fail(path):
        if path in unread:
            raise OSError(number, "no")
        return read(path)

    monkeypatch.setattr(pathlib.Path, "read_bytes", fail)
    found = verify.run(dataclasses.replace(config, repair=True))
    assert (found.removed, found.complete, flipped.exists()) == (1, False, False)
    assert all(path.exists() for path in unread)
    assert found.checked == {"store": 18, "grid": 7}[kind]
    assert [reason.split(" (no)")[0] for reason in found.failed.values()] == [
        f"{path}: can't be read" for path in unread
    ]
    for reason in found.failed.values():
        assert disk_faults.may_pass(reason) == (number == errno.ESTALE)  # the job ends with 1, and with 3
    assert "2 can't be read, named above; 1 were damaged and are removed" in found.sentence(config)
    again = verify.run(config)
    assert not again.damaged
    assert "2 can't be read, named above, the others are sound; next: " in again.sentence(config)


def test_each_damage_of_a_chunk_is_told_apart(made, tmp_path):
    """Inside a shard: the state and the first frame of the inner chunk."""
    _, config = made["store"]
    shutil.copytree(config.store, tmp_path / "store")
    chunks = sorted((tmp_path / "store").glob("aa.zarr/states/c.*"))
    for path, how in zip(chunks, DAMAGE, strict=False):
        damage(path, how)
    found = verify.run(VerifyConfig(store=tmp_path / "store")).damaged
    assert found["aa s0.0"] == "state number 0, frames from 0: doesn't match its checksum"
    assert found["aa s1.0"] == "the index doesn't match its checksum"
    assert found["aa s5.0"] == "0 bytes, shorter than its index"


def test_shares_labels_and_a_dry_run(made, tmp_path):
    _, config = made["store"]
    shutil.copytree(config.store, tmp_path / "store")
    given = VerifyConfig(store=tmp_path / "store")
    assert verify.run(dataclasses.replace(given, dry_run=True)).plan == {"files": 20}
    third = dataclasses.replace(given, num_shards=3, shard_index=1)
    shares = [verify.run(dataclasses.replace(third, shard_index=i)) for i in range(3)]
    assert sum(share.checked for share in shares) == 20
    assert "files of shard 1 of 3 (" in shares[1].sentence(third)
    assert " shard " not in verify.run(given).sentence(given)
    [label] = (tmp_path / "store" / "bb.zarr" / "frames" / "c").iterdir()
    label.write_bytes(b"nonsense")
    found = verify.run(dataclasses.replace(given, repair=True))
    assert [what.endswith("bb.zarr") for what in found.labels] == [True]
    assert not found.complete
    assert found.checked == 20


def test_a_grid_that_has_grown_is_verified_and_counted_whole(tmp_path):
    """Of six sentences where there were three, a unit of each measure has four files."""
    path, pairs = tmp_path / "grid.zarr", [("aa", "bb")]
    for sentences in ("abc", "abcdef"):
        languages = {code: {"corpus_sha256": sentences, "missing": []} for code in ("aa", "bb")}
        recordings = {code: dict.fromkeys(sentences, "x") for code in ("aa", "bb")}
        grown = made_grid(path, pairs, sentences, recordings=recordings, languages=languages)
    for state in (0, 1):
        grown.write(0, state, dict.fromkeys(("seqsim", "dtw"), np.eye(6, dtype=np.float32)))
    given = VerifyConfig(grid=path)
    assert (verify.run(given).checked, verify.run(given).complete) == (16, True)
    counted = StatusConfig(grid=path)
    assert (status.run(counted).done, status.run(counted).total) == (2, 2)
    damage(path / "dtw/c.0.1.1.0", "flipped first")
    assert verify.run(given).damaged == {"aa-bb state final dtw file 1.0": "doesn't match its checksum"}
    assert verify.run(dataclasses.replace(given, repair=True)).removed == 1
    assert grown.done() == {(0, 0)}
    assert (status.run(counted).done, status.run(counted).parts["state"]["final"].left) == (1, 1)


def test_a_lock_that_a_killed_writer_left_does_not_matter(copied, files):
    """TensorStore writes an object beside its place, as NAME.__lock, which a kill leaves there.

    It may be of an earlier recording and longer than the new content.
    """
    kind, config, make = copied
    root = config.store or config.grid
    whole = files(root)
    there, missing = sorted(root.glob("aa.zarr/states/c.*" if kind == "store" else "dtw/c.*"))[:2]
    for path in (there, missing):
        path.with_name(f"{path.name}.__lock").write_bytes(b"half" * 9999)
    asked = StatusConfig(**{kind: root})
    before = status.run(asked)
    missing.unlink()
    assert verify.run(config).checked == {"store": 19, "grid": 8}[kind]
    assert status.run(asked).done == before.done - 1
    assert make().done == 1
    assert verify.run(config).complete
    assert status.run(asked).done == before.done
    assert {name: content for name, content in files(root).items() if "__lock" not in name} == whole
    assert make().done == 0


@pytest.mark.parametrize("options", [{}, {"store": "s", "grid": "g"}])
def test_one_thing_at_a_time(options, tmp_path):
    with pytest.raises(ValueError, match="give --store or --grid, and not both"):
        VerifyConfig(**{name: tmp_path / value for name, value in options.items()})
    for option in ("store", "grid"):
        with pytest.raises(ValueError, match=r"no language is extracted|there is no grid"):
            verify.run(VerifyConfig(**{option: tmp_path / "nothing"}))


def test_a_bucket_is_verified_repaired_and_counted(made, s3):
    _, config = made["store"]
    root = place.parse(f"{s3.bucket()}/store")
    for key in objects.keys(config.store / "aa.zarr"):
        objects.write(root / f"aa.zarr/{key}", objects.read(config.store / "aa.zarr" / key))
    objects.write(root / "aa.zarr/states/c.3.0.0.0", b"damaged")
    given = VerifyConfig(store=root)
    assert verify.run(given).damaged.keys() == {"aa s3.0"}
    assert verify.run(dataclasses.replace(given, repair=True)).removed == 1
    assert verify.run(given).complete
    found = status.run(StatusConfig(store=root))
    assert (found.done, found.total, found.per_hour) == (6, 7, None)
