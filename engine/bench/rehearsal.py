"""Rehearsal of a full-size run: every job on 102 languages of short noise, with a tiny random Whisper.

The work of a unit is next to nothing, so what is timed is the rest: starting, listing, metadata, files. These
costs grow with the number of units; `projection` says what they come to at FLEURS's size and large-v2's
states. A few minutes, and some 100 thousand small files, or objects in a bucket.
"""

import dataclasses
import json
import math
import os
import pathlib
import sys
import time
from collections.abc import Mapping, Sequence

import numpy as np
import safetensors.numpy
import soundfile

from isogloss.engine.bench import data, encoder
from isogloss.engine.bench.stage import Stage
from isogloss.engine.checkpoints import huggingface
from isogloss.engine.checkpoints.dimensions import tensor_shapes
from isogloss.engine.runtime import objects, temporary
from isogloss.engine.runtime.place import Place
from isogloss.engine.time_axis import SAMPLE_RATE

STATES, MEASURES = 4, 2  # of the rehearsal: a Whisper of two blocks; seqsim and meanpool
FLEURS_SENTENCES, LARGE_STATES = 350, 34


@dataclasses.dataclass(frozen=True, kw_only=True)
class Size:
    """Size of a rehearsal."""

    languages: int
    sentences: int

    @property
    def pairs(self) -> int:
        """Number of language pairs."""
        return math.comb(self.languages, 2)


def size(quick: bool) -> Size:
    """102 languages of 24 sentences; less for a test that everything runs."""
    return Size(languages=4, sentences=3) if quick else Size(languages=102, sentences=24)


def rehearse(full: Size, place: Place | None = None) -> list[Stage]:
    """Stages of a rehearsal, which removes what it wrote.

    Args:
      full: number of languages and sentences.
      place: folder or bucket path for the store and the grid; a temporary folder without.
    """
    with temporary.Folder("isogloss-rehearsal-") as name:
        folder = pathlib.Path(name)
        _write_corpus(folder, full)
        _write_model(folder / "model")
        if place is None:
            return _stages(folder, folder, full)
        own = place / folder.name
        with temporary.removed_at_stop(own):
            try:
                return _stages(folder, own, full)
            finally:
                objects.remove_all(own)


def _stages(folder: pathlib.Path, place: Place, full: Size) -> list[Stage]:
    """Stages whose store and grid are written in `place`, and all else in `folder`."""
    kept = f"--compilation_cache={folder}/programs\n"
    source = f"--corpus=manifest:{folder}/manifest.tsv\n--model={folder}/model\n"
    texts = {
        "extract": f"{source}--store={place}/store\n{kept}",
        "grid": f"--store={place}/store\n--grid={place}/grid.zarr\n--measures=seqsim,meanpool\n{kept}",
        "report": f"--grid={place}/grid.zarr\n--out={folder}/report\n",
    }
    flagfiles = [folder / f"{job}.flags" for job in texts]
    for path, text in zip(flagfiles, texts.values(), strict=True):
        path.write_text(text)
    utterances, units = full.languages * full.sentences, full.pairs * STATES
    nothing = folder / "nothing"  # is written by jobs that only read
    launch = ["--cluster=local", f"--run={folder}/run", "--shards=2", *map(str, flagfiles)]
    return [
        _stage("extract", utterances, "utterances", place / "store", f"--flagfile={flagfiles[0]}"),
        _stage("grid", units, "units", place / "grid.zarr", f"--flagfile={flagfiles[1]}"),
        _stage("report", full.pairs, "pairs", folder / "report", f"--flagfile={flagfiles[2]}"),
        _stage("status", units, "units", nothing, f"--grid={place}/grid.zarr"),
        _stage("verify", units, "units", nothing, f"--grid={place}/grid.zarr"),
        # All is done by now: six tasks that start, list what is there and find nothing to do.
        _stage("launch", 6, "tasks", folder / "run", *launch),
    ]


