"""A new job, corpus and measure in a copy of the sources: the files of each, and where it is then found.

The files are all that a newcomer writes; `make docs` makes the rest.
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
HIDDEN = shutil.ignore_patterns("__pycache__")

JOB = {
    "jobs/count.py": '''"""Count the sentences of a corpus.

    python -m isogloss.jobs.count --corpus=fleurs:test

Writes nothing.
"""

from isogloss.engine.counting.count import CountConfig
from isogloss.jobs import command

if __name__ == "__main__":
    command.run(CountConfig, "isogloss.engine.counting.count")
''',
    "engine/counting/__init__.py": '"""Numbers of sentences."""\n',
    "engine/counting/count.py": '''"""The count job: options, and one number for each language."""

import dataclasses

from isogloss.engine.corpora import corpus
from isogloss.engine.runtime.options import JobConfig, option


@dataclasses.dataclass(frozen=True, kw_only=True)
class CountConfig(JobConfig):
    """Options of the count job."""

    corpus: str = option(f"Corpus: {corpus.forms()}.")


@dataclasses.dataclass(frozen=True, kw_only=True)
class CountSummary:
    """Numbers of sentences by language."""

    sentences: dict[str, int]
    plan: dict[str, int]
    complete: bool = True

    def sentence(self, config: CountConfig) -> str:
        """Number of languages."""
        return f"counted {len(self.sentences)} languages of {config.corpus}"


def run(config: CountConfig) -> CountSummary:
    """Numbers of sentences of all languages."""
    opened = corpus.open_corpus(config.corpus)
    found = {language: len(opened.listing(language).utterances) for language in opened.languages()}
    return CountSummary(sentences=found, plan={"languages": len(found)})
''',
}
CORPUS = {
    "engine/corpora/tones.py": '''"""Tones: as many sentences of two languages as asked for."""

import pathlib

from isogloss.engine.corpora import audio, listing


class Tones:
    """Corpus of tones."""

    def __init__(self, number: str) -> None:
        """Sentences 0 to `number` - 1."""
        self.description = f"tones:{number}"

    def languages(self) -> tuple[str, ...]:
        """Two."""
        return ("high", "low")

    def sentences(self, language: str) -> list[str]:
        """As many."""
        return [each.sentence for each in self.listing(language).utterances]

    def listing(self, language: str, recordings: str = "first") -> listing.Listing:
        """One recording for each sentence."""
        found = [
            listing.Recording(
                sentence=str(n),
                transcription="",
                gender="",
                source=audio.FileSource.at(pathlib.Path(f"{language}-{n}.wav"), f"{n}.wav"),
            )
            for n in range(int(self.description.removeprefix("tones:")))
        ]
        return listing.number(self.description, language, found, recordings)
''',
    "engine/corpora/corpus.py": (
        "KINDS = (\n",
        """def _open_tones(rest: str | None) -> Corpus | None:
    from isogloss.engine.corpora import tones  # noqa: PLC0415 (as above)

    return tones.Tones(rest) if rest else None


