"""The recipes of docs/tune.md, word for word: a hub on this machine and a folder have files of their form."""

import os
import pathlib
import subprocess
import sys

import pandas as pd
import pyarrow as pa
import pytest
from hub_stand_in import running, table, wav

from isogloss.engine.corpora import presets
from isogloss.engine.transcription import side_by_side

ROOT = pathlib.Path(__file__).parents[3]
SENTENCES = 12


@pytest.fixture(scope="module")
def blocks():
    """Commands of the recipes by their names."""
    text = (ROOT / "docs/tune.md").read_text().partition("## Recipes")[2].partition("## Options")[0]
    both, covost2, scores = text.split("```")[1::2]
    fleurs, mass = both.strip().split("\n\n")
    return {"fleurs": fleurs, "mass": mass, "covost2": covost2, "scores": scores}


@pytest.fixture
def hub(byte_model):
    """FLEURS, CoVoST 2 and a Whisper of bytes under the names of the recipes."""
    model = byte_model("recipes", ("en", "fr", "de", "ja", "zh", "es", "it"), 4, spread=3, decoder_layers=1)
    with running() as server:
        server.commit = presets.FLEURS_COMMIT
        for name in ("openai/whisper-large-v2", "openai/whisper-base"):
            server.files[name] = {path.name: path.read_bytes() for path in model.iterdir()}
        server.files["mteb/fleurs"] = data_set(
            {
                f"{code}/{split}": spoken({"id": pa.array(range(SENTENCES), pa.int32()), **fleurs(code)})
                for code in ("en_us", "es_419", "fr_fr", "it_it", "de_de", "ja_jp", "cmn_hans_cn")
                for split in ("train", "test")
            }
        )
        server.files["fixie-ai/covost2"] = data_set(
            {
                f"{pair}/train": spoken(covost2(pair.partition("_")[0]))
                for pair in ("en_de", "en_zh-CN", "fr_en")
            }
        )
        yield server


def fleurs(code):
    every = range(SENTENCES)
    return {
        "num_samples": pa.array([4000 + 900 * i for i in every], pa.int32()),
        "transcription": [f"{code} says {i}" for i in every],
        "raw_transcription": [f"{code.title()} says {i}." for i in every],
        "gender": pa.array([i % 2 for i in every], pa.int64()),
    }


def covost2(language):
    ids = [f"common_voice_{language}_{i}" for i in range(SENTENCES)]
    return {
        "client_id": ids,
        "file": ids,
        "sentence": [f"{language} {i}" for i in range(SENTENCES)],
        "translation": [f"translated {i} of {language}" for i in range(SENTENCES)],
        "id": ids,
    }


def write_mass(folder):
    """Verses and their texts, named as the scripts of MaSS name them."""
    books = {"en": "Matthew_____ENGESVN1DA", "fr": "Matthieu____FRNTLSN2DA", "es": "San_Mateo___SPNBDAN1DA"}
    for language, edition in books.items():
        own = folder / language
        own.mkdir(parents=True)
        for verse in range(SENTENCES):
            name = f"B01___01_{edition}_verse_{verse}"
            (own / f"{name}_one_channel.wav").write_bytes(wav(4000 + 900 * verse))
            (own / f"{name}.txt").write_text(f"{language} says {verse}\n")


def spoken(columns):
    """Parquet of such columns and of recordings of 0.25 s and more."""
    sounds = [(f"{i}.wav", wav(4000 + 900 * i)) for i in range(SENTENCES)]
    return table(columns, sounds, labels={"gender": ["male", "female"]} if "gender" in columns else None)


def data_set(parts):
    """Files of a data set and a card, as on the hub, by CONFIGURATION/SPLIT."""
    lines = ["---", "configs:"]
    for configuration in dict.fromkeys(part.partition("/")[0] for part in parts):
        lines += [f"- config_name: {configuration}", "  data_files:"]
        for split in (part.partition("/")[2] for part in parts if part.startswith(f"{configuration}/")):
            lines += [f"  - split: {split}", f"    path: {configuration}/{split}-*"]
    files = {f"{part}-00000-of-00001.parquet": content for part, content in parts.items()}
    return {"README.md": "\n".join([*lines, "---", ""]).encode(), **files}


