"""engine.transcribe on a tiny random model with a tokenizer of bytes: rows, tables, resuming, kills."""

import csv
import dataclasses
import json
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import safetensors.numpy
import tokenizers
from pyarrow import parquet
from tokenizers import decoders, models, pre_tokenizers

from isogloss.engine import (
    activation_store,
    decode,
    encode,
    extract,
    hearing,
    plan,
    state_source,
    transcribe,
    transcript_text,
)
from isogloss.engine.checkpoint import load_checkpoint
from isogloss.engine.dimensions import Dimensions, tensor_shapes
from isogloss.engine.tokens import Tokens

SPECIAL = ["<|endoftext|>", "<|startoftranscript|>", "<|en|>", "<|kk|>", "<|fr|>", "<|translate|>"]
SPECIAL += ["<|transcribe|>", "<|startoflm|>", "<|startofprev|>", "<|nospeech|>", "<|notimestamps|>"]
FILES = ("transcripts.parquet", "summary.parquet", "summary.csv", "exits_aa.png", "transcribe.json")
STAND_INS = ("aa=en", "bb=kk", "cc=fr")
TOLD = {"aa": "en", "bb": "kk", "cc": "fr"}
LABELS = [("1", True), ("1", False), ("2", False), ("final", True)]


@pytest.fixture(scope="module")
def talker(tmp_path_factory):
    """Folder of a model that says bytes: some texts end, some are cut."""
    folder = tmp_path_factory.mktemp("models") / "talker"
    folder.mkdir()
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    backend = tokenizers.Tokenizer(models.BPE({c: i for i, c in enumerate(alphabet)}, []))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    backend.add_special_tokens([tokenizers.AddedToken(t, special=True) for t in SPECIAL])
    backend.save(str(folder / "tokenizer.json"))
    sizes = {"d_model": 16, "encoder_attention_heads": 2, "encoder_layers": 2, "decoder_layers": 1}
    sizes |= {"num_mel_bins": 80, "encoder_ffn_dim": 64, "max_source_positions": 100}
    sizes |= {"max_target_positions": 48, "vocab_size": 256 + len(SPECIAL), "model_type": "whisper"}
    (folder / "config.json").write_text(json.dumps(sizes))
    shapes = tensor_shapes(
        Dimensions(
            mels=80, features=16, heads=2, encoder_layers=2, decoder_layers=1, positions=100,
            text_positions=48, vocabulary=256 + len(SPECIAL), ffn=64,
        )
    )  # fmt: skip
    rng = np.random.default_rng(3)
    tensors = {}
    for name, shape in shapes.items():
        drawn = rng.standard_normal(shape) * (0.1 if len(shape) == 1 else 2 / np.sqrt(np.prod(shape[1:])))
        tensors[name] = (("norm.weight" in name) + drawn).astype(np.float32)
    end = tensors["decoder.embed_tokens.weight"][256]
    tensors["decoder.layer_norm.bias"] += (1.5 * end / (end @ end)).astype(np.float32)  # eot's logit
    safetensors.numpy.save_file(tensors, folder / "model.safetensors")
    return folder


@pytest.fixture(scope="module")
def config(tmp_path_factory, talker, speech):
    return transcribe.Config(
        corpus=f"manifest:{speech}",
        store=None,
        model=str(talker),
        revision=None,
        tokenizer=None,
        out=tmp_path_factory.mktemp("whole") / "out",
        languages=(),
        recordings="first",
        long="truncate",
        silence=False,
        task="transcribe",
        language="per-utterance",
        stand_in=STAND_INS,
        references=None,
        states=(),
        exit_norm="both",
        num_beams=1,
        length_penalty=1.0,
        early_stopping="false",
        tokens_per_second=10.0,
        rows_per_device=0,
        compute="auto",
        share=plan.Share(),
        dry_run=False,
    )


