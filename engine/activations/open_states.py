"""Sources of a decoder's input: recordings through the encoder, or activation stores.

Both list utterances before anything is computed and return float32 states row by row, in bounded memory. One
pass of the encoder computes all requested states. Of a recording the decoder sees the whole window, silence
included, as Whisper was trained; a store has an utterance's own frames only, and silence may fill the rest.
Memory: states of one step, states * positions * features * 4 bytes a row (large-v2: 8 MB a state).
"""

import functools
from collections.abc import Mapping, Sequence

import jax
import numpy as np
from jaxtyping import Float32

from isogloss.engine.activations import state_origin, state_source, store_languages
from isogloss.engine.activations.activation_store import LanguageStore
from isogloss.engine.activations.recorded_states import Recorded
from isogloss.engine.activations.state_source import StateSource
from isogloss.engine.activations.stored_states import Stored
from isogloss.engine.checkpoints.checkpoint import Checkpoint
from isogloss.engine.corpora import corpus, listing
from isogloss.engine.corpora.corpus import Corpus
from isogloss.engine.runtime.place import Place
from isogloss.engine.runtime.refusal import Refusal
from isogloss.engine.whisper import encoder_program


def open_audio(
    spec: str,
    checkpoint: Checkpoint,
    states: Sequence[str],
    *,
    columns: Sequence[str] = (),
    languages: Sequence[str] = (),
    recordings: str = "first",
    long: str = "truncate",
    compute: str = "auto",
    form: str = "auto",
    rows_per_device: int = 0,
    estimate: bool = False,
) -> StateSource:
    """Source of the recordings that `--corpus=spec` names; no audio is decoded and no weight is read yet.

    Args:
      spec: see `corpus.open_corpus`.
      checkpoint: model with the encoder.
      states: names among "1" .. "final", in any order.
      columns: value of --columns.
      languages: codes; by default all of the corpus.
      recordings: "first" or "all" of a sentence.
      long: treatment of recordings longer than the window, truncate, skip or error.
      compute: "auto", "float32" or "bfloat16".
      form: of attention, "auto" or one of attention.FORMS.
      rows_per_device: rows of an encoder step; 0 chooses the platform's default.
      estimate: estimate lengths for which audio would have to be fetched, for a dry run.

    Raises:
      Refusal: an argument isn't allowed.
    """
    state_source.check_states(states, layers := checkpoint.dimensions.encoder_layers)
    precision = encoder_program.precision_for(jax.default_backend(), compute, form)
    return Recorded(
        checkpoint=checkpoint,
        states=state_source.in_order(states, layers),
        corpus=(opened := _corpus_of(spec, columns, languages)),
        languages=tuple(languages) or opened.languages(),
        recordings=recordings,
        long=long,
        precision=precision,
        rows_per_device=rows_per_device or encoder_program.rows_here(checkpoint, precision),
        estimate=estimate,
    )


def _corpus_of(spec: str, columns: Sequence[str], languages: Sequence[str]) -> Corpus:
    """Corpus of --corpus; Refusal if it lacks one of the languages, before a token is looked for."""
    opened = corpus.open_corpus(spec, columns)
    known = opened.languages() if languages else ()
    for language in languages:
        listing.require(language, known, f"--corpus={spec} has no language")
    return opened