@pytest.fixture
def shell(hub, tmp_path, programs):
    """Function that runs commands as a user does; the many runs of tune share what JAX compiles."""
    work, commands = tmp_path / "work", tmp_path / "bin"
    commands.mkdir()
    work.mkdir()
    (work / "demo").symlink_to(ROOT / "demo")
    write_mass(work / "PATH")
    (commands / "python").write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    (commands / "isogloss").write_text(f'#!/bin/sh\nexec {sys.executable} -m isogloss.jobs "$@"\n')
    for program in commands.iterdir():
        program.chmod(0o755)
    given = {
        "PATH": f"{commands}:{os.environ['PATH']}",
        "HF_HOME": str(tmp_path / "hub"),
        "HF_ENDPOINT": f"http://127.0.0.1:{hub.server_port}",
        "JAX_NUM_CPU_DEVICES": "1",
        "JAX_COMPILATION_CACHE_DIR": str(programs / "xla"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }

    def run(lines):
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", lines],
            cwd=work, env=os.environ | given, capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{lines}\n{done.stderr[-4000:]}"
        return work

    return run


def test_the_map_has_the_same_commands(blocks):
    """Of each recipe that it shows, line by line; the whole stands in docs/tune.md alone."""
    section = (ROOT / "BUILD.md").read_text().partition("### Recipes")[2].partition("\n## ")[0]
    both, covost2 = section.split("```")[1::2]
    assert both.strip() == f"{blocks['fleurs']}\n\n{blocks['mass']}"
    whole = blocks["covost2"].splitlines()
    assert [line for line in covost2.splitlines() if line not in whole] == []
    assert "isogloss tune " in covost2


@pytest.mark.deep
@pytest.mark.timeout(1800)
def test_covost2_into_chinese_and_what_became_of_english(shell, blocks):
    work = shell(blocks["covost2"])
    texts = pd.read_csv(work / "texts.tsv", sep="\t")
    assert texts.groupby(["language", "target_language"]).size().to_dict() == {
        ("en", "zh"): SENTENCES,
        ("fr", "en"): SENTENCES,
    }
    for model in ("zh", "zh/average-0.5", "zh-replay", "zh-ewc"):
        assert (work / f"out/{model}/model.safetensors").is_file()
    assert (work / "out/zh-ewc/fisher/fr-en.safetensors").is_file()
    shell(blocks["scores"])
    tasks = [
        *("en_us-cmn_hans_cn", "fr_fr-cmn_hans_cn", "de_de-cmn_hans_cn", "ja_jp-cmn_hans_cn"),
        *("fr_fr-en_us", "de_de-en_us", "ja_jp-en_us"),
    ]
    models = ["before", "plain", "plain/average-0.5", "replay", "ewc-1e4"]
    assert_all_side_by_side(work / "out/scores", models, tasks)


def assert_all_side_by_side(scores, models, tasks):
    found = pd.read_csv(scores / "side_by_side.csv").set_index(["model", "metric"])
    assert [*found] == [task + end for task in tasks for end in side_by_side.COLUMNS]
    assert found[[task + end for task in tasks for end in ("", "_mismatched")]].notna().all(axis=None)
    assert found.drop(models[0], level="model").notna().all(axis=None)  # it has no difference
    assert found.index.get_level_values("model").unique().tolist() == models
    assert (scores / "scores.png").stat().st_size > 0


@pytest.mark.deep
@pytest.mark.timeout(3600)
@pytest.mark.parametrize(
    ("recipe", "tasks"),
    [
        ("fleurs", "en_us-es_419 fr_fr-es_419 it_it-es_419 fr_fr-en_us en_us-en_us"),  # MaSS has no Italian
        ("mass", "en-es fr-es fr-en en-en"),
    ],
)
def test_the_experiment_on_forgetting(shell, blocks, recipe, tasks):
    work = shell(blocks[recipe])
    models = ["before", "plain", "plain/average-0.5", "replay", "ewc-1e4", "ewc-1e6", "anchor"]
    assert_all_side_by_side(work / f"out/tune-{recipe}/scores", models, tasks.split())