@pytest.fixture(scope="module")
def whole(config):
    """Summary of an undisturbed run into config.out."""
    return transcribe.run(config)


def rows(out):
    return parquet.read_table(out / "transcripts.parquet").to_pylist()


def contents(out):
    return {name: (out / name).read_bytes() for name in FILES}


def test_one_row_per_utterance_state_and_form(config, whole, speech):
    assert whole.complete
    assert (whole.done, whole.skipped, whole.waiting, whole.rows) == (20, 0, 0, 3 * len(LABELS))
    found = rows(config.out)
    assert len(found) == 20 * len(LABELS)
    assert [(row["state"], row["exit_norm"]) for row in found[:4]] == LABELS
    listed = [line.split("\t") for line in speech.read_text().splitlines()[1:]]
    expected = [(language, sentence, text) for language, sentence, _, text in listed for _ in LABELS]
    assert [(r["language"], r["sentence"], r["reference"]) for r in found] == expected
    for row in found:
        assert (row["language_token"], row["language_token_by"]) == (TOLD[row["language"]], "given")
        assert row["visible"] == 100
        assert row["empty"] == (row["text"] == "")
        assert row["mean_log_probability"] < 0
        assert row["truncated"] == (row["seconds"] > 2)
        assert row["problem"] == ""
    assert {row["cut"] for row in found} == {True, False}
    assert len({row["text"] for row in found}) > 20


def test_a_cut_text_has_as_many_tokens_as_its_duration_allows(config, whole):
    for row in rows(config.out):
        limit = min(44, 16 + int(np.ceil(10 * row["frames"] * 0.02)))
        assert len(row["tokens"]) == limit if row["cut"] else len(row["tokens"]) < limit


def test_each_exit_is_what_it_says(config, whole, talker):
    """Decoded again one by one; the LayerNorm of exit_norm by NumPy, from the checkpoint's tensors."""
    checkpoint, tokens = load_checkpoint(str(talker)), Tokens.load(str(talker))
    source = state_source.open_audio(config.corpus, checkpoint, ("1", "2", "final"), languages=("bb",))
    decoding = decode.load(checkpoint, tokens, encode.precision_for("cpu"), rows_per_device=1, devices=1)
    scale, shift = (checkpoint.read(f"encoder.layer_norm.{leaf}") for leaf in ("weight", "bias"))
    found = {
        (r["sentence"], r["state"], r["exit_norm"]): r for r in rows(config.out) if r["language"] == "bb"
    }
    for row in (0, 5):
        [made] = source.encoded("bb", [row])
        spoken = source.utterances("bb")[row]
        one = made.states[0].astype(np.float64)
        centred = one - one.mean(1, keepdims=True)
        normed = centred / np.sqrt((centred**2).mean(1, keepdims=True) + 1e-5) * scale + shift
        states = [normed.astype(np.float32), made.states[0], made.states[1], made.states[2]]
        limit = min(44, 16 + int(np.ceil(10 * spoken.frames * 0.02)))
        for (state, norm), frames in zip(LABELS, states, strict=True):
            [said] = decoding.generate(
                frames[None],
                np.array([100], np.int32),
                np.array([False]),
                [tokens.prompt("kk")],
                np.array([limit], np.int32),
            )
            there = found[spoken.sentence, state, norm]
            assert there["tokens"] == list(said.tokens)
            assert there["text"] == tokens.decode(said.tokens).strip()
            count = len(said.tokens) + (not said.cut)
            assert there["mean_log_probability"] == pytest.approx(said.log_probability / count, rel=1e-5)


