"""Benchmark of extraction: recordings on disk in, shards of every state on disk out.

Against the encoder alone on as many windows, whose log-mel is in memory already. Lengths are like FLEURS's,
but an encoder looks at 30 s whatever a recording's length, so a window is the unit of work. The model is
loaded and compiled beforehand: that costs a run seconds once, not a share of its time. The same with neurons
stands beside it.
"""

import functools
import itertools
import pathlib
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np
import soundfile
from flax import nnx
from jaxtyping import Float32, Int32

from isogloss.engine.activations import pipeline
from isogloss.engine.activations.activation_store import LanguageStore
from isogloss.engine.bench import activations, data, encoder as bench_encoder, oracle
from isogloss.engine.bench.setting import BenchSetting, Planned
from isogloss.engine.bench.timing import Case, Check, TimedTask
from isogloss.engine.checkpoints.dimensions import Dimensions
from isogloss.engine.corpora import audio
from isogloss.engine.corpora.listing import Utterance
from isogloss.engine.runtime import temporary
from isogloss.engine.runtime.devices import DataParallel, Replicas, memory
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.whisper import encoder_program, named_states, parameters
from isogloss.engine.whisper.encoder_model import WindowEncoder

PEERS = ()
_UNIT = "windows/s"


def cases(setting: BenchSetting) -> list[Planned]:
    """Base; on an accelerator also large-v2."""
    if setting.quick:
        models = {"nano": bench_encoder.dimensions(16, 2, 2, positions=100)}
    else:
        names = ("base",) if setting.device == "cpu" else ("base", "large-v2")
        models = {name: bench_encoder.dimensions(*bench_encoder.SIZES[name]) for name in names}
    planned = []
    for name, sizes in models.items():
        rows = encoder_program.rows_per_device(setting.device, sizes, memory())
        count = 2 if setting.quick else 4 if setting.device == "cpu" else 16 * rows
        title = f"{name}, all states, {count} recordings, {rows} a step"
        build = functools.partial(_case, setting, title, sizes, count, rows)
        planned.append(Planned(title=title, build=build))
    return planned


class _Recordings:
    """Noise as 16-bit files, and a fresh store of them for every run."""

    def __init__(self, root: pathlib.Path, sizes: Dimensions, count: int, *, neurons: bool) -> None:
        frames = data.fleurs_frames(count, data.rng(6))
        self.frames: Int32[np.ndarray, " U"] = np.maximum(
            1, frames * sizes.positions // encoder_program.WINDOW_FRAMES
        )
        self.states = named_states.state_names(sizes.encoder_layers)
        self._root, self._sizes, self._turn = root, sizes, itertools.count()
        self._neurons = encoder_program.neuron_sizes(sizes) if neurons else None
        root.mkdir()
        self.store = self.renew()

    def renew(self) -> LanguageStore:
        """Recordings and an empty store in a place of their own."""
        # A new folder for every call, so that none finds what another has written.
        root = self._root / str(next(self._turn))
        root.mkdir()
        self._recordings = root
        for u, frames in enumerate(self.frames):
            samples = int(frames) * encoder_program.SAMPLES_PER_FRAME
            wave = 0.1 * data.rng(60 + u).standard_normal(samples, np.float32)
            soundfile.write(root / f"xx-{u}.wav", wave, audio.SAMPLE_RATE, subtype="PCM_16")
        given = self.frames, self.states, self._sizes.features, self._sizes.positions
        self.store = activations.create(root, "xx", *given, neurons=self._neurons)
        return self.store

    def wave(self, u: int) -> pathlib.Path:
        """File of a recording."""
        return self._recordings / f"xx-{u}.wav"

    def units(self) -> Iterator[pipeline.PendingUtterance]:
        """Utterances for the pipeline."""
        for u, frames in enumerate(self.frames.tolist()):
            utterance = Utterance(
                name=f"{u}.0",
                language="xx",
                sentence=str(u),
                rank=0,
                transcription="",
                gender="",
                source=audio.FileSource.at(self.wave(u), f"{u}.wav"),
            )
            yield pipeline.PendingUtterance(store=self.store, row=u, frames=frames, utterance=utterance)


