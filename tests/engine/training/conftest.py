"""A store of two languages that a model of bytes made, and runs of tune on it."""

import dataclasses

import pytest
from pyarrow import parquet


@pytest.fixture(scope="session")
def taught_store(tmp_path_factory, speech, reader):
    """Store of "en" and "fr", seven parallel sentences of tones: `sentence 3 in fr`."""
    from isogloss.engine.activations import extract  # noqa: PLC0415 seconds that few modules need

    head, *lines = speech.read_text().splitlines()
    for code, language in (("aa", "en"), ("bb", "fr")):
        lines = [
            line.replace(f"{code}\t", f"{language}\t", 1).replace(f"in {code}", f"in {language}")
            for line in lines
        ]
    manifest = speech.with_name("taught.tsv")
    manifest.write_text("\n".join([head, *(line for line in lines if not line.startswith("cc"))]) + "\n")
    store = tmp_path_factory.mktemp("taught") / "store"
    extract.run(
        extract.ExtractConfig(
            corpus=f"manifest:{manifest}",
            model=str(reader),
            store=store,
            states=("1", "final"),
            rows_per_device=2,
        )
    )
    return store


@pytest.fixture(scope="session")
def tuning(taught_store, reader):
    """Function from OUT and options to a configuration that teaches English speech French texts."""
    from isogloss.engine.training.tune_config import TuneConfig  # noqa: PLC0415 as above

    def configure(out, **options):
        usual = {
            "source": "en",
            "target": "fr",
            "learning_rate": 3e-3,
            "steps": 12,
            "batch": 4,
            "dev_share": 0.3,
            "checkpoint_steps": 4,
        }
        return TuneConfig(store=taught_store, model=str(reader), out=out, **(usual | options))

    return configure


@pytest.fixture(scope="session")
def tuned(tmp_path_factory, tuning):
    """Configuration and summary of an undisturbed run; tests only read what it wrote."""
    from isogloss.engine.training import tune  # noqa: PLC0415 as above

    config = tuning(tmp_path_factory.mktemp("tuned") / "out", average=("0", "0.5"))
    return config, tune.run(config)


@pytest.fixture(scope="session")
def course():
    """Function from OUT to the rows of steps.parquet."""
    return lambda out: parquet.read_table(out / "steps.parquet").to_pylist()


@pytest.fixture(scope="session")
def changed():
    """Function from a configuration and options to another configuration."""
    return dataclasses.replace
