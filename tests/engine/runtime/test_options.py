"""Options: defaults, "~", choices and ranges, the same for Python callers and flags."""

import dataclasses
import pathlib

import pytest

from isogloss.engine.activations.convert_config import ConvertConfig
from isogloss.engine.activations.extract_config import ExtractConfig
from isogloss.engine.alignment.align_config import AlignConfig
from isogloss.engine.cluster.job_configs import job_config, jobs
from isogloss.engine.cluster.launch_config import LaunchConfig
from isogloss.engine.grid.grid_config import GridConfig
from isogloss.engine.interpretation.interpret_config import InterpretConfig
from isogloss.engine.report.report_config import ReportConfig
from isogloss.engine.runtime.options import options, recorded
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.training.tune_config import TuneConfig
from isogloss.engine.transcription.scores_config import ScoresConfig
from isogloss.engine.transcription.transcribe_config import TranscribeConfig

CONFIGS = [job_config(job) for job in jobs()]
RULED = {  # what a job's rules ask for beside its required options
    AlignConfig: {"corpus": "manifest:speech.tsv"},
    LaunchConfig: {"flagfiles": ("extract.flags",), "cluster": "local"},
    ScoresConfig: {"runs": ("tiny=there",)},
    TranscribeConfig: {"corpus": "manifest:speech.tsv"},
    TuneConfig: {"ewc_tasks": ("fr-en",)},
}


def made(config, **changed):
    """A configuration of which only what is required is given."""
    numbers = {float: 1.0, int: 1}
    given = {one.name: numbers.get(one.kind) or one.kind("there") for one in options(config) if one.required}
    return config(**given | RULED.get(config, {}) | changed)


@pytest.mark.parametrize("config", CONFIGS)
def test_every_option_has_a_sentence_of_help(config):
    for each in options(config):
        assert each.help[0].isupper()
        assert each.help.endswith(".")


@pytest.mark.parametrize("config", CONFIGS)
def test_a_home_is_expanded_in_every_path(config):
    for each in options(config):
        if each.kind is pathlib.Path:
            changed = {each.name: pathlib.Path("~/x.tsv")}
            if each.name == "store" and "corpus" in RULED.get(config, {}):
                changed["corpus"] = None
            assert getattr(made(config, **changed), each.name) == pathlib.Path.home() / "x.tsv"


@pytest.mark.parametrize(
    ("config", "changed", "message"),
    [
        (GridConfig, {"implementation": "triton"}, "--implementation must be one of auto, .*; got 'triton'"),
        (ExtractConfig, {"rows_per_device": -1}, "--rows_per_device must be at least 0, got -1"),
        (ExtractConfig, {"model": ""}, "--model is empty"),
        (ExtractConfig, {"languages": ("aa", "aa")}, "--languages must name each value once"),
        (ExtractConfig, {"num_shards": 2, "shard_index": 2}, "from 0 to 1"),
        (GridConfig, {"memory_gb": 0.0}, "--memory_gb must be above 0, got 0.0"),
        (GridConfig, {"measures": ("cosine",)}, "--measures must name some of seqsim"),
        (InterpretConfig, {"epsilon": 0.0}, "--epsilon must be at least 0.001 and at most 1000"),
        (InterpretConfig, {"threshold": 1.5}, "--threshold must be above 0 and at most 1, got 1.5"),
        (
            ConvertConfig,
            {"window_seconds": float("inf")},
            "--window_seconds must be a finite number above 0, got inf",
        ),
        (TuneConfig, {"warmup": -1}, "--warmup must be at least 0, got -1"),
        (TuneConfig, {"states": ("1", "final")}, "--states names the one state .*, got 1,final"),
        (
            ReportConfig,
            {"corrections": ("csls", "best")},
            "--corrections must name some of csls, .*; got csls,best",
        ),
        (TranscribeConfig, {"store": pathlib.Path("store")}, "not both"),
        (AlignConfig, {"states": ("1", "2")}, "at one state"),
    ],
)
def test_what_breaks_a_rule_is_refused(config, changed, message):
    with pytest.raises(Refusal, match=message):
        made(config, **changed)


def test_replacing_checks_again():
    with pytest.raises(Refusal, match="--num_shards"):
        dataclasses.replace(made(ExtractConfig), num_shards=0)


def test_the_record_names_no_place_of_a_machine():
    given = made(ExtractConfig, corpus="manifest:~/a.tsv", languages=("en",), num_shards=3)
    record = recorded(given)
    assert record["languages"] == ["en"]
    assert record["dtype"] == "float16"
    assert not {"corpus", "model", "store", "compilation_cache", "num_shards", "dry_run"} & record.keys()


def test_the_record_has_nothing_of_the_look_of_figures():
    assert not [name for name in recorded(made(ReportConfig, figure_width=3.5)) if name.startswith("figure")]
