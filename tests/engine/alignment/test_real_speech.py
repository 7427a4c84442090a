"""Transcripts and word times of real speech with the real base model, against openai-whisper's own.

Its model is built from our checkpoint's tensors; tokenizer, log-mel, encoder, decoder, attention, median
filter, time warping and punctuation are its own, and so is the number of frames (ours counts up, its down).
"""

import pathlib

import numpy as np
import pytest

from isogloss.engine.alignment import align
from isogloss.engine.alignment.word_splitting import APPENDED, PREPENDED
from isogloss.engine.checkpoints import openai_pickle
from isogloss.engine.checkpoints.checkpoint import load_checkpoint
from isogloss.engine.corpora import audio, corpus
from isogloss.engine.runtime import table_files
from isogloss.engine.transcription import transcribe

CACHE = pathlib.Path(__file__).parents[3] / ".cache"
MODEL, MANIFEST = CACHE / "whisper-base", CACHE / "demo" / "manifest.tsv"
COUNT, TOLERANCE = 3, 0.04  # utterances of a language; seconds

pytestmark = [
    pytest.mark.deep,
    pytest.mark.filterwarnings(  # its vocabulary file stays open
        "ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning"
    ),
]


@pytest.fixture(scope="module")
def whisper():
    if not (MODEL.is_dir() and MANIFEST.is_file()):
        pytest.skip("weights and speech aren't here; `make demo` fetches them")
    pytest.importorskip("torch")
    return pytest.importorskip("whisper", reason="openai-whisper isn't installed")


@pytest.fixture(scope="module")
def openai(whisper):
    """openai-whisper's model with our tensors and its own alignment heads for base."""
    torch, checkpoint = pytest.importorskip("torch"), load_checkpoint(str(MODEL))
    sizes = checkpoint.dimensions
    dims = whisper.model.ModelDimensions(
        n_mels=sizes.mels,
        n_audio_ctx=sizes.positions,
        n_audio_state=sizes.features,
        n_audio_head=sizes.heads,
        n_audio_layer=sizes.encoder_layers,
        n_vocab=sizes.vocabulary,
        n_text_ctx=sizes.text_positions,
        n_text_state=sizes.features,
        n_text_head=sizes.heads,
        n_text_layer=sizes.decoder_layers,
    )
    read = {name: torch.from_numpy(checkpoint.read(name)) for name in checkpoint.weights.tensors}
    tensors = {openai_pickle._openai_name(name): tensor for name, tensor in read.items()}
    model = whisper.model.Whisper(dims)
    model.load_state_dict(tensors, strict=True)
    model.set_alignment_heads(whisper._ALIGNMENT_HEADS["base"])
    return model.eval()


def openai_words(model, whisper, utterance):
    """(text, start, end, probability) of every word, as openai-whisper has them."""
    from whisper import timing  # noqa: PLC0415  (the module it is skipped without)

    tokenizer = whisper.tokenizer.get_tokenizer(True, language=utterance.language, task="transcribe")
    mel = whisper.log_mel_spectrogram(audio.decode(utterance.source), padding=whisper.audio.N_SAMPLES)
    frames = mel.shape[-1] - whisper.audio.N_FRAMES
    tokens = tokenizer.encode(" " + utterance.transcription)
    padded = whisper.pad_or_trim(mel, whisper.audio.N_FRAMES)
    found = timing.find_alignment(model, tokenizer, tokens, padded, frames)
    timing.merge_punctuations(found, PREPENDED, APPENDED)
    return [(word.word, word.start, word.end, word.probability) for word in found if word.word]


def compare(ours, theirs):
    """(errors of starts, errors of ends, errors of probability) in seconds; the words are the same."""
    assert [row["text"] for row in ours] == [word[0] for word in theirs]
    start, end, probability = (
        [row[key] - word[1 + place] for row, word in zip(ours, theirs, strict=True)]
        for place, key in enumerate(("start", "end", "probability"))
    )
    return start, end, probability


def some_speech(folder, first):
    """Options of a job that hears some utterances of each language; and these."""
    languages = corpus.open_corpus(f"manifest:{MANIFEST}")
    lines = MANIFEST.read_text("utf-8").splitlines()
    kept, chosen = [lines[0]], []
    for code in languages.languages():
        some = languages.listing(code).utterances[first : first + COUNT]
        chosen += some
        names = {utterance.name.rsplit(".", 1)[0] for utterance in some}
        kept += [line for line in lines[1:] if line.split("\t")[0] == code and names & set(line.split("\t"))]
    (folder / "audio").symlink_to(MANIFEST.parent / "audio")
    (folder / "some.tsv").write_text("\n".join(kept) + "\n", "utf-8")
    given = {"corpus": f"manifest:{folder}/some.tsv", "model": str(MODEL), "out": folder / "out"}
    return given | {"decoder_rows": COUNT}, chosen  # no rows that only fill a step


def openai_text(model, whisper, utterance):
    """Greedy text, without timestamps."""
    mel = whisper.log_mel_spectrogram(whisper.pad_or_trim(audio.decode(utterance.source)))
    options = whisper.DecodingOptions(language=utterance.language, without_timestamps=True, fp16=False)
    return whisper.decode(model, mel, options).text


def test_texts_equal_those_of_openai(tmp_path, openai, whisper):
    config, chosen = some_speech(tmp_path, 25)
    assert transcribe.run(transcribe.TranscribeConfig(**config)).complete
    rows = table_files.read_parquet(tmp_path / "out" / "transcripts.parquet").to_pylist()
    ours = {(row["language"], row["utterance"]): row["text"] for row in rows}
    theirs = {(u.language, u.name): openai_text(openai, whisper, u) for u in chosen}
    assert ours == theirs
    assert len(set(theirs.values())) == len(chosen) == 9


def test_words_begin_where_openai_has_them(tmp_path, openai, whisper):
    config, chosen = some_speech(tmp_path, 10)
    assert align.run(align.AlignConfig(**config)).complete
    rows = table_files.read_parquet(tmp_path / "out" / "words.parquet").to_pylist()
    errors, likely = [], []
    for utterance in chosen:
        ours = [r for r in rows if (r["language"], r["utterance"]) == (utterance.language, utterance.name)]
        start, _, probability = compare(ours, openai_words(openai, whisper, utterance))
        errors += [error for error, row in zip(start, ours, strict=True) if not row["tied"]]
        likely += probability
    assert len(errors) >= 2 * len(chosen)
    assert np.mean(np.abs(errors) <= TOLERANCE + 1e-9) >= 0.95
    assert np.max(np.abs(likely)) < 0.01
