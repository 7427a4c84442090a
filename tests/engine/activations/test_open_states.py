"""engine.state_source: the same states from recordings and from a store, and what has none."""

import concurrent.futures
import dataclasses
import shutil
import time

import numpy as np
import pytest
import safetensors.numpy
import soundfile

from isogloss.engine.activations import (
    activation_store,
    extract,
    open_states,
    state_source,
    stored_states,
)
from isogloss.engine.checkpoints.checkpoint import load_checkpoint
from isogloss.engine.runtime import zarr_group
from isogloss.engine.whisper import encoder_program

ALL = ("1", "2", "final")


@pytest.fixture(scope="module")
def extraction(tmp_path_factory, extract_config):
    config = extract_config(store=tmp_path_factory.mktemp("stored") / "store", languages=("aa", "cc"))
    assert extract.run(config).complete
    return config


def states(source, language, rows):
    return {made.row: made for made in source.encoded(language, rows)}


def test_recordings_and_store_list_the_same_utterances(checkpoint, extraction, speech):
    heard = open_states.open_audio(f"manifest:{speech}", checkpoint, ALL, languages=("aa", "cc"))
    stored = open_states.open_store(extraction.store, checkpoint, ALL)
    assert heard.languages == stored.languages == ("aa", "cc")
    for language in heard.languages:
        assert heard.utterances(language) == stored.utterances(language)
    assert [u.sentence for u in heard.utterances("cc")] == ["s0", "s1", "s2", "s3", "s5", "s6"]
    assert [u.truncated for u in heard.utterances("aa")] == [False] * 5 + [True] * 2
    assert heard.utterances("aa")[3].transcription == "sentence 3 in aa"
    assert heard.whole_window
    assert not stored.whole_window


def test_states_agree_on_the_frames_that_a_store_keeps(checkpoint, extraction, speech, sizes):
    """float16 rounds to 11 bits; what lies beyond an utterance's frames only the recording has."""
    rows = [6, 0, 3]
    heard = states(open_states.open_audio(f"manifest:{speech}", checkpoint, ALL), "aa", rows)
    source = open_states.open_store(extraction.store, checkpoint, ALL)
    stored = states(source, "aa", rows)
    assert list(heard) == list(stored) == rows
    for row in rows:
        frames = source.utterances("aa")[row].frames
        assert heard[row].states.shape == stored[row].states.shape == (3, sizes.positions, sizes.features)
        assert (heard[row].visible, stored[row].visible) == (sizes.positions, frames)
        assert np.isfinite(heard[row].states).all()
        assert np.isnan(stored[row].states[:, frames:]).all()
        expected = heard[row].states[:, :frames]
        np.testing.assert_allclose(stored[row].states[:, :frames], expected, rtol=2**-11, atol=2**-24)


def test_silence_fills_what_a_store_does_not_keep(checkpoint, extraction, sizes, tmp_path):
    rate, window = 16_000, sizes.positions * 320
    soundfile.write(tmp_path / "silent.wav", np.zeros(window), rate)
    (tmp_path / "m.tsv").write_text("language\tsentence\taudio\naa\ts\tsilent.wav\n")
    [silent] = open_states.open_audio(f"manifest:{tmp_path}/m.tsv", checkpoint, ALL).encoded("aa", [0])
    filled = open_states.open_store(extraction.store, checkpoint, ALL, silence=True)
    alone = open_states.open_store(extraction.store, checkpoint, ALL)
    assert filled.whole_window
    assert filled.identity("aa") != alone.identity("aa")
    for row, made in states(filled, "aa", [0, 6]).items():
        frames = filled.utterances("aa")[row].frames
        assert made.visible == sizes.positions
        np.testing.assert_array_equal(made.states[:, frames:], silent.states[:, frames:])
        np.testing.assert_array_equal(
            made.states[:, :frames], states(alone, "aa", [row])[row].states[:, :frames]
        )


def test_states_come_in_the_order_of_the_encoder_and_alone(checkpoint, speech):
    every = open_states.open_audio(f"manifest:{speech}", checkpoint, ("final", "1"))
    assert every.states == ("1", "final")
    assert every.apply_norm == (False, False)
    alone = open_states.open_audio(f"manifest:{speech}", checkpoint, ("final",))
    one, two = (states(source, "bb", [2])[2].states for source in (every, alone))
    np.testing.assert_array_equal(one[1:], two)


