"""Jobs with stores and grids in a bucket: the folder's bits, whoever is killed meanwhile."""

import dataclasses
import pathlib
import subprocess
import sys

import pandas as pd
import pytest
from google_server import Google

from isogloss.engine.activations import activation_store, extract, open_states
from isogloss.engine.activations.extract_config import ExtractConfig
from isogloss.engine.checkpoints.checkpoint import load_checkpoint
from isogloss.engine.grid import grid, grid_store
from isogloss.engine.grid.grid_config import GridConfig
from isogloss.engine.grid.grid_failures import GridFailures
from isogloss.engine.interpretation import interpret
from isogloss.engine.interpretation.interpret_config import InterpretConfig
from isogloss.engine.operations import status, verify
from isogloss.engine.operations.status_config import StatusConfig
from isogloss.engine.operations.verify_config import VerifyConfig
from isogloss.engine.report import report
from isogloss.engine.report.report_config import ReportConfig
from isogloss.engine.runtime import objects, place
from isogloss.engine.tallies import grid_status

pytestmark = pytest.mark.usefixtures("undrawn")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory, speech, model_folder):
    """Folder of a store, a grid and a report, and the configurations that made them."""
    folder = tmp_path_factory.mktemp("undisturbed")
    configs = (
        ExtractConfig(corpus=f"manifest:{speech}", model=str(model_folder), store=folder / "store"),
        GridConfig(store=folder / "store", grid=folder / "grid.zarr", measures=("seqsim", "meanpool")),
        ReportConfig(grid=folder / "grid.zarr", out=folder / "report"),
    )
    assert all(job.run(config).complete for job, config in zip((extract, grid, report), configs, strict=True))
    return folder, configs


@pytest.fixture
def moved(undisturbed, s3, tmp_path):
    """URL of a new place in a bucket, and the configurations with it instead of the folder."""
    root = place.parse(f"{s3.bucket()}/all")
    first, second, third = undisturbed[1]
    return root, (
        dataclasses.replace(first, store=root / "store"),
        dataclasses.replace(second, store=root / "store", grid=root / "grid.zarr"),
        dataclasses.replace(third, grid=root / "grid.zarr", out=tmp_path / "report"),
    )


def without_report(files, folder):
    return {key: content for key, content in files(folder).items() if not key.startswith("report/")}


@pytest.mark.deep
def test_a_bucket_has_the_folder_s_bytes(undisturbed, moved, s3, files, tmp_path):
    folder, _ = undisturbed
    root, configs = moved
    s3.requests.clear()
    for job, config in zip((extract, grid, report), configs, strict=True):
        assert job.run(dataclasses.replace(config, dry_run=True)).plan
        assert job.run(config).complete
        assert all(method != "DELETE" for method, _ in s3.requests), "nothing was to be removed"
        s3.requests.clear()
        again = job.run(config)
        assert again.done == 0
        assert again.skipped
    assert s3.groups(root) == without_report(files, folder)
    assert (tmp_path / "report/retrieval.csv").read_bytes() == (folder / "report/retrieval.csv").read_bytes()


@pytest.fixture
def google(monkeypatch):
    """A server that speaks Google's interface, and which this process finds by its environment."""
    server = Google()
    monkeypatch.setenv("TENSORSTORE_GCS_HTTP_URL", server.endpoint)
    monkeypatch.setenv("GOOGLE_AUTH_TOKEN_FOR_TESTING", "test")
    yield server
    server.close()


@pytest.mark.deep
def test_a_bucket_of_google_has_them_too(undisturbed, google, files):
    folder, (first, second, _) = undisturbed
    root = place.parse("gs://bucket/all")
    assert extract.run(dataclasses.replace(first, store=root / "store")).complete
    moved = dataclasses.replace(second, store=root / "store", grid=root / "grid.zarr")
    assert grid.run(moved).complete
    assert grid.run(moved).done == 0
    found = {key: content for key, content in google.held.items() if not key.endswith(".claim")}
    assert found == {f"all/{key}": content for key, content in without_report(files, folder).items()}
    assert status.run(StatusConfig(grid=root / "grid.zarr")).plan == {"left": 0}
    checked = verify.run(VerifyConfig(store=root / "store"))
    assert (checked.checked, checked.complete) == (20, True)


@pytest.mark.deep
def test_metadata_is_read_once_for_each_language(undisturbed, moved, s3):
    """By extract once more, before it may add recordings to the store."""
    folder, _ = undisturbed
    root, configs = moved
    s3.upload(folder, str(root))
    reads = (("store/{}.zarr", 2), ("store/{}.zarr", 1), ("grid.zarr", 1))
    for job, config, (read, times) in zip((extract, grid, report), configs, reads, strict=True):
        s3.requests.clear()
        assert job.run(config).complete
        for language in ("aa", "bb", "cc"):
            path = f"/{root.bucket}/all/{read.format(language)}"
            for content in ("zarr.json", "sentence/c/0"):
                assert s3.requests.count(("GET", f"{path}/{content}")) == times


