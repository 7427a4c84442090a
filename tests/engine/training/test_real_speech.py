"""A real run: base learns to write Spanish of the demo's English prompts, and French ones follow."""

import pathlib

import pytest
from pyarrow import parquet

from isogloss.engine.activations import extract
from isogloss.engine.training import tune
from isogloss.engine.training.tune_config import TuneConfig
from isogloss.engine.transcription import bleu_chrf, transcribe

CACHE = pathlib.Path(__file__).parents[3] / ".cache"
MODEL, MANIFEST = CACHE / "whisper-base", CACHE / "demo" / "manifest.tsv"


def chrf_of_french(model, store, out, held_out):
    """ChrF of Spanish texts of held-out French prompts."""
    config = transcribe.TranscribeConfig(
        store=store,
        model=str(model),
        out=out,
        task="translate",
        language="es",
        references="es",
        languages=("fr",),
    )
    assert transcribe.run(config).complete
    rows = parquet.read_table(out / "transcripts.parquet").to_pylist()
    chosen = [row for row in rows if row["sentence"] in held_out and row["scored"]]
    return bleu_chrf.corpus_chrf([row["text"] for row in chosen], [row["reference"] for row in chosen])


@pytest.mark.deep
@pytest.mark.timeout(5400)
@pytest.mark.skipif(not (MODEL.is_dir() and MANIFEST.is_file()), reason="needs the demo's files: make demo")
def test_base_learns_spanish_of_english_and_of_french(tmp_path):
    store = tmp_path / "store"
    extract.run(
        extract.ExtractConfig(corpus=f"manifest:{MANIFEST}", model=str(MODEL), store=store, states=("final",))
    )
    summary = tune.run(
        TuneConfig(
            store=store, model=str(MODEL), source="en", target="es", out=tmp_path / "tuned", steps=30,
            window=448, learning_rate=5e-5, dev_share=0.2,
        )
    )  # fmt: skip
    assert summary.dev_loss < 0.7 * summary.dev_loss_before
    held_out = set((tmp_path / "tuned" / "held_out.txt").read_text().split())
    before = chrf_of_french(MODEL, store, tmp_path / "before", held_out)
    after = chrf_of_french(tmp_path / "tuned", store, tmp_path / "after", held_out)
    assert after > before + 5
