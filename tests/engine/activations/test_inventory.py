"""engine.activations.inventory: what a dry run says of recordings that aren't fetched yet."""

import pytest
from hub_stand_in import wav

from isogloss.engine.activations import activation_store, inventory, settings
from isogloss.engine.checkpoints import stored_tensors
from isogloss.engine.checkpoints.checkpoint import Checkpoint
from isogloss.engine.checkpoints.dimensions import Dimensions
from isogloss.engine.corpora.listing import Listing, Utterance
from isogloss.engine.corpora.stored_files import HubFiles, StoredSource
from isogloss.engine.whisper import encoder_program
from isogloss.engine.whisper.encoder_model import WhisperEncoder

SECONDS = 12
SIZES = {"high.wav": 44 + SECONDS * 48_000 * 2, "short.wav": 60}  # 36 s and no frame, by 16 bits at 16 kHz
HUB = HubFiles("o/speech", "a" * 40)


@pytest.fixture
def files(tmp_path, monkeypatch):
    """Two files on the hub that nobody may fetch, and a long one that is in the cache."""
    (tmp_path / "long.wav").write_bytes(wav(31 * 16_000))
    fetched = []

    def path(self, file):
        if file in SIZES:
            fetched.append(file)
        return tmp_path / file

    monkeypatch.setattr(HubFiles, "path", path)
    monkeypatch.setattr(HubFiles, "require", lambda self, file: None)
    monkeypatch.setattr(HubFiles, "missing", lambda self, files: {f: SIZES[f] for f in files if f in SIZES})
    return fetched


def surveyed(names, long):
    sources = [StoredSource(name=name, size=None, promised=None, files=HUB, file=name) for name in names]
    utterances = tuple(
        Utterance(
            name=source.name,
            language="fr",
            sentence=source.name,
            rank=0,
            transcription="",
            gender="",
            source=source,
        )
        for source in sources
    )
    size = Dimensions(
        mels=80,
        features=8,
        heads=2,
        encoder_layers=1,
        decoder_layers=1,
        positions=1500,
        text_positions=8,
        vocabulary=9,
        ffn=8,
    )
    weights = stored_tensors.Weights(dimensions=size, tensors={}, files=())
    chosen = settings.ExtractionSettings(
        encoder=WhisperEncoder(
            checkpoint=Checkpoint(name="sized", weights=weights),
            precision=encoder_program.precision_for("cpu"),
            rows_per_device=1,
        ),
        states=("0",),
        dtype="float16",
        recordings="all",
        long=long,
    )
    identity = activation_store.Identity(
        model="sized", weights_sha256="", corpus="", corpus_sha256="", settings={}, flags={}
    )
    listing = Listing(corpus="hub:o/speech", language="fr", utterances=utterances)
    rows = range(len(names))
    found = inventory.survey(None, listing, rows, identity, chosen, redo_changed=False, estimate=True)
    return found, inventory.forecast([found], chosen.axis)


@pytest.mark.parametrize("long", ["error", "skip", "truncate"])
def test_no_recording_is_judged_by_an_estimate(files, long):
    found, told = surveyed(list(SIZES), long)
    assert found.guessed == 2
    assert found.frames == (1500, 1)
    assert (told.left_out, told.truncated, told.failed) == (0, 0, {})
    assert not files


def test_known_lengths_are_judged_beside_estimates(files):
    names = ["high.wav", "long.wav"]
    found, told = surveyed(names, "skip")
    assert (found.guessed, found.frames) == (1, (1500, 0))
    assert told.left_out == 1
    with pytest.raises(ValueError, match=r"1 recordings of fr are longer than 30 s: long\.wav"):
        surveyed(names, "error")
    assert not files
