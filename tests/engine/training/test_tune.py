"""The tune job on a tiny random model of bytes: its folder, its resume, what penalties do."""

import dataclasses
import math
import pathlib
import re
import types

import numpy as np
import pytest
import safetensors.numpy
from drawn_figures import looks
from pyarrow import parquet

from isogloss.engine.activations import activation_store, extract, open_states, store_languages
from isogloss.engine.checkpoints.checkpoint import load_checkpoint
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.training import tune, tune_cost, tune_input
from isogloss.engine.training.checkpoints import KEPT
from isogloss.engine.transcription import transcribe


def tensors(folder):
    return safetensors.numpy.load_file(folder / "model.safetensors")


def test_a_run_leaves_a_model_its_course_and_its_split(tuned, course):
    config, summary = tuned
    assert (summary.steps, summary.done, summary.skipped, summary.held_out) == (12, 12, 0, 2)
    rows = course(config.out)
    assert [row["step"] for row in rows] == list(range(13))
    assert rows[0]["dev_loss"] == pytest.approx(summary.dev_loss_before)
    assert rows[-1]["dev_loss"] == pytest.approx(summary.dev_loss)
    assert summary.dev_loss < summary.dev_loss_before
    assert rows[-1]["loss"] < rows[1]["loss"]
    rates = [row["learning_rate"] for row in rows[1:]]
    assert max(rates) == pytest.approx(3e-3)
    assert rates.index(max(rates)) == 2  # a tenth of 12 steps, rounded up, rises
    split = [line.split("\t") for line in (config.out / "split.tsv").read_text().splitlines()[1:]]
    assert (
        sorted(s for s, part, _ in split if part == "dev")
        == (config.out / "held_out.txt").read_text().split()
    )
    assert (config.out / "losses.png").stat().st_size > 0


def test_the_encoder_is_left_as_it_was(tuned, reader):
    ours, theirs = tensors(tuned[0].out), tensors(reader)
    for name, value in theirs.items():
        same = ours[f"model.{name}"].tobytes() == value.tobytes()
        assert same == name.startswith("encoder."), name
    assert set(ours) == {f"model.{name}" for name in theirs}


def test_transformers_loads_the_folder_with_equal_logits(tuned, taught, whisper_config):
    torch = pytest.importorskip("torch", reason="the PyTorch oracle needs a CPU build of torch")
    transformers = pytest.importorskip("transformers", reason="the oracle is its Whisper")
    out = tuned[0].out
    # The small models' own config.json leaves out what transformers has no sizes as small for.
    config = whisper_config(load_checkpoint(str(out)).dimensions, attn_implementation="eager")
    model = transformers.WhisperForConditionalGeneration.from_pretrained(out, config=config).eval()
    rng = np.random.default_rng(3)
    memory = rng.standard_normal((1, 100, 16)).astype(np.float32)
    tokens = rng.integers(0, 250, (1, 9))
    with torch.no_grad():
        logits = model(
            encoder_outputs=(torch.from_numpy(memory),), decoder_input_ids=torch.from_numpy(tokens)
        ).logits[0]
    expected = torch.softmax(logits, -1)[torch.arange(8), torch.from_numpy(tokens[0, 1:])].numpy()
    _, likely = taught(out, memory, np.array([100]), np.array([False]), tokens, ())
    np.testing.assert_allclose(likely[0, 1:], expected, rtol=1e-4)


def test_the_average_lies_between(tuned, reader):
    config, _ = tuned
    start, end, middle = tensors(reader), tensors(config.out), tensors(config.out / "average-0.5")
    for name, value in start.items():
        np.testing.assert_allclose(
            middle[f"model.{name}"], (value + end[f"model.{name}"]) / 2, rtol=1e-6, atol=1e-7
        )