KINDS = (
    Kind(name="tones", forms=("tones:N",), meaning="N tones of two languages", open=_open_tones),
""",
    ),
}
MEASURE = {
    "kernels/last.py": '''"""Inner product of the last frames, for every pair of two batches."""

import numpy as np
from jaxtyping import Float, Int


def last(
    x: Float[np.ndarray, "U N D"], n: Int[np.ndarray, " U"],
    y: Float[np.ndarray, "V M D"], m: Int[np.ndarray, " V"],
) -> Float[np.ndarray, "U V"]:
    """Scores of all pairs, float32."""
    a, b = (np.asarray(s, np.float32)[np.arange(len(s)), k - 1] for s, k in ((x, n), (y, m)))
    return a @ b.T
''',
    "kernels/reference.py": (
        "MEASURES = {\n",
        "MEASURES = {\n    'last': lambda x, y: sum(float(p) * float(q) for p, q in zip(x[-1], y[-1])),\n",
    ),
    "engine/grid/measures.py": (
        "_ALL = (\n",
        """_ALL = (
    Measure(
        name="last",
        label="Last frames",
        meaning="inner product of the last frames",
        by_frame=True,
        kernel="last.last",
    ),
""",
    ),
}


@pytest.fixture(scope="module")
def tree(tmp_path_factory):
    """Copy of the sources with the three additions, imported in place of the originals."""
    root = tmp_path_factory.mktemp("additions")
    for folder in ("engine", "jobs", "kernels", "docs"):
        shutil.copytree(ROOT / folder, root / "isogloss" / folder, ignore=HIDDEN)
    for name, text in (JOB | CORPUS | MEASURE).items():
        path = root / "isogloss" / name
        path.parent.mkdir(exist_ok=True)
        if isinstance(text, tuple):
            assert path.read_text().count(text[0]) == 1
            path.write_text(path.read_text().replace(*text))
        else:
            path.write_text(text)
    return root


@pytest.fixture(scope="module")
def run(tree):
    """Function that runs Python in the copy and returns its stdout."""

    def python(*arguments):
        environment = {**os.environ, "PYTHONPATH": str(tree)}
        line = [sys.executable, *map(str, arguments)]
        done = subprocess.run(line, capture_output=True, text=True, check=False, cwd=tree, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return python


@pytest.fixture(scope="module")
def docs(tree, run):
    """Folder of the pages that `make docs` wrote."""
    run(tree / "isogloss" / "docs" / "options.py")
    return tree / "isogloss" / "docs"


@pytest.mark.parametrize("addition", [JOB, CORPUS, MEASURE], ids=["job", "corpus", "measure"])
def test_an_addition_touches_three_files(addition):
    assert len(addition) <= 3


def test_launch_takes_the_job(run):
    code = "from isogloss.engine.cluster import job_configs; print(job_configs.job_config('count'))"
    assert run("-c", code) == "<class 'isogloss.engine.counting.count.CountConfig'>\n"


def test_the_job_is_listed_runs_and_has_a_page(run, docs):
    assert "  count       Count the sentences of a corpus.\n" in run("-m", "isogloss.jobs")
    assert "--corpus" in run("-m", "isogloss.jobs", "count", "--help")
    found = json.loads(run("-m", "isogloss.jobs.count", "--corpus=tones:3"))
    assert found["sentences"] == {"high": 3, "low": 3}
    assert "| [count](count.md) | Count the sentences of a corpus. |" in (docs / "index.md").read_text()
    page = (docs / "count.md").read_text()
    assert page.startswith("# count: Count the sentences of a corpus\n\n    python -m isogloss.jobs.count")
    assert "| `--corpus` | required | Corpus: tones:N, fleurs, " in page


def test_the_corpus_and_the_measure_are_in_help_and_on_every_page(run, docs):
    assert "tones:N" in run("-m", "isogloss.jobs", "extract", "--help")
    assert "inner product of the last" in run("-m", "isogloss.jobs", "grid", "--help")
    for page in ("extract", "transcribe", "align", "count"):
        assert "tones:N" in (docs / f"{page}.md").read_text()
    assert "| `tones:N` | N tones of two languages |" in (docs / "extract.md").read_text()
    assert (
        "| `last` | pair, state, query, candidate | Inner product of the last frames; larger is"
        in (docs / "grid.md").read_text()
    )


def test_the_measure_is_computed_as_its_reference_says(tree, run):
    code = """
import numpy as np
from isogloss.engine import compare
from isogloss.kernels import reference
x, y = (np.random.default_rng(seed).standard_normal((5, 3), np.float32) for seed in (0, 1))
print(abs(float(compare(x, y, ("last",))["last"]) - reference.MEASURES["last"](x, y)) < 1e-6)
"""
    assert run("-c", code) == "True\n"
