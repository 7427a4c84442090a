"""The fetch job against a hub on this machine: what it counts and sends, and later runs offline."""

import json

import pytest
from hub_client import forget_sessions
from hub_stand_in import finish, table, wav
from huggingface_hub import constants, file_download

from isogloss.engine.checkpoints import checkpoint, speech_checkpoint
from isogloss.engine.operations import fetch
from isogloss.engine.operations.fetch_config import FetchConfig
from isogloss.engine.runtime.refusal import Refusal, UnreachableError
from isogloss.engine.speech_encoders.families import PREFIXES
from small_models import write_audio_language_model

LISTED = """
from isogloss.engine.corpora import audio, corpus
[utterance] = corpus.open_corpus("hub:o/set:fr", ["sentence=id"]).listing("fr").utterances
print(len(audio.decode(utterance.source)))
"""
OPENED = """
from isogloss.engine.checkpoints import checkpoint, huggingface
from isogloss.engine.whisper.tokenizer import Tokens
checkpoint.load_checkpoint("o/whisper")
Tokens.load("o/whisper")
print(huggingface.optional_file("o/whisper", "normalizer.json", None))
"""
FETCH = "-m isogloss.jobs.fetch"


@pytest.fixture
def filled(hub):
    """A data set of two languages and a sentence encoder in two formats."""
    for language in ("fr", "en"):
        content = table({"id": ["a"]}, [("a.wav", wav(60_000))])
        hub.files.setdefault("o/set", {})[f"{language}/test-00000-of-00001.parquet"] = content
    hub.files["sentence-transformers/small"] = {
        "config.json": b"{}",
        "modules.json": b"[]",
        "model.safetensors": bytes(200_000),
        "pytorch_model.bin": bytes(200_000),
        "onnx/model.onnx": bytes(200_000),
    }
    return hub


