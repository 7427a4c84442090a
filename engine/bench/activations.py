"""Activation stores of random states, for the benchmarks of stores and of the grid.

A listing whose recordings exist by name only, lengths like FLEURS's, one shared bank of normal states that
every utterance takes its own stretch of: making a store costs little more than writing it.
"""

import pathlib
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int32

from isogloss.engine.activations import activation_store
from isogloss.engine.activations.activation_store import Identity, LanguageStore
from isogloss.engine.bench import data
from isogloss.engine.corpora import audio, listing
from isogloss.engine.time_axis import TimeAxis
from isogloss.engine.whisper import encoder_program

POSITIONS = encoder_program.WINDOW_FRAMES


def create(
    root: pathlib.Path,
    language: str,
    frames: Int32[np.ndarray, " U"],
    states: tuple[str, ...],
    features: int,
    positions: int = POSITIONS,
    neurons: tuple[int, int] | None = None,
) -> LanguageStore:
    """An empty store of one language, float16, utterance u standing for sentence u."""
    utterances = tuple(
        listing.Utterance(
            name=f"{u}.0",
            language=language,
            sentence=str(u),
            rank=0,
            transcription="",
            gender="",
            source=audio.FileSource.at(root / f"{language}-{u}.wav", f"{u}.wav"),
        )
        for u in range(len(frames))
    )
    return activation_store.create(
        root,
        listing.Listing(corpus="random", language=language, utterances=utterances),
        [int(n) * encoder_program.SAMPLES_PER_FRAME for n in frames],
        [int(n) for n in frames],
        states=states,
        axis=TimeAxis(samples_per_frame=encoder_program.SAMPLES_PER_FRAME, window_frames=positions),
        features=features,
        neurons=neurons,
        identity=Identity(
            model="random",
            weights_sha256="0",
            corpus="random",
            corpus_sha256="0",
            settings={"dtype": "float16", "states": list(states)},
            flags={},
        ),
    )


def write(store: LanguageStore, utterances: Sequence[Float[np.ndarray, "S N D"]]) -> None:
    """Write all utterances of a store, and wait until they are on disk."""
    # All are started before the first is waited for: TensorStore writes in threads of its own.
    for pending in [store.write(u, states) for u, states in enumerate(utterances)]:
        pending.result()


def random_states(
    frames: Int32[np.ndarray, " U"], states: int, features: int, seed: int
) -> list[Float[np.ndarray, "S N D"]]:
    """Whole windows of every utterance, NaN beyond its frames."""
    random = data.rng(seed)
    # Drawing normal numbers for every utterance would take longer than writing them.
    bank = random.standard_normal((states, 2 * POSITIONS, features), np.float32).astype(np.float16)
    found = []
    for length in frames:
        start = int(random.integers(POSITIONS))
        window = bank[:, start : start + POSITIONS].copy()
        # As the encoder's states are cut before they are stored; chunks of only NaN aren't written.
        window[:, length:] = np.nan
        found.append(window)
    return found