def test_the_store_is_the_tuned_models_too(tuned, taught_store, tmp_path, changed):
    config, _ = tuned
    summary = transcribe.run(
        transcribe.TranscribeConfig(
            store=taught_store,
            model=str(config.out),
            out=tmp_path / "texts",
            task="translate",
            language="fr",
            references="fr",
            languages=("en",),
            num_beams=1,
        )
    )
    assert summary.complete
    assert summary.done == 7
    broken = tmp_path / "broken"
    broken.mkdir()
    for file in ("config.json", "tokenizer.json", "encoder_origin.json"):
        (broken / file).write_bytes((config.out / file).read_bytes())
    altered = tensors(config.out)
    altered["model.encoder.layer_norm.bias"] += 1
    safetensors.numpy.save_file(altered, broken / "model.safetensors")
    with pytest.raises(Refusal, match="made by another model"):
        open_states.open_store(taught_store, load_checkpoint(str(broken)), ["final"])


def test_a_killed_run_goes_on_to_equal_bits(tuned, tmp_path, process, goes_on, changed):
    config, _ = tuned
    ours = changed(config, out=tmp_path / "out")
    assert process(ours).killed_in(ours.out, (ours.out / "checkpoints" / "4").is_dir, 0.02)
    assert not (ours.out / "model.safetensors").exists()
    goes_on(ours, config.out, "losses.pdf", "losses.png", "average-0.5/model.safetensors", "tune.json")
    assert tune.run(changed(ours, figure_width=3.5)).done == 0
    assert looks(ours.out / "losses.svg")[0] == 3.5


def test_another_run_into_the_folder_is_refused(tuned, changed):
    with pytest.raises(Refusal, match=r"learning_rate: stored 0\.003, asked for 0\.1"):
        tune.run(changed(tuned[0], learning_rate=0.1))


def test_a_store_whose_new_language_moves_the_split_is_refused(tuned, monkeypatch):
    """Its transcriptions all share four words, which makes one cluster: nothing can be held out."""
    found, other = activation_store.stores, {"sentence": np.array([f"s{i}" for i in range(7)])}
    other["transcription"] = np.array(["all of one kind"] * 7)
    added = types.SimpleNamespace(coordinate=other.__getitem__)
    monkeypatch.setattr(activation_store, "stores", lambda place: {**found(place), "de": added})
    before = (tuned[0].out / "held_out.txt").read_bytes()
    with pytest.raises(Refusal, match="held_out_sha256: stored"):
        tune.run(tuned[0])
    assert (tuned[0].out / "held_out.txt").read_bytes() == before


def test_a_language_that_is_still_to_be_stored_is_refused_because_it_would_move_the_split(tuned, monkeypatch):
    monkeypatch.setattr(store_languages, "planned", lambda place: {"de": 7})
    with pytest.raises(Refusal, match=r"no process of extract has begun with de.*languages/de\.json"):
        tune.run(tuned[0])


def test_sentences_of_old_tasks_alone_that_share_grams_with_held_out_ones_are_left_out(
    tuned, tmp_path, changed, caplog
):
    texts = tmp_path / "texts.tsv"
    rows = [f"en\ts{i}\tsentence {i + 4} in fr\tfr" for i in range(3)]
    texts.write_text("\n".join(["language\tsentence\ttext\ttarget_language", *rows]) + "\n")
    options = {"texts": texts, "ewc": 1.0, "ewc_tasks": ("fr-fr",), "dev_share": 0.4}
    given = tune_input.open_input(changed(tuned[0], out=tmp_path / "out", **options))
    (held,) = given.split.dev
    shares = f"s{int(held[1:]) + 4}"
    named = f"1 of the 4 sentences that only old tasks have share a 4-gram.* left out: {shares}$"
    assert any(re.search(named, record.message) for record in caplog.records)
    assert {e.sentence for e in given.old["fr-fr"]} == {f"s{i}" for i in range(7)} - {held, shares}


def test_the_plan_counts_fisher_examples_up_to_their_bound_and_only_those_left(
    tuned, tmp_path, changed, monkeypatch
):
    monkeypatch.setattr(tune_cost, "here", lambda planned, *_: {})
    options = {"ewc": 1.0, "ewc_tasks": ("fr-en", "en-en"), "dry_run": True}
    config = changed(tuned[0], out=tmp_path / "out", **options)
    every, bounded = (tune.run(changed(config, fisher_examples=most)).plan for most in (200, 3))
    assert (every["fisher_examples"], bounded["fisher_examples"]) == (10, 6)
    assert every["flops"] - bounded["flops"] == every["step_flops"]  # of four examples, as in a batch
    made = tmp_path / "out" / "fisher" / "fr-en.safetensors"  # a run was killed after the first task
    made.parent.mkdir(parents=True)
    made.touch()
    left = tune.run(changed(config, fisher_examples=3)).plan
    assert left["fisher_examples"] == 3
    assert left["bytes"] < bounded["bytes"] == every["bytes"]