def _case(setting: BenchSetting, title: str, sizes: Dimensions, count: int, rows: int) -> Case:
    folder = temporary.Folder("isogloss-bench-")
    tensors = bench_encoder.random_tensors(sizes)
    precision = encoder_program.precision_for(setting.device)
    compute = jnp.dtype(precision.compute)
    graph, shapes = parameters.build(sizes, dtype=compute, form=precision.attention)
    loaded = parameters.load(shapes, tensors.__getitem__, sizes.encoder_layers)
    weights = parameters.cast(loaded, compute)

    made = {}
    for neurons in (False, True):
        recordings = _Recordings(pathlib.Path(folder.name) / str(neurons), sizes, count, neurons=neurons)
        program = encoder_program.program(
            sizes, graph, recordings.states, "float16", bench_encoder.filters(sizes), with_neurons=neurons
        )
        stream = DataParallel(program, Replicas(weights, devices=1), rows_per_device=rows)
        made[neurons] = recordings, functools.partial(_extract, recordings, stream, sizes, rows)

    # The encoder with nothing around it, from a log-mel in memory: what is missing to its speed is overhead.
    alone = jax.jit(lambda weights, mel: nnx.merge(graph, weights)(mel))
    mel = jnp.asarray(data.rng(4).standard_normal((rows, 2 * sizes.positions, sizes.mels), np.float32))

    def encode_alone() -> None:
        for _ in range(0, count, rows):
            jax.block_until_ready(alone(weights, mel))

    def check(recordings: _Recordings, result: object) -> Check:
        assert isinstance(result, LanguageStore)
        return _check(recordings, result, tensors, sizes, precision.compute)

    work = {"work": float(count), "unit": _UNIT, "effort": count * encoder_program.flops(sizes) / 1e9}
    tasks = [
        TimedTask(
            name="extract with neurons" if neurons else "extract, end to end",
            call=call,
            prepare=recordings.renew,
            check=functools.partial(check, recordings),
            **work,
        )
        for neurons, (recordings, call) in made.items()
    ]
    other = TimedTask(name="encoder alone", call=encode_alone, **work)
    return Case(title=title, tasks=(*tasks, other), yardstick=setting.product, folder=folder)


def _extract(recordings: _Recordings, stream: DataParallel, sizes: Dimensions, rows: int) -> LanguageStore:
    """The store, after all recordings went through the pipeline."""
    window = encoder_program.time_axis(sizes).window_samples
    pipeline.Pipeline(
        WindowEncoder(stream, window),
        samples=window,
        states=recordings.states,
        largest=float(np.finfo(np.float16).max),
        stored=lambda: None,
        # As the job has them: two steps of recordings decoded ahead, one step of states being written.
        limits=pipeline.Limits(rows_ahead=max(4, 2 * rows), rows_writing=max(4, rows), threads=4),
        done=lambda unit: None,
        failed=_refuse,
    ).run(recordings.units())
    return recordings.store


def _refuse(unit: pipeline.PendingUtterance, reason: str) -> None:
    raise Refusal(f"{unit.name} could not be extracted: {reason}")


def _check(
    recordings: _Recordings,
    store: LanguageStore,
    tensors: dict[str, Float32[np.ndarray, "..."]],
    sizes: Dimensions,
    compute: str,
) -> Check:
    """Error of the shortest recording's states as stored, from the file on, of the worst state.

    The bound is the encoder's plus half a unit in the last place of float16, 2**-11 of a number.
    """
    u = int(np.argmin(recordings.frames))  # a float64 encoder takes seconds, so one recording is checked
    window = np.zeros(encoder_program.time_axis(sizes).window_samples, np.float32)
    sound, _ = soundfile.read(recordings.wave(u), dtype="float32")
    window[: len(sound)] = sound
    mel = oracle.log_mel(window, bench_encoder.filters(sizes))
    used = slice(0, int(recordings.frames[u]))
    expected = oracle.encoder_states(tensors, sizes, mel)[:, used]
    found = np.stack([store.read(state, [u])[0] for state in recordings.states]).astype(np.float64)
    check = bench_encoder.check_states(found, expected, sizes, compute)
    return Check(error=check.error, bound=check.bound + 2.0**-11)
