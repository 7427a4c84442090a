"""README.md and BUILD.md against the code: their Python runs, their commands parse, what they name exists."""

import pathlib
import re
import shlex
import shutil
import subprocess
import sys

import numpy as np
import pytest
from absl import flags

from isogloss.engine.bench.bench_config import ALONE, SUITES
from isogloss.engine.cluster.job_configs import job_config
from isogloss.jobs import __main__ as overview, command
from small_grids import made_grid

ROOT = pathlib.Path(__file__).parents[1]
PAGES = {page.name: page.read_text() for page in (ROOT / "README.md", ROOT / "BUILD.md")}
COMMANDS = sorted(
    (path.name, call)
    for path in (ROOT / "README.md", ROOT / "BUILD.md", *(ROOT / "docs").glob("*.md"))
    for call in re.findall(
        r"(?:python -m isogloss\.jobs\.|isogloss )([a-z_]+ +--(?:[^\n`\"]|\"[^\n\"]*\")+)",
        path.read_text().replace("\\\n", " "),
    )
)
SLURM = {f"SLURM_ARRAY_TASK_{name}": "8073"[i] for i, name in enumerate(("COUNT", "MIN", "MAX", "ID"))}
OTHERS = {"help", "version", "flagfile", "verbosity", "log_dir", "only_check_args"} | {
    "array",
    "gpus",
    "time",
    "cpus",
    "mem",
    "partition",
    "build",
    "require",
}
"""Flags of absl; of Slurm, Docker and pip, up to their first hyphen."""
BLOCKED = "import sys; sys.modules['isogloss'] = None; import matplotlib; matplotlib.use('Agg')\n"


def python(title):
    """The blocks of Python below a heading of the README, as one session."""
    section = PAGES["README.md"].split(f"\n## {title}\n")[1].split("\n## ")[0]
    return "\n".join(re.findall(r"```python\n(.*?)```", section, re.DOTALL))


def flags_of(job):
    holder = flags.FlagValues()
    command.define(job_config(job), holder)
    return holder


def test_an_analyst_needs_ten_lines(tmp_path):
    code = python("An analyst's ten lines")
    assert len([line for line in code.splitlines() if line]) <= 10
    pairs, states = [("en", "es"), ("en", "fr"), ("es", "fr")], (*map(str, range(7)), "final")
    path = tmp_path / "out" / "demo" / "grid.zarr"
    grid = made_grid(path, pairs, ("1", "2", "10", "11"), states=states, measures=("seqsim",))
    scores = np.eye(4, dtype=np.float32)
    scores[3] = [0.9, 0.1, 0.1, 0.2]
    grid.write(1, 6, {"seqsim": scores})
    done = subprocess.run(
        [sys.executable, "-c", BLOCKED + code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "R@1 of 4 English sentences among French ones: 75.0%\n"
    assert (tmp_path / "en-fr.png").stat().st_size > 0


def test_the_lines_for_notebooks(tmp_path, monkeypatch, speech, model_folder, capsys):
    """On two tones a language, with a model of two blocks, whose last block is state 2."""
    for language, recorded in (("en", "aa"), ("fr", "bb")):
        folder = tmp_path / ".cache" / "demo" / "audio" / language
        folder.mkdir(parents=True)
        for name, sentence in (("agent-pass", 1), ("vm-delete", 2)):
            shutil.copy(speech.parent / f"{recorded}-{sentence}.wav", folder / f"{name}.wav")
    shutil.copytree(model_folder, tmp_path / ".cache" / "whisper-base")
    monkeypatch.chdir(tmp_path)
    found = {}
    exec(python("In a notebook").replace('"6"', '"2"'), found)
    assert found["scores"].sizes == {"state": 4, "a": 2, "b": 2}
    assert found["table"].index.names == ["state", "direction"]
    shape, *_, last = capsys.readouterr().out.splitlines()
    assert shape.endswith(", 16)")
    assert last.startswith("b->a")


@pytest.mark.parametrize(("page", "call"), COMMANDS)
def test_commands_are_what_jobs_take(page, call):
    job, *given = shlex.split(call, comments=True)
    if given == ["--flags"]:
        return
    holder = flags_of(job)
    named = {each.partition("=")[0].removeprefix("--") for each in given if each.startswith("--")}
    assert not named - {*holder, "help", "version"}, page
    if "--help" not in given:
        _, *arguments = holder([job, *given])
        assert command.configuration(job_config(job), holder, SLURM, arguments)


@pytest.mark.parametrize("page", PAGES)
def test_flags_and_links_exist(page):
    every = {name for job in overview.jobs() for name in flags_of(job)}
    booleans = {f"no{name}" for name in every}
    assert set(re.findall(r"(?<![\w-])--([a-z_]+)\b", PAGES[page])) <= every | booleans | OTHERS
    for target in re.findall(r"\]\(([^)#:]+)\)", PAGES[page]):
        assert (ROOT / target).exists(), target


@pytest.fixture
def table():
    """Rows of the map from steps to modules."""
    return PAGES["BUILD.md"].split("\n| step | rooms | modules |\n")[1].split("\n\n")[0].splitlines()[1:]


def test_the_map_names_every_module(table):
    """Configurations bear their job's name, modules of bench that of their suite."""
    named = set(re.findall(r"`(\w+)`", "".join(table))) | {"__init__", *SUITES, *ALONE}
    every = {path.stem for path in (ROOT / "engine").glob("*/*.py") if not path.stem.endswith("_config")}
    assert every <= named, every - named


def test_the_map_names_modules_that_exist(table):
    for row in table:
        _, _, rooms, modules, _ = row.split("|")
        folders = [ROOT / "engine" / room for room in re.findall(r"`(\w+)/`", rooms)]
        for module in re.findall(r"`(\w+)`", modules):
            every = folders if not module.endswith("_config") else (ROOT / "engine").iterdir()
            assert any((folder / f"{module}.py").is_file() for folder in every), (module, row)