@pytest.mark.parametrize("train", ["decoder", "cross", "lora:3"])
def test_the_plan_counts_the_bytes_of_what_is_trained(tuned, tmp_path, changed, monkeypatch, train):
    monkeypatch.setattr(tune_cost, "here", lambda planned, *_: {})
    config = changed(tuned[0], out=tmp_path / "out", train=train)
    trained = sum(value.size for value in tune._parts(config, tune_input.open_input(config)).trained.values())
    model = 4 * sum(value.size for value in tensors(tuned[0].out).values())
    planned = tune.run(changed(config, dry_run=True)).plan["bytes"]
    models = len(config.average) * model
    assert planned == models + 3 * (KEPT + 1) * 4 * trained


def test_texts_of_another_language_are_no_transcriptions(tuned):
    with pytest.raises(Refusal, match=r"--source=en --target=fr\. Remedy: --task=translate"):
        dataclasses.replace(tuned[0], task="transcribe")


def test_speech_that_the_window_cuts_is_not_taught(tuned, tmp_path, changed, caplog):
    """Sentence i has some 11 + 14 i frames; which sentences are held out doesn't change."""
    options = {"window": 48, "ewc": 1.0, "ewc_tasks": ("fr-en",), "replay": ("en-en",)}
    config = changed(tuned[0], out=tmp_path / "none", **options)
    given, whole = tune_input.open_input(config), tune_input.open_input(changed(config, window=0))
    assert given.split == whole.split
    short = {"s0", "s1", "s2"}
    tasks = (lambda g: g.mixture.new, lambda g: g.mixture.old, lambda g: g.old["fr-en"], lambda g: g.dev)
    for task in tasks:
        assert [e for e in task(whole) if e.sentence in short] == list(task(given))
        assert len(task(whole)) > len(task(given))
    left_out = "en-fr: 4 of 7 utterances are left out, --window=48 cuts their speech: s3, s4, s5, s6"
    assert any(record.message == left_out for record in caplog.records)
    with pytest.raises(Refusal, match=r"recordings that end within the window \(see --window\)"):
        tune_input.open_input(changed(config, window=5))


@pytest.mark.parametrize("window", [0, 60])
def test_recordings_that_the_store_has_truncated_are_not_taught(
    tuned, taught_speech, tmp_path, changed, caplog, window
):
    store = tmp_path / "store"
    extract.run(
        extract.ExtractConfig(
            corpus=f"manifest:{taught_speech(1)}", model=tuned[0].model, store=store, states=("final",)
        )
    )
    speech = activation_store.open_store(store, "en")
    assert speech.coordinate("truncated").tolist() == [False] * 5 + [True] * 2
    assert speech.frames[5:].tolist() == [100, 100]
    options = {"ewc": 1.0, "ewc_tasks": ("fr-en",), "replay": ("en-en",), "window": window}
    given = tune_input.open_input(changed(tuned[0], store=store, out=tmp_path / "none", **options))
    heard = {f"s{i}" for i in range(3 if window else 5)}
    assert {e.sentence for e in [*given.mixture.new, *given.dev]} == heard
    for known in (given.mixture.old, given.old["fr-en"]):
        assert {e.sentence for e in known} == heard - given.split.dev
    assert set(given.split.cluster) == {f"s{i}" for i in range(7)}
    named = (
        "2 of 7 utterances are left out, their recordings are longer than the model's window of 100 frames"
    )
    for task in ("en-fr", "fr-en", "en-en"):
        assert f"{task}: {named}: s5, s6" in caplog.messages