def test_final_is_made_of_the_last_block_where_a_store_lacks_it(checkpoint, extraction, tmp_path):
    config = dataclasses.replace(extraction, store=tmp_path / "last", states=("1", "2"), languages=("aa",))
    extract.run(config)
    source = open_states.open_store(config.store, checkpoint, ("2", "final"))
    assert source.apply_norm == (False, True)
    two, last = states(source, "aa", [1])[1].states
    np.testing.assert_array_equal(two, last)
    extract.run(dataclasses.replace(config, store=tmp_path / "two", states=("2",)))
    with pytest.raises(ValueError, match=r"aa\.zarr: holds no state 1, only 2"):
        open_states.open_store(tmp_path / "two", checkpoint, ("1", "2"))


def test_a_store_without_the_state_breaks_its_own_language_only(checkpoint, extraction, tmp_path):
    config = dataclasses.replace(extraction, store=tmp_path, states=("1", "2"), languages=("aa",))
    extract.run(config)
    extract.run(dataclasses.replace(config, states=("2",), languages=("bb",)))
    source = open_states.open_store(tmp_path, checkpoint, ("1", "2"))
    assert source.languages == ("aa", "bb")
    assert all(isinstance(made, state_source.Encoded) for made in states(source, "aa", [0, 1]).values())
    for broken in states(source, "bb", [0, 1]).values():
        assert isinstance(broken, state_source.Unusable)
        assert "bb.zarr: holds no state 1, only 2. Name those" in broken.reason


def test_broken_recordings_are_reported_and_the_rest_goes_on(checkpoint, speech, tmp_path):
    shutil.copytree(speech.parent, tmp_path / "speech")
    (tmp_path / "speech" / "aa-1.wav").write_text("not a sound")
    whole = (tmp_path / "speech" / "aa-2.wav").read_bytes()
    (tmp_path / "speech" / "aa-2.wav").write_bytes(whole[:-1000])
    corpus = f"manifest:{tmp_path}/speech/speech.tsv"
    source = open_states.open_audio(corpus, checkpoint, ("final",), long="skip")
    made = states(source, "aa", range(7))
    broken = {row: m for row, m in made.items() if isinstance(m, state_source.Unusable)}
    assert {row: m.asked_for for row, m in broken.items()} == {1: False, 2: False, 5: True, 6: True}
    assert "aa-1.wav" in broken[1].reason
    assert "truncated" in broken[2].reason
    assert np.isnan(source.utterances("aa")[1].seconds)


def test_what_a_store_lacks_is_reported_and_the_rest_goes_on(checkpoint, extraction, tmp_path):
    shutil.copytree(extraction.store, tmp_path / "store")
    (tmp_path / "store" / "aa.zarr" / "states" / "c.2.0.0.0").unlink()
    shard = tmp_path / "store" / "aa.zarr" / "states" / "c.4.0.0.0"
    shard.write_bytes(b"\0" * shard.stat().st_size)
    store = activation_store.open_store(tmp_path / "store", "aa")
    store.note_failure(2, "aa-2.wav: is broken")
    source = open_states.open_store(tmp_path / "store", checkpoint, ALL, languages=("aa",))
    made = states(source, "aa", [1, 2, 4, 5])
    assert isinstance(made[1], state_source.Encoded)
    assert isinstance(made[5], state_source.Encoded)
    assert made[2] == state_source.Unusable(row=2, reason="aa-2.wav: is broken")
    assert "s4.0: state 1 can't be read" in made[4].reason
    store.forget_failure(2)
    [kept] = source.encoded("aa", [2])
    assert kept == made[2]  # for the whole run
    [again] = open_states.open_store(tmp_path / "store", checkpoint, ALL, languages=("aa",)).encoded(
        "aa", [2]
    )
    assert "isn't extracted yet" in again.reason


