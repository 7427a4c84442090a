"""Where a decoder's input comes from: recordings through the encoder, or activation stores.

Both list utterances before anything is computed and give float32 states row by row, in bounded memory. One
pass of the encoder gives all states asked for. A recording is seen with its whole window, silence included,
as Whisper was trained; a store keeps an utterance's own frames only, the rest may be filled with silence.
Memory: a step's states, states * positions * features * 4 bytes a row (large-v2: 8 MB a state).
"""

import functools
import pathlib
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Float32

from isogloss.engine.activations import activation_store, state_source
from isogloss.engine.activations.activation_store import LanguageStore
from isogloss.engine.activations.recorded_states import Recorded
from isogloss.engine.activations.state_source import Encoded, ListedUtterance, StateSource, Unusable
from isogloss.engine.activations.stored_states import Stored
from isogloss.engine.checkpoints.checkpoint import Checkpoint
from isogloss.engine.corpora import corpus, durations
from isogloss.engine.runtime.devices import memory
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.whisper import encoder_program

__all__ = ["Encoded", "ListedUtterance", "StateSource", "Unusable", "open_audio", "open_store"]


def open_audio(
    spec: str,
    checkpoint: Checkpoint,
    states: Sequence[str],
    *,
    languages: Sequence[str] = (),
    recordings: str = "first",
    long: str = "truncate",
    compute: str = "auto",
    rows_per_device: int = 0,
    devices: int | None = None,
) -> StateSource:
    """Source of the recordings that `--corpus=spec` names; nothing is decoded, no weight is read.

    Args:
      spec: see `corpus.open_corpus`.
      checkpoint: whose encoder is run.
      states: names among "1" .. "final"; `Source.states` has them in the order of the encoder.
      languages: codes; all of the corpus by default.
      recordings: "first" or "all" of a sentence.
      long: what happens to recordings beyond the window, one of durations.LONG.
      compute: "auto", "float32" or "bfloat16".
      rows_per_device: of an encoder's step; 0 is the platform's usual number.
      devices: how many of this host's; all by default.

    Raises:
      Refusal: nonsense in any of them.
    """
    layers = checkpoint.dimensions.encoder_layers
    state_source.check_states(states, layers)
    if long not in durations.LONG:
        raise Refusal(f"--long must be one of {durations.LONG}, got {long!r}")
    opened = corpus.open_corpus(spec)
    wanted = tuple(languages) or opened.languages()
    _check_once(wanted)
    platform = jax.default_backend()
    return Recorded(
        checkpoint=checkpoint,
        states=state_source.in_order(states, layers),
        listings={language: opened.listing(language, recordings) for language in wanted},
        long=long,
        precision=encoder_program.precision_for(platform, compute),
        rows_per_device=rows_per_device
        or encoder_program.rows_per_device(platform, checkpoint.dimensions, memory()),
        devices=devices,
    )


def _check_once(languages: Sequence[str]) -> None:
    if len(set(languages)) < len(languages):
        raise Refusal(f"--languages names a language twice: {','.join(languages)}")


def open_store(
    root: pathlib.Path,
    checkpoint: Checkpoint,
    states: Sequence[str],
    *,
    languages: Sequence[str] = (),
    silence: bool = False,
    compute: str = "auto",
) -> StateSource:
    """Source of the activation stores under `root`; no state is read yet.

    "final" out of a store that lacks it is made of the last block's output, see `Source.apply_norm`.

    Args:
      root: folder of all languages' stores.
      checkpoint: the model whose encoder made them.
      states: names among "1" .. "final".
      languages: codes; all that are there by default.
      silence: fill the window with the states of silence, see `stored_states`; the encoder runs once.
      compute: of that run, "auto", "float32" or "bfloat16".

    Raises:
      Refusal: no store, one of another model, or none with the states that are asked for; where only some
        lack one, their utterances are broken.
    """
    layers = checkpoint.dimensions.encoder_layers
    state_source.check_states(states, layers)
    wanted = tuple(languages) or activation_store.languages(root)
    if not wanted:
        raise Refusal(f"{root}: there is no activation store; run isogloss.jobs.extract first")
    _check_once(wanted)
    stores = {language: activation_store.open_store(root, language) for language in wanted}
    ordered = state_source.in_order(states, layers)
    for store in stores.values():
        _check_model(store, checkpoint)
    lacking = {language: why for language, store in stores.items() if (why := _lacks(store, ordered, layers))}
    if len(lacking) == len(stores):
        raise Refusal(next(iter(lacking.values())))
    chosen = {_taken(store, ordered, layers) for code, store in stores.items() if code not in lacking}
    if len(chosen) > 1:
        held = "; ".join(f"{language} {','.join(store.states)}" for language, store in stores.items())
        raise Refusal(f"{root}: languages hold different states ({held}); name some by --languages")
    [taken] = chosen
    precision = encoder_program.precision_for(jax.default_backend(), compute)
    return Stored(
        stores=stores,
        states=ordered,
        taken=taken,
        lacking=lacking,
        positions=checkpoint.dimensions.positions,
        silence=functools.cache(lambda: _silence(checkpoint, taken, precision)) if silence else None,
        silence_by=f"{precision.compute} {precision.attention}" if silence else "",
    )


def _silence(
    checkpoint: Checkpoint, states: Sequence[str], precision: encoder_program.Precision
) -> Float32[np.ndarray, "S N D"]:
    """States of a recording of zeros as long as the window."""
    run = encoder_program.load(checkpoint, states, "float32", precision, rows_per_device=1, devices=1)
    wave = np.zeros((1, encoder_program.window_samples(checkpoint.dimensions)), np.float32)
    [(made, _)] = run.rows(run(wave, np.asarray([checkpoint.dimensions.positions], np.int32)), 1)
    return made


def _check_model(store: LanguageStore, checkpoint: Checkpoint) -> None:
    """Refuse a store of another model; Refusal."""
    made_by = store.attributes["weights_sha256"]
    if made_by != checkpoint.sha256:
        raise Refusal(
            f"{store.path}: made with weights {made_by} ({store.attributes['model']}), asked for are "
            f"{checkpoint.sha256} ({checkpoint.name}). Name the --model that the store was made with"
        )


def _taken(store: LanguageStore, states: Sequence[str], layers: int) -> tuple[str, ...]:
    """The state of a store behind each that is asked for."""
    last = str(layers)
    return tuple(
        last if s == state_source.FINAL and state_source.FINAL not in store.states else s for s in states
    )


def _lacks(store: LanguageStore, states: Sequence[str], layers: int) -> str:
    """Why a store can't give all of the states; "" if it can."""
    taken = _taken(store, states, layers)
    missing = [s for s, t in zip(states, taken, strict=True) if t not in store.states]
    if not missing:
        return ""
    return (
        f"{store.path}: holds no state {', '.join(missing)}, it holds {', '.join(store.states)}. "
        "Ask for those, or run extract with more --states into another store"
    )