def test_the_summary_adds_up(config, whole):
    found = rows(config.out)
    with (config.out / "summary.csv").open(newline="") as file:
        summary = list(csv.DictReader(file))
    assert [(r["language"], r["state"], r["exit_norm"]) for r in summary] == [
        (language, state, str(norm)) for language in TOLD for state, norm in LABELS
    ]
    for row in summary:
        mine = [
            r
            for r in found
            if (r["language"], r["state"], str(r["exit_norm"]))
            == (row["language"], row["state"], row["exit_norm"])
        ]
        assert int(row["utterances"]) == int(row["scored"]) == len(mine)
        for metric, (edits, lengths) in {
            "wer": ("word_edits", "words"),
            "cer_normalised": ("char_edits_normalised", "chars_normalised"),
        }.items():
            rate = sum(r[edits] for r in mine) / sum(r[lengths] for r in mine)
            assert float(row[metric]) == pytest.approx(rate, rel=1e-12)
            assert float(row[f"{metric}_low"]) <= rate <= float(row[f"{metric}_high"])
        assert int(row["cut"]) == sum(r["cut"] for r in mine)
        assert row["primary"] == "wer_normalised"
    for language in TOLD:
        mine = [row for row in summary if row["language"] == language]
        rates = [float(row["wer_normalised"]) for row in mine]
        [best] = [row for row in mine if row["best"] == "True"]
        assert float(best["wer_normalised"]) == min(rates)
        for row, rate in zip(mine, rates, strict=True):
            assert float(row["gain"]) == pytest.approx(rates[-1] - rate, abs=1e-12)
        assert [mine[-1][f"gain{end}"] for end in ("", "_low", "_high")] == ["0.0"] * 3
        assert whole.best[language]["state"] == best["state"]
    normal = transcript_text.normaliser("aa", None)
    row = found[0]
    again = transcript_text.counts([row["reference"]], [row["text"]], normal)
    assert {name: int(values[0]) for name, values in again.items()} == {name: row[name] for name in again}


def test_a_second_run_does_nothing_and_a_lost_part_is_made_again(config, whole, tmp_path):
    out = tmp_path / "out"
    shutil.copytree(config.out, out)
    changed = dataclasses.replace(config, out=out)
    before = contents(out)
    again = transcribe.run(changed)
    assert (again.done, again.skipped, again.rows) == (0, 20, 12)
    assert contents(out) == before
    part = sorted((out / "parts").iterdir())[1]
    content = part.read_bytes()
    part.unlink()
    again = transcribe.run(changed)
    assert (again.done, again.skipped) == (7, 13)
    assert part.read_bytes() == content
    assert contents(out) == before


def test_shards_divide_the_units_and_the_last_writes_the_tables(config, whole, tmp_path):
    done = [
        transcribe.run(dataclasses.replace(config, out=tmp_path, share=plan.Share(index=i, count=2)))
        for i in (1, 0)
    ]
    assert [(d.done, d.waiting, d.summary is None) for d in done] == [(13, 1, True), (7, 0, False)]
    assert contents(tmp_path) == contents(config.out)


def test_results_of_other_settings_are_not_mixed(config, whole):
    for field, value in (
        ("num_beams", 2),
        ("early_stopping", "never"),
        ("exit_norm", "true"),
        ("languages", ("aa",)),
    ):
        with pytest.raises(ValueError, match="holds results of other settings"):
            transcribe.run(dataclasses.replace(config, **{field: value}))


