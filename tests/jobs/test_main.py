"""The command `isogloss`, run as a program."""

import importlib.metadata
import json
import pathlib
import subprocess
import sys
import tomllib

from isogloss.jobs import __main__ as command

ROOT = pathlib.Path(__file__).parents[2]


def run(*arguments):
    line = [sys.executable, "-m", "isogloss.jobs", *arguments]
    return subprocess.run(line, capture_output=True, text=True, check=False)


def test_the_version_has_one_source():
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert run("--version").stdout == run("extract", "--version").stdout == f"isogloss {version}\n"
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## [{version}]" in (ROOT / "CHANGELOG.md").read_text()


def test_the_installed_command_is_this_one():
    (entry,) = importlib.metadata.entry_points(group="console_scripts", name="isogloss")
    assert entry.load() is command.main


def test_alone_it_lists_the_jobs_without_importing_them():
    code = "import sys; from isogloss.jobs import __main__; __main__.main(); assert 'absl' not in sys.modules"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    listed = dict(line.split(maxsplit=1) for line in done.stdout.splitlines() if line.startswith("  "))
    assert {"extract", "grid", "report", "transcribe", "align", "interpret", "bench"} <= set(listed)
    assert all(len(text) > 10 for text in listed.values())


def test_a_job_takes_its_flags_and_its_exit_code():
    done = run("extract", "--help")
    assert "--store" in done.stdout
    refused = run("grid", "--store=/nowhere", "--grid=/nowhere/grid.zarr")
    assert refused.returncode == 2
    assert "/nowhere" in refused.stderr
    assert not refused.stdout or json.loads(refused.stdout)


def test_an_unknown_job_is_refused_with_the_list():
    done = run("extrakt")
    assert done.returncode == 2
    assert "extrakt" in done.stderr
    assert "extract" in done.stderr