def test_fetched_once_then_without_a_network(filled, tmp_path):
    hub = filled
    corpus = ["--corpus=hub:o/set", "--columns=sentence=id", "--languages=fr"]
    flags = [*corpus, "--sentence_encoder=small"]
    content = len(hub.files["o/set"]["fr/test-00000-of-00001.parquet"])
    expected = {"files": 4, "bytes": content + 200_004}
    output, _ = finish(hub.python(tmp_path, FETCH, *flags, "--dry_run"))
    assert json.loads(output)["plan"] == expected
    assert not hub.downloads()
    output, errors = finish(hub.python(tmp_path, FETCH, *flags))
    done = json.loads(output)
    assert {name: done[name] for name in expected} == expected
    assert done["environment"] == {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    assert f"export HF_HOME={tmp_path} HF_HUB_OFFLINE=1" in errors
    assert sorted(hub.downloads()) == [
        f"{hub.commit}/fr/test-00000-of-00001.parquet",
        f"{hub.commit}/model.safetensors",
    ]
    del hub.asked[:]
    output, errors = finish(hub.python(tmp_path, FETCH, *flags))
    assert json.loads(output)["plan"] == {"files": 0, "bytes": 0}
    assert "all was fetched before" in errors
    assert not hub.downloads()
    del hub.asked[:]
    assert finish(hub.python(tmp_path, LISTED, **done["environment"]))[0] == "60000\n"
    _, errors = finish(hub.python(tmp_path, FETCH, *flags, **done["environment"]), 2)
    assert "HF_HUB_OFFLINE forbids to ask the hub; unset it" in errors
    assert not hub.asked


@pytest.fixture
def asked(hub, tmp_path, monkeypatch):
    """Function that goes offline and gives the files that were sent; until then the test asks this hub."""
    endpoint, cache = f"http://127.0.0.1:{hub.server_port}", tmp_path / "cache"
    template = endpoint + "/{repo_id}/resolve/{revision}/{filename}"
    for name, value in (
        ("ENDPOINT", endpoint),
        ("HUGGINGFACE_CO_URL_TEMPLATE", template),
        ("HF_HOME", str(cache)),
        ("HF_HUB_CACHE", str(cache / "hub")),
    ):
        monkeypatch.setattr(constants, name, value)
    # Clients before 1.0 have a copy of it, made when the module is imported.
    monkeypatch.setattr(file_download, "HUGGINGFACE_CO_URL_TEMPLATE", template, raising=False)
    forget_sessions()

    def offline():
        sent = {
            path.rpartition("/")[2]
            for how, path, size in hub.asked
            if how == "GET" and size and "/resolve/" in path
        }
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
        forget_sessions()
        del hub.asked[:]
        return sent

    yield offline
    monkeypatch.undo()
    forget_sessions()


def test_of_a_speech_encoder_what_extract_reads(hub, asked):
    """The safer format, the encoder's shards; opened by name without a network afterwards."""
    shards = [f"model-{i}-of-2.safetensors" for i in (1, 2)]
    index = {"weight_map": {"wav2vec2.encoder.x": shards[0], "lm_head.weight": shards[1]}}
    read = {
        "config.json": b'{"model_type": "wav2vec2"}',
        "preprocessor_config.json": b"{}",
        "model.safetensors.index.json": json.dumps(index).encode(),
        shards[0]: bytes(1000),
    }
    others = dict.fromkeys([shards[1], "pytorch_model.bin", "flax_model.msgpack", "vocab.json"], b"other")
    hub.files["o/xls-r"] = read | others
    config = FetchConfig(model="torch:o/xls-r")
    counted = {"files": len(read), "bytes": sum(map(len, read.values()))}
    planned = fetch.run(FetchConfig(model="torch:o/xls-r", dry_run=True))
    assert planned.plan == counted
    assert not any(shards[0] in path for _, path, _ in hub.asked)
    assert fetch.run(config).files == 1  # the dry run has fetched the descriptions
    assert fetch.run(config).plan == {"files": 0, "bytes": 0}
    assert asked() == set(read)
    opened, kind = speech_checkpoint.open_checkpoint("o/xls-r", None, PREFIXES)
    assert (kind, [file.name for file in opened.files]) == ("wav2vec2", [shards[0]])
    assert not hub.asked


def test_of_an_older_speech_encoder_its_only_format(hub, asked):
    read = {
        "config.json": b'{"model_type": "hubert"}',
        "processor_config.json": b'{"feature_extractor": {}}',
        "pytorch_model.bin": bytes(1000),
    }
    hub.files["o/hubert"] = read | {"tf_model.h5": b"other"}
    assert fetch.run(FetchConfig(model="torch:o/hubert")).files == len(read)
    hub.files["o/text"] = {"config.json": b'{"model_type": "bert"}'}
    with pytest.raises(Refusal, match="its model_type is bert, which no family has"):
        fetch.run(FetchConfig(model="torch:o/text"))
    assert asked() == set(read)
    opened, _ = speech_checkpoint.open_checkpoint("o/hubert", None, PREFIXES)
    assert [file.name for file in opened.files] == ["pytorch_model.bin"]


def test_of_an_audio_language_model_the_shards_of_its_encoder(hub, asked, tmp_path):
    """No tokenizer is looked for, because no job of the decoder takes such a model."""
    folder = tmp_path / "audio-lm"
    folder.mkdir()
    write_audio_language_model(folder)
    hub.files["o/audio-lm"] = {path.name: path.read_bytes() for path in folder.iterdir()}
    read = hub.files["o/audio-lm"].keys() - {"model-3-of-3.safetensors"}
    assert fetch.run(FetchConfig(model="o/audio-lm")).files == len(read)
    assert asked() == read
    assert checkpoint.load_encoder("o/audio-lm").weights.no_final
    assert not hub.asked


def test_refuses_a_job_without_work_and_says_what_the_hub_lacks(filled, tmp_path):
    with pytest.raises(ValueError, match="name what to fetch"):
        FetchConfig()
    _, errors = finish(filled.python(tmp_path, FETCH, "--model=o/none"), 2)
    assert "error: o/none: not on the hub (" in errors


@pytest.mark.parametrize("flag", ["model", "sentence_encoder", "corpus"])
def test_without_a_network(tmp_path, monkeypatch, flag):
    """Said at once: `datasets`, which tries for half a minute, isn't asked."""
    monkeypatch.delattr("isogloss.engine.corpora.dataset_layout.find")
    for name, folder in (("HF_HUB_CACHE", "hub"), ("HF_ASSETS_CACHE", "assets")):
        monkeypatch.setattr(f"huggingface_hub.constants.{name}", str(tmp_path / folder))
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    name = {"model": "o/model", "sentence_encoder": "o/encoder", "corpus": "fleurs"}[flag]
    with pytest.raises(UnreachableError, match=r"hub doesn't answer .*Check the network.*HF_HUB_OFFLINE=1"):
        fetch.run(FetchConfig(**{flag: name}))


@pytest.mark.parametrize("name", ["none", "use-multilingual"])
def test_an_encoder_that_is_not_of_the_hub(monkeypatch, name):
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    assert fetch.run(FetchConfig(sentence_encoder=name)).plan == {"files": 0, "bytes": 0}


def test_a_model_is_opened_as_other_jobs_do(filled, tmp_path, reader):
    """So that nothing of it is asked for later, files that it doesn't have neither."""
    hub = filled
    hub.files["o/whisper"] = {path.name: path.read_bytes() for path in reader.iterdir()}
    finish(hub.python(tmp_path, FETCH, "--model=o/whisper"))
    del hub.asked[:]
    assert finish(hub.python(tmp_path, OPENED, HF_HUB_OFFLINE="1"))[0] == "None\n"
    assert not hub.asked


def test_caches_elsewhere_are_named(monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HOME", "/a")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", "/b")
    monkeypatch.setattr("huggingface_hub.constants.HF_ASSETS_CACHE", "/a/assets")
    assert fetch._environment() == {"HF_HOME": "/a", "HF_HUB_CACHE": "/b", "HF_HUB_OFFLINE": "1"}