def test_a_dry_run_writes_nothing(tuned, tmp_path, changed):
    config = changed(tuned[0], out=tmp_path / "none", dry_run=True, steps=7)
    summary = tune.run(config)
    plan = summary.plan
    assert (summary.done, summary.examples_per_second) == (0, 0)
    assert (plan["steps"], plan["examples"], plan["training_examples"], plan["dev_examples"]) == (7, 28, 5, 2)
    assert plan["flops"] == 7 * plan["step_flops"]
    assert plan["memory_bytes"] > 0
    assert plan["programs"] == 1
    assert plan["estimated_seconds"] >= plan["compiling_seconds"] > 0
    assert not (tmp_path / "none").exists()


@pytest.mark.deep
def test_replay_and_cross_attention_alone(tuning, tmp_path, reader, course):
    config = tuning(tmp_path / "out", replay=("fr-en",), replay_share=0.5, train="cross", steps=3)
    assert tune.run(config).steps == 3
    ours, theirs = tensors(config.out), tensors(reader)
    for name, value in theirs.items():
        trained = name.startswith("decoder.") and "encoder_attn" in name
        assert np.array_equal(ours[f"model.{name}"], value) != trained, name
    assert math.isfinite(course(config.out)[-1]["loss"])


@pytest.mark.deep
def test_one_example_is_learnt_by_heart(tuning, tmp_path, taught_store):
    """Without spaces, which the rules of a vocabulary of bytes suppress."""
    texts = tmp_path / "texts.tsv"
    texts.write_text("language\tsentence\ttext\ttarget_language\nen\ts3\tloquedigo\tzh\n")
    config = tuning(
        tmp_path / "out",
        texts=texts,
        target="zh",
        batch=1,
        dev_share=0.0,
        steps=60,
        checkpoint_steps=60,
        learning_rate=1e-2,
        train="decoder",
        states=("1",),
    )
    summary = tune.run(config)
    assert summary.loss < 0.1
    assert summary.dev_loss is None
    transcribe.run(
        transcribe.TranscribeConfig(
            store=taught_store,
            model=str(config.out),
            out=tmp_path / "texts",
            task="translate",
            language="zh",
            references="fr",
            languages=("en",),
            states=("1",),
        )
    )
    rows = parquet.read_table(tmp_path / "texts" / "transcripts.parquet").to_pylist()
    assert {row["text"] for row in rows if row["sentence"] == "s3"} == {"loquedigo"}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"train": "lora:0"}, "lora:R"),
        ({"average": ("2",)}, "from 0 to 1"),
        ({"ewc": 1.0}, "--ewc is of old tasks"),
        ({"fisher_from": pathlib.Path("earlier")}, "--fisher_from is of old tasks"),
        ({"replay": ("en-fr",)}, "into English only"),
        ({"replay": ("fr-xx",)}, "SPEECH-TEXT"),
        ({"replay": ("fr-en",), "batch": 1}, "leaves the old or the new tasks without a row"),
        ({"window": 101}, "at most the model's 100"),
        ({"states": ("0",)}, "states that may enter"),
        ({"source": "de"}, "isn't extracted"),
        ({"warmup": 12}, "less than the run's 12"),
        ({"dev_share": 1.0}, "below 1"),
    ],
)
def test_bad_options_are_refused_before_any_compute(tuning, tmp_path, options, reason):
    with pytest.raises(Refusal, match=reason):
        tune.run(tuning(tmp_path / "out", **options))
    assert not (tmp_path / "out").exists()


def test_bad_tables_of_texts(tuning, tmp_path):
    texts = tmp_path / "texts.tsv"
    for content, reason in (
        ("language\tsentence\ttext\n", "lacks target_language"),
        ("language\tsentence\ttext\ttarget_language\nen\ts1\ta\tfr\nen\ts1\tb\tfr\n", "a second text"),
        ("language\tsentence\ttext\ttarget_language\nen\ts1\ta\n", "has 3 fields"),
        ("language\tsentence\ttext\ttarget_language\nen\ts1\ta\tde\n", "no text for en-fr, only for en-de"),
        ("language\tsentence\ttext\ttarget_language\nen\tzz\ta\tfr\n", "no stored utterance has a text"),
    ):
        texts.write_text(content)
        with pytest.raises(Refusal, match=reason):
            tune.run(tuning(tmp_path / "out", texts=texts))