def test_a_store_is_listed_once_a_run_and_again_by_the_next(checkpoint, extraction, tmp_path, monkeypatch):
    shutil.copytree(extraction.store, tmp_path / "store")
    shard = tmp_path / "store" / "aa.zarr" / "states" / "c.2.0.0.0"
    shard.rename(tmp_path / "shard")
    listings, list_chunks = [], zarr_group.Group.chunks_present

    def counted(*args):
        listings.append(args)
        return list_chunks(*args)

    monkeypatch.setattr(zarr_group.Group, "chunks_present", counted)
    for missing in ([2], []):
        source = open_states.open_store(tmp_path / "store", checkpoint, ALL, languages=("aa",))
        found = [made for row in range(7) for made in source.encoded("aa", [row])]
        assert [made.row for made in found if isinstance(made, state_source.Unusable)] == missing
        (tmp_path / "shard").exists() and (tmp_path / "shard").rename(shard)
    assert len(listings) == 2


def test_a_state_that_is_not_finite_is_broken(tmp_path, model_folder, speech):
    shutil.copytree(model_folder, tmp_path / "model")
    tensors = safetensors.numpy.load_file(tmp_path / "model" / "model.safetensors")
    tensors["encoder.layers.1.fc2.bias"][:] = 3e38
    safetensors.numpy.save_file(tensors, tmp_path / "model" / "model.safetensors")
    damaged = load_checkpoint(str(tmp_path / "model"))
    source = open_states.open_audio(f"manifest:{speech}", damaged, ALL)
    [made] = source.encoded("aa", [0])
    assert isinstance(made, state_source.Unusable)
    assert made.reason.startswith("aa-0.wav: state ")
    assert "1" not in made.reason.split(" isn't")[0].removeprefix("aa-0.wav: state ").split(", ")


def test_what_decides_the_states_is_named(checkpoint, extraction, speech):
    one = open_states.open_audio(f"manifest:{speech}", checkpoint, ("final",))
    other = open_states.open_audio(f"manifest:{speech}", checkpoint, ("final",), long="skip")
    assert one.identity("aa") != other.identity("aa")
    assert one.identity("aa") != one.identity("bb")
    stored = open_states.open_store(extraction.store, checkpoint, ("final",))
    assert stored.identity("aa")["settings"]["dtype"] == "float16"


@pytest.mark.parametrize("wanted", [("0",), ("3",), ("final", "final"), ()])
def test_states_that_cannot_enter_are_refused(checkpoint, speech, wanted):
    with pytest.raises(ValueError, match="1, 2, final, each once"):
        open_states.open_audio(f"manifest:{speech}", checkpoint, wanted)


def test_a_language_that_the_corpus_lacks_is_refused(checkpoint, speech):
    with pytest.raises(
        ValueError, match=r"--corpus=manifest:.* has no language 'xx'\. There are: aa, bb, cc"
    ):
        open_states.open_audio(f"manifest:{speech}", checkpoint, ["final"], languages=["aa", "xx"])


def test_a_store_of_another_model_or_none_is_refused(other_model_folder, checkpoint, extraction, tmp_path):
    other = load_checkpoint(str(other_model_folder))
    with pytest.raises(ValueError, match=r"whisper-nano.*whisper-other"):
        open_states.open_store(extraction.store, other, ALL)
    with pytest.raises(ValueError, match="there is no activation store"):
        open_states.open_store(tmp_path, checkpoint, ALL)
    with pytest.raises(ValueError, match="'zz' isn't extracted"):
        open_states.open_store(extraction.store, checkpoint, ALL, languages=("zz",))


@pytest.mark.parametrize("stored", [False, True])
def test_what_two_threads_need_at_once_is_made_once(stored, checkpoint, extraction, speech, monkeypatch):
    """The encoder, which also hears the silence, and the list of a store's shards.

    Before Python 3.12 `cached_property` has a lock of its own: there only the store's part can fail.
    """
    made = []

    def slow(what, make):
        def making(*given, **options):
            made.append(what)
            time.sleep(0.2)  # long enough for the other thread to ask, too
            return make(*given, **options)

        return making

    monkeypatch.setattr(encoder_program, "load", slow("encoder", encoder_program.load))
    monkeypatch.setattr(stored_states, "_listed", slow("list", stored_states._listed))
    if stored:
        source = open_states.open_store(extraction.store, checkpoint, ("final",), silence=True)
    else:
        source = open_states.open_audio(f"manifest:{speech}", checkpoint, ("final",))
    source.utterances("aa")
    with concurrent.futures.ThreadPoolExecutor(2) as threads:
        first, second = threads.map(lambda row: states(source, "aa", [row]), [0, 2])
    assert made == (["list", "encoder"] if stored else ["encoder"])
    assert {**first, **second}.keys() == {0, 2}