def test_a_broken_recording_is_named_and_tried_again(config, whole, speech, tmp_path):
    shutil.copytree(speech.parent, tmp_path / "speech")
    sound = tmp_path / "speech" / "aa-1.wav"
    good = sound.read_bytes()
    sound.write_bytes(b"not a sound".ljust(len(good)))  # of the same size, so the listing is the same
    text = (tmp_path / "speech" / "speech.tsv").read_text().replace("sentence 3 in aa", "...")
    (tmp_path / "speech" / "speech.tsv").write_text(text)
    changed = dataclasses.replace(
        config, corpus=f"manifest:{tmp_path}/speech/speech.tsv", out=tmp_path / "out", languages=("aa",)
    )
    done = transcribe.run(changed)
    assert not done.complete
    assert list(done.failed) == ["aa s1.0"]
    assert "aa-1.wav" in done.failed["aa s1.0"]
    found, usual = rows(changed.out), [r for r in rows(config.out) if r["language"] == "aa"]
    assert [r["text"] for r in found if r["sentence"] == "s1"] == [None] * 4
    others = [(r["text"], r["tokens"]) for r in usual if r["sentence"] != "s1"]
    assert [(r["text"], r["tokens"]) for r in found if r["sentence"] != "s1"] == others
    assert [r["scored"] for r in found if r["sentence"] == "s3"] == [False] * 4
    summary = parquet.read_table(changed.out / "summary.parquet").to_pylist()
    counts = [summary[0][name] for name in ("utterances", "scored", "broken", "without_reference")]
    assert counts == [7, 5, 1, 1]
    again = transcribe.run(changed)
    assert (again.done, again.skipped, list(again.failed)) == (0, 7, ["aa s1.0"])
    sound.write_bytes(good)
    mended = transcribe.run(changed)
    assert (mended.done, mended.complete) == (7, True)
    texts = [r["text"] for r in usual]
    assert [r["text"] for r in rows(changed.out)] == texts


def test_from_a_store_the_decoder_sees_the_utterance_alone(config, whole, tmp_path):
    extract.run(
        extract.Config(
            corpus=config.corpus, model=config.model, revision=None, store=tmp_path / "store",
            languages=("aa",), states=("1", "2"), recordings="first", dtype="float32", long="truncate",
            rows_per_device=0, compute="auto", in_flight_mb=0, share=plan.Share(), dry_run=False,
            **({"compilation_cache": None} if "compilation_cache" in extract.Config.__annotations__ else {}),
        )
    )  # fmt: skip
    shutil.rmtree(tmp_path / "store" / "aa.zarr" / "states" / "c" / "2")
    activation_store.open_store(tmp_path / "store", "aa").note_failure(2, "aa-2.wav: broken")
    changed = dataclasses.replace(config, corpus=None, store=tmp_path / "store", out=tmp_path / "out")
    done = transcribe.run(changed)
    assert list(done.failed) == ["aa s2.0"]
    found = [r for r in rows(changed.out) if not r["problem"]]
    assert len(found) == 6 * len(LABELS)
    assert all(r["visible"] == r["frames"] for r in found)
    # An utterance as long as the window has no silence that a store could lose.
    names = ("utterance", "state", "exit_norm", "text")
    full = {tuple(r[name] for name in names) for r in found if r["frames"] == 100}
    assert len(full) == 2 * len(LABELS)
    assert full <= {tuple(r[name] for name in names) for r in rows(config.out)[:28]}
    filled = dataclasses.replace(changed, silence=True, out=tmp_path / "filled")
    transcribe.run(filled)
    heard = [r for r in rows(filled.out) if not r["problem"]]
    assert {r["visible"] for r in heard} == {100}
    assert full <= {tuple(r[name] for name in names) for r in heard}
    assert [r["text"] for r in heard] != [r["text"] for r in found]


def test_translation_into_another_language_with_detection(config, tmp_path, caplog):
    changed = dataclasses.replace(
        config, out=tmp_path, task="translate", language="detect", references="bb", languages=("aa", "cc"),
        states=("final",), stand_in=(),
    )  # fmt: skip
    done = transcribe.run(changed)
    assert done.complete
    found = rows(tmp_path)
    assert [r["reference"] for r in found[:2]] == ["sentence 0 in bb", "sentence 1 in bb"]
    assert {r["language_token_by"] for r in found} == {"detected"}
    assert {r["language_token"] for r in found} <= {"en", "kk", "fr"}
    assert all(1 / 3 <= r["language_probability"] <= 1 for r in found)
    [aa, _] = parquet.read_table(tmp_path / "summary.parquet").to_pylist()
    assert aa["primary"] == "bleu"
    assert aa["bleu_signature"].startswith("nrefs:1|")
    assert aa["chrf_signature"].startswith("nrefs:1|")
    assert 0 <= aa["chrf_low"] <= aa["chrf"] <= aa["chrf_high"] <= 100
    assert np.isnan(aa["wer"])
    assert not list(tmp_path.glob("*.png"))
    without = dataclasses.replace(changed, references=None, dry_run=True)
    transcribe.run(dataclasses.replace(without, out=tmp_path / "none"))
    assert "has no English" in caplog.text


