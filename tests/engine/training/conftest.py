"""A store of two languages that a model of bytes made, and runs of tune on it."""

import dataclasses

import pytest
import soundfile
from pyarrow import parquet

from isogloss.engine.runtime import options


@pytest.fixture(scope="session")
def taught_speech(tmp_path_factory, speech):
    """Function from a share to a manifest of "en" and "fr", seven parallel sentences: `sentence 3 in fr`.

    The share is how much of each recording is kept: of 0.8 all end within the model's window of 2 s, of 1
    sentences 5 and 6 don't.
    """

    def make(share):
        folder = tmp_path_factory.mktemp("taught_speech")
        lines = ["language\tsentence\taudio\ttranscription"]
        for code, language in (("aa", "en"), ("bb", "fr")):
            for i in range(7):
                wave, rate = soundfile.read(speech.with_name(f"{code}-{i}.wav"))
                soundfile.write(folder / f"{language}-{i}.wav", wave[: int(share * len(wave))], rate)
                lines.append(f"{language}\ts{i}\t{language}-{i}.wav\tsentence {i} in {language}")
        manifest = folder / "taught.tsv"
        manifest.write_text("\n".join(lines) + "\n")
        return manifest

    return make


@pytest.fixture(scope="session")
def taught_store(tmp_path_factory, taught_speech, reader):
    """Store of those sentences, whole."""
    from isogloss.engine.activations import extract  # noqa: PLC0415 seconds that few modules need

    store = tmp_path_factory.mktemp("taught") / "store"
    extract.run(
        extract.ExtractConfig(
            corpus=f"manifest:{taught_speech(0.8)}",
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

    def configure(out, **given):
        usual = {
            "source": "en",
            "target": "fr",
            "learning_rate": 3e-3,
            "steps": 12,
            "batch": 4,
            "dev_share": 0.3,
            "checkpoint_steps": 4,
        }
        return TuneConfig(store=taught_store, model=str(reader), out=out, **(usual | given))

    return configure


@pytest.fixture(scope="session")
def tuned(tmp_path_factory, tuning):
    """Configuration and summary of an undisturbed run; tests only read what it wrote."""
    from isogloss.engine.training import tune  # noqa: PLC0415 as above

    config = tuning(tmp_path_factory.mktemp("tuned") / "out", average=("0", "0.5"))
    return config, tune.run(config)


@pytest.fixture
def process(job, monkeypatch):
    """Function from a configuration to its run as a process of its own."""
    monkeypatch.setenv("JAX_NUM_CPU_DEVICES", "8")

    def of(config):
        flags = []
        for each in options.options(config):
            value = getattr(config, each.name)
            if value != each.default:
                flags.append(f"--{each.name}={','.join(value) if isinstance(value, tuple) else value}")
        return job("tune", *flags)

    return of


@pytest.fixture
def goes_on(files):
    """Function that goes on with a run killed at its first checkpoint, to the bytes of a whole run."""
    from isogloss.engine.training import tune  # noqa: PLC0415 as above

    def check(config, whole, *names):
        summary = tune.run(config)
        assert summary.skipped in (4, 8)
        assert summary.done == 12 - summary.skipped
        left, right = (files(folder) for folder in (config.out, whole))
        for name in ("model.safetensors", "steps.parquet", *names):
            assert left[name] == right[name], name

    return check


@pytest.fixture(scope="session")
def course():
    """Function from OUT to the rows of steps.parquet."""
    return lambda out: parquet.read_table(out / "steps.parquet").to_pylist()


@pytest.fixture(scope="session")
def changed():
    """Function from a configuration and options to another configuration."""
    return dataclasses.replace