@pytest.mark.deep
def test_jobs_that_read_a_store_read_a_bucket(s3, spoken, tmp_path, model_folder, undisturbed):
    """States for transcribe and align; scores, states and checksums for interpret."""
    url = s3.bucket()
    s3.upload(spoken, f"{url}/spoken")
    config = InterpretConfig(
        store=spoken / "store",
        grid=spoken / "grid.zarr",
        words=spoken / "words",
        out=tmp_path / "folder",
        pairs=("aa-bb",),
        sentence_encoder="none",
        phones="none",
        pictures=0,
    )
    there = place.parse(f"{url}/spoken")
    moved = dataclasses.replace(
        config, store=there / "store", grid=there / "grid.zarr", out=tmp_path / "bucket"
    )
    assert interpret.run(config).done == interpret.run(moved).done == 1
    for name in ("word_pairs", "sentence_pairs"):
        tables = [pd.read_parquet(each.out / f"{name}.parquet") for each in (config, moved)]
        pd.testing.assert_frame_equal(*tables)
    s3.upload(undisturbed[0] / "store", f"{url}/store")
    checkpoint = load_checkpoint(str(model_folder))
    for root in (undisturbed[0] / "store", place.parse(f"{url}/store")):
        source = open_states.open_store(root, checkpoint, ("2", "final"))
        assert source.languages == ("aa", "bb", "cc")
        assert [type(each).__name__ for each in source.encoded("cc", [0, 5])] == ["Encoded", "Encoded"]


def test_failures_are_noted_and_forgotten_in_a_bucket(undisturbed, s3):
    url = f"{s3.bucket()}/store"
    s3.upload(undisturbed[0] / "store", url)
    store = activation_store.open_store(place.parse(url), "aa")
    store.note_failure(2, "s2.wav: empty")
    assert store.failures() == {2: "s2.wav: empty"}
    store.forget_failure(2)
    assert store.failures() == {}
    with pytest.raises(ValueError, match=r"'zz' isn't extracted \(stored: aa, bb, cc\)"):
        activation_store.open_store(place.parse(url), "zz")
    path = place.parse(f"{s3.bucket()}/grid.zarr")
    s3.upload(undisturbed[0] / "grid.zarr", str(path))
    opened = grid_store.open_grid(path)
    objects.remove(opened.group.chunk(opened.measures[0], (1, 0, 0, 0)))
    failures = GridFailures(opened, opened.done())
    failures.note((1, 0), "c.3.0.0.0: damaged")
    assert grid_status.tally(path).reasons == {"aa-cc state 0": "c.3.0.0.0: damaged"}
    failures.forget((1, 0))
    assert (grid_status.tally(path).count.left, objects.children(path / "failed")) == (1, set())


@pytest.mark.deep
def test_two_processes_at_once_and_one_killed(undisturbed, s3, files, job):
    folder, (first, *_) = undisturbed
    url = f"{s3.bucket()}/store"
    flags = [f"--corpus={first.corpus}", f"--model={first.model}", f"--store={url}", "--num_shards=2"]
    shards = [job("extract", *flags, f"--shard_index={index}") for index in (0, 1)]
    survivor = shards[0].start()
    assert shards[1].killed(lambda: s3.chunks(url) >= 2)
    assert shards[1].start().wait() == 0
    assert survivor.wait() == 0
    assert s3.groups(url) == files(folder / "store")


@pytest.mark.parametrize("said", [pytest.param(True, marks=pytest.mark.deep), False])
def test_an_analyst_opens_a_bucket(undisturbed, s3, monkeypatch, said):
    """By the README's lines, with variables of the environment or with options."""
    pytest.importorskip("s3fs", reason="xarray reads s3:// by s3fs: pip install s3fs")
    url = s3.bucket()
    s3.upload(undisturbed[0] / "grid.zarr", f"{url}/grid.zarr")
    options = {"endpoint_url": s3.endpoint, "key": "test", "secret": "test"}
    opened = f'"{url}/grid.zarr"' + (f", storage_options={options}" if said else "")
    readme = (pathlib.Path(__file__).parents[2] / "README.md").read_text()
    lines = readme.split("\n## Stores in a bucket\n")[1].split("```python\n")[1].split("```")[0]
    for name in s3.environment if said else ():
        monkeypatch.delenv(name)
    code = (
        "import sys; sys.modules['isogloss'] = None\n"
        + lines.replace('"s3://bucket/fleurs/grid.zarr"', opened)
        + "scores = grid.seqsim.sel(pair='aa-bb', state='final').load()\n"
        "print(scores.shape, bool(scores.notnull().all()))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.stdout == "(7, 7) True\n", done.stderr