def test_dry_run_writes_nothing(config, tmp_path):
    done = transcribe.run(dataclasses.replace(config, out=tmp_path / "out", dry_run=True))
    assert (done.plan["units"], done.plan["utterances"], done.plan["exits"]) == (3, 20, 4)
    assert done.plan["encoder_flops"] > 0
    assert done.plan["decoder_flops"] > 0
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"stand_in": ()}, "--stand_in=aa=LANGUAGE"),
        ({"stand_in": ("aa=xx",)}, "got 'xx'"),
        ({"states": ("0",)}, "1, 2, final"),
        ({"corpus": None}, "--corpus, or --store"),
        ({"task": "sing"}, "--task"),
        ({"early_stopping": "yes"}, "--early_stopping"),
        ({"references": "zz", "task": "translate"}, "'zz'"),
        ({"tokens_per_second": 0.0}, "--tokens_per_second"),
    ],
)
def test_nonsense_is_refused_before_anything_is_made(config, tmp_path, changed, words):
    with pytest.raises(ValueError, match=words):
        transcribe.run(dataclasses.replace(config, out=tmp_path / "out", **changed))
    assert not (tmp_path / "out").exists()


def test_units_are_blocks_of_one_language():
    class Source:
        states, apply_norm, languages, whole_window = ("1",), (False,), ("aa", "bb"), True

        def encoded(self, language, rows):
            raise AssertionError("no state is asked for")

        def identity(self, language):
            return {}

        def utterances(self, language):
            count = {"aa": 2 * size + 1, "bb": 3}[language]
            text = {"sentence": "s", "transcription": "t", "seconds": 1.0, "frames": 50, "truncated": False}
            return tuple(state_source.Spoken(row=row, name=str(row), **text) for row in range(count))

    size = hearing.BLOCK
    made = [(unit.name, len(unit.utterances)) for unit in hearing.units(Source())]
    assert made == [("aa.00000", size), ("aa.00001", size), ("aa.00002", 1), ("bb.00000", 3)]


def command(config, out):
    flags = [f"--corpus={config.corpus}", f"--model={config.model}", f"--out={out}", "--state=all"]
    flags += [f"--stand_in={','.join(STAND_INS)}", "--exit_norm=both", "--tokens_per_second=10"]
    return [sys.executable, "-m", "isogloss.jobs.transcribe", *flags]


def test_killed_and_run_again_as_a_real_process(config, tmp_path):
    """Killed with one part on disk, and while tables are written; twice a process runs to its end."""
    whole, out = tmp_path / "whole", tmp_path / "out"
    done = subprocess.run(command(config, whole), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["done"] == 20
    parts = {}
    for pattern, count in (("parts/[!.]*.parquet", 1), ("summary.csv", 1)):
        process = subprocess.Popen(command(config, out), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and len(list(out.glob(pattern))) < count:
            time.sleep(0.0005)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        after = {path: path.stat().st_mtime_ns for path in out.glob("parts/[!.]*.parquet")}
        assert parts.items() <= after.items(), "something done was lost or done again"
        parts = after
    (out / "summary.parquet").unlink(missing_ok=True)
    done = subprocess.run(command(config, out), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["skipped"] == 20
    assert contents(out) == contents(whole)
    names = [sorted(str(path.relative_to(root)) for path in root.rglob("*")) for root in (out, whole)]
    assert names[0] == names[1]  # no draft of a killed process, neither