def open_store(
    root: Place,
    checkpoint: Checkpoint,
    states: Sequence[str],
    *,
    languages: Sequence[str] = (),
    silence: bool = False,
    compute: str = "auto",
    form: str = "auto",
) -> StateSource:
    """Source of the activation stores under `root`; no state is read yet.

    If a store lacks "final", it is made from the last block's output, see `StateSource.apply_norm`.

    Args:
      root: folder of all languages' stores.
      checkpoint: model whose encoder made the stores.
      states: names among "1" .. "final".
      languages: codes; by default all stored languages.
      silence: fill the window with the states of silence, see `stored_states`; the encoder runs once.
      compute: number format of that run, "auto", "float32" or "bfloat16".
      form: of attention in that run, "auto" or one of attention.FORMS.

    Raises:
      Refusal: there is no store, one is of another model, or none has the requested states; if only some lack
        a state, their utterances are unusable.
    """
    layers = checkpoint.dimensions.encoder_layers
    state_source.check_states(states, layers)
    ordered = state_source.in_order(states, layers)
    stores = _stores(root, checkpoint, languages)
    taken, lacking = _choose(root, stores, ordered, layers)
    precision = encoder_program.precision_for(jax.default_backend(), compute, form)
    return Stored(
        stores=stores,
        states=ordered,
        taken=taken,
        lacking=lacking,
        positions=checkpoint.dimensions.positions,
        # Run at most once, and only if a state is read: it loads the encoder.
        silence=functools.cache(lambda: _silence(checkpoint, taken, precision)) if silence else None,
        silence_by=f"{precision.compute} {precision.attention}" if silence else "",
    )


def _stores(root: Place, checkpoint: Checkpoint, languages: Sequence[str]) -> dict[str, LanguageStore]:
    """Stores of these languages, by default of all, made by the encoder of this model."""
    stores = store_languages.chosen(root, languages)
    if not stores:
        raise Refusal(f"{root}: there is no activation store; run isogloss.jobs.extract first")
    for store in stores.values():
        check_model(store, checkpoint)
    return stores


def _choose(
    root: Place, stores: Mapping[str, LanguageStore], states: Sequence[str], layers: int
) -> tuple[tuple[str, ...], dict[str, str]]:
    """State to read for each requested one, the same of every store, and reasons of the stores that can't."""
    lacking = {language: why for language, store in stores.items() if (why := _lacks(store, states, layers))}
    # A few stores that lack a state cost their utterances alone; if all do, the option is wrong.
    if len(lacking) == len(stores):
        raise Refusal(next(iter(lacking.values())))
    chosen = {_taken(store, states, layers) for code, store in stores.items() if code not in lacking}
    if len(chosen) > 1:
        held = "; ".join(f"{language} {','.join(store.states)}" for language, store in stores.items())
        raise Refusal(f"{root}: languages hold different states ({held}); name some by --languages")
    return next(iter(chosen)), lacking


def _silence(
    checkpoint: Checkpoint, states: Sequence[str], precision: encoder_program.Precision
) -> Float32[np.ndarray, "S N D"]:
    """States of a recording of zeros as long as the window."""
    run = encoder_program.load(checkpoint, states, "float32", precision, rows_per_device=1, devices=1)
    wave = np.zeros((1, encoder_program.time_axis(checkpoint.dimensions).window_samples), np.float32)
    [(made, _)] = run.in_turn(wave, np.asarray([checkpoint.dimensions.positions], np.int32))
    return made


def check_model(store: LanguageStore, checkpoint: Checkpoint) -> None:
    """Refuse a store of another model."""
    given = store.attributes | {"model": checkpoint.name, "weights_sha256": checkpoint.states_sha256}
    if lines := state_origin.differences(store.attributes, given, ("stored", "--model")):
        raise Refusal(
            f"{store.path}: made by another model{lines}\n"
            "  Remedy: name the --model that the store was made with."
        )


def _taken(store: LanguageStore, states: Sequence[str], layers: int) -> tuple[str, ...]:
    """State to read from a store for each requested state."""
    last = str(layers)
    return tuple(
        # The last block's output becomes "final" by the LayerNorm that the decoder job applies.
        last if s == state_source.FINAL and state_source.FINAL not in store.states else s
        for s in states
    )


def _lacks(store: LanguageStore, states: Sequence[str], layers: int) -> str:
    """Reason why a store lacks some of the states; "" if it has all."""
    taken = _taken(store, states, layers)
    missing = [s for s, t in zip(states, taken, strict=True) if t not in store.states]
    if not missing:
        return ""
    return (
        f"{store.path}: holds no state {', '.join(missing)}, only {', '.join(store.states)}. "
        "Name those, or run extract with more --states into another store"
    )