def projection(stages: Sequence[Stage], full: Size) -> dict[str, int | float]:
    """Costs of as many languages as rehearsed, with 350 sentences a language and 34 states.

    Costs per unit only: encoding, comparing and reading 13 s recordings come on top, and are the larger part.
    """
    found = {stage.name: stage for stage in stages}
    utterances = full.languages * FLEURS_SENTENCES
    units = full.pairs * LARGE_STATES
    ratios = {
        "extract": utterances / (full.languages * full.sentences),
        "grid": units / (full.pairs * STATES),
    }
    return {
        "utterances": utterances,
        "store_files": found["extract"].files - found["extract"].units + utterances,
        "extract_overhead_hours": round(found["extract"].seconds * ratios["extract"] / 3600, 3),
        "units": units,
        "grid_files": found["grid"].files + MEASURES * (units - found["grid"].units),
        "grid_bytes": units * MEASURES * FLEURS_SENTENCES**2 * 4,
        "grid_overhead_hours": round(found["grid"].seconds * ratios["grid"] / 3600, 3),
        "report_overhead_hours": round(found["report"].seconds * ratios["grid"] / 3600, 3),
        "status_seconds": round(found["status"].seconds * ratios["grid"], 1),
        "verify_overhead_seconds": round(found["verify"].seconds * ratios["grid"], 1),
    }


def table(stages: Sequence[Stage], projected: Mapping[str, int | float]) -> str:
    """Stages and projection as text."""
    lines = [f"{'':<10}{'units':>20}{'seconds':>10}{'per unit':>11}{'files':>10}{'folders':>9}{'bytes':>14}"]
    for stage in stages:
        each = f"{1000 * stage.seconds / stage.units:.1f} ms"
        count = f"{stage.units:,} {stage.unit}"
        lines.append(
            f"{stage.name:<10}{count:>20}{stage.seconds:>10.1f}{each:>11}{stage.files:>10,}{stage.folders:>9,}"
            f"{stage.bytes:>14,}"
        )
    lines.append(f"at {FLEURS_SENTENCES} sentences and {LARGE_STATES} states, beside the computing itself:")
    return "\n".join(
        lines + [f"{name.replace('_', ' '):>24}: {value:,}" for name, value in projected.items()]
    )


def _stage(job: str, units: int, unit: str, out: Place, *flags: str) -> Stage:
    start = time.monotonic()
    done = temporary.run([sys.executable, "-m", f"isogloss.jobs.{job}", *flags])
    seconds = time.monotonic() - start
    files = objects.keys(out)
    size = sum((out / name).stat().st_size for name in files) if isinstance(out, pathlib.Path) else 0
    return Stage(
        name=job,
        units=units,
        unit=unit,
        seconds=round(seconds, 3),
        files=len(files),
        folders=sum(1 for _ in os.walk(out)) if isinstance(out, pathlib.Path) else 0,
        bytes=size,
        fault=f"{job}: {done.stderr[-1000:]}" if done.returncode else "",
    )


def _write_corpus(folder: pathlib.Path, full: Size) -> None:
    """A manifest of noise of 0.2 to 1.8 s."""
    random = data.rng(12)
    (folder / "audio").mkdir()
    lines = ["language\tsentence\taudio"]
    for language in range(full.languages):
        for sentence in range(full.sentences):
            wave = 0.1 * random.standard_normal(int(SAMPLE_RATE * random.uniform(0.2, 1.8)), np.float32)
            name = f"audio/{language}-{sentence}.wav"
            soundfile.write(folder / name, wave, SAMPLE_RATE)
            lines.append(f"l{language:03}\t{sentence}\t{name}")
    (folder / "manifest.tsv").write_text("\n".join(lines) + "\n")


def _write_model(folder: pathlib.Path) -> None:
    """A random Whisper with a window of 2 s, in the Hugging Face format."""
    sizes = encoder.dimensions(16, 2, 2, positions=100)
    random = data.rng(13)
    tensors = {
        name: (float("norm.weight" in name) + 0.1 * random.standard_normal(shape)).astype(np.float32)
        for name, shape in tensor_shapes(sizes).items()
    }
    folder.mkdir()
    safetensors.numpy.save_file(tensors, folder / huggingface.SINGLE)
    described = {key: getattr(sizes, name) for name, key in huggingface.KEYS.items()}
    (folder / "config.json").write_text(json.dumps({"model_type": "whisper", **described}))
