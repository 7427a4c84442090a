"""Shares of transcribe and align: what each process looks at, whose parts it waits for, and dry runs."""

import dataclasses

import pytest
from hub_stand_in import wav

from isogloss.engine.activations import extract
from isogloss.engine.alignment import align
from isogloss.engine.decoding import job
from isogloss.engine.decoding.utterance_blocks import BLOCK
from isogloss.engine.transcription import transcribe

RUN = {"transcribe": transcribe.run, "align": align.run}
LANGUAGES, SENTENCES, SHARDS = 18, BLOCK + 1, 4  # 36 units of 16 recordings or 1


@pytest.fixture(params=RUN)
def chosen(request, transcribed, aligned):
    """Function that runs a job, and its configuration."""
    return RUN[request.param], {"transcribe": transcribed, "align": aligned}[request.param][0]


def manifest(folder):
    sound = wav(3200)
    lines = ["language\tsentence\taudio\ttranscription"]
    for number in range(LANGUAGES):
        for sentence in range(SENTENCES):
            name = f"l{number:03}-{sentence}.wav"
            (folder / name).write_bytes(sound)
            lines.append(f"l{number:03}\t{sentence}\t{name}\ttext")
    (folder / "list.tsv").write_text("\n".join(lines) + "\n")
    return f"manifest:{folder}/list.tsv"


def test_a_process_looks_at_recordings_of_its_own_languages_only(chosen, tmp_path, monkeypatch, looked_at):
    run, config = chosen
    monkeypatch.setattr(job.job_cost, "time_here", lambda *given: {})
    monkeypatch.setattr(job.compile_cost, "seconds", lambda *given: 0.0)
    corpus = manifest(tmp_path)
    times = dict.fromkeys([f"l{number:03}" for number in range(LANGUAGES)], 0)
    for index in range(SHARDS):
        looked_at.clear()
        plan = run(
            dataclasses.replace(
                config, corpus=corpus, out=tmp_path / "out", stand_in=(), language="en", dry_run=True,
                shard_index=index, num_shards=SHARDS,
            )
        ).plan  # fmt: skip
        assert plan["units"] == 9
        own = {code for code, _ in looked_at}
        assert len(own) == 5
        # One look at the size, one opening for the header; a dry run decodes its share.
        assert sum(how == "stat" for _, how in looked_at) == len(own) * SENTENCES
        assert sum(how == "open" for _, how in looked_at) == len(own) * SENTENCES + plan["utterances"]
        for code in own:
            times[code] += 1
    assert set(times.values()) == {1, 2}


def test_a_language_of_another_process_that_has_changed_is_waited_for(aligned, tmp_path, speech, monkeypatch):
    """Of two shards the first has "aa", the second the rest; "cc" gets a sentence, then all parts differ."""
    run, config = align.run, aligned[0]
    text = speech.read_text().splitlines()
    for place, line in enumerate(text[1:], 1):
        language, sentence, sound, words = line.split("\t")
        text[place] = "\t".join((language, sentence, str(speech.parent / sound), words))
    file = tmp_path / "speech.tsv"
    file.write_text("\n".join(text) + "\n")
    first, second = (
        dataclasses.replace(
            config, corpus=f"manifest:{file}", out=tmp_path / "out", shard_index=index, num_shards=2
        )
        for index in (0, 1)
    )
    assert [run(first).waiting, run(second).waiting] == [2, 0]
    assert (run(first).skipped, run(first).waiting) == (7, 0)
    file.write_text(file.read_text() + f"cc\tnew\t{speech.parent}/cc-1.wav\tnew one\n")
    assert (run(first).skipped, run(first).waiting) == (7, 1)
    assert (run(second).done, run(second).waiting) == (7, 0)
    assert run(first).waiting == 0
    monkeypatch.setattr(align, "_LAYOUT", 99)
    assert (run(first).done, run(first).waiting) == (7, 2)


def test_a_dry_run_reports_what_a_run_reports(chosen, broken, tmp_path, monkeypatch):
    """Broken recordings of every kind, empty transcriptions, audio beyond the window, --long=skip."""
    monkeypatch.setattr(job.job_cost, "time_here", lambda *given: {})
    monkeypatch.setattr(job.compile_cost, "seconds", lambda *given: 0.0)
    run, config = chosen
    manifest, kinds = broken
    manifest.write_text(manifest.read_text().replace("sentence 3 in aa", " "))
    config = dataclasses.replace(
        config, corpus=f"manifest:{manifest}", out=tmp_path / "out", languages=("aa",)
    )
    dry = dataclasses.replace(config, dry_run=True)
    before, real, after = run(dry), run(config), run(dry)
    assert before.failed == real.failed == after.failed
    assert len(real.failed) == len(kinds) + (run is align.run)
    assert before.truncated == after.truncated == real.truncated == 2
    skipping = run(dataclasses.replace(dry, long="skip", out=tmp_path / "other"))
    assert (len(skipping.failed), skipping.truncated) == (len(real.failed), 0)
    with pytest.raises(ValueError, match="2 recordings of aa are longer than 2 s"):
        run(dataclasses.replace(dry, long="error", out=tmp_path / "other"))


def test_a_dry_run_from_a_store_reports_what_is_not_stored(chosen, broken, tmp_path, monkeypatch):
    monkeypatch.setattr(job.job_cost, "time_here", lambda *given: {})
    monkeypatch.setattr(job.compile_cost, "seconds", lambda *given: 0.0)
    run, config = chosen
    store = tmp_path / "store"
    given = {"corpus": f"manifest:{broken[0]}", "model": config.model, "store": store, "states": ("final",)}
    extract.run(extract.ExtractConfig(**given, languages=("aa",), num_shards=2, shard_index=0))
    config = dataclasses.replace(
        config, corpus=None, store=store, out=tmp_path / "out", languages=("aa",),
        states=("final",), exit_norm="true", stand_in=("aa=en",),
    )  # fmt: skip
    dry, real = run(dataclasses.replace(config, dry_run=True)), run(config)
    assert dry.failed == real.failed
    assert dry.truncated == real.truncated
    assert any("isn't extracted yet" in reason for reason in real.failed.values())
