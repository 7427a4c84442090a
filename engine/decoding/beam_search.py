"""Beam search as transformers defines it, as a program that every device runs.

Two candidates a beam are kept each step, so that beams are left when the best ones end; an ended candidate's
score is its log-probability divided by length ** length_penalty, eot counted. Beams of a row read its memory
together; their caches are reordered each step. A row stops by itself, as in a batch of one.

Source: transformers 5, generation/utils.py, _beam_search and the functions it calls; scores that must lose
have 1e9 taken off there, and so here, in the same order, because sums of float32 tell the difference.
"""

import dataclasses
from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from isogloss.engine.decoding import generation
from isogloss.engine.decoding.generation import Caches, Rules
from isogloss.engine.runtime.devices import Program

EarlyStopping = bool | Literal["never"]
_LOSES = jnp.float32(-1e9)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Search:
    """How beams are searched.

    Attributes:
      beams: hypotheses a row, at least 1.
      length_penalty: power of the length that scores are divided by; above 0 favours long texts.
      early_stopping: when a row stops: True, as soon as `beams` hypotheses have ended; False, when the best
        running one couldn't beat the worst of them at its present length; "never", at any length allowed.
    """

    beams: int
    length_penalty: float = 1.0
    early_stopping: EarlyStopping = False

    def __post_init__(self) -> None:
        """Refuse what isn't a search."""
        if self.beams < 1:
            raise ValueError(f"beams must be at least 1, got {self.beams}")
        if not np.isfinite(self.length_penalty):
            raise ValueError(f"length_penalty must be finite, got {self.length_penalty}")
        if self.early_stopping not in (True, False, "never"):
            raise ValueError(f'early_stopping must be True, False or "never", got {self.early_stopping!r}')


GREEDY = Search(beams=1)


class Hypotheses(NamedTuple):
    """Texts of each row: K running beams, candidates or ended ones, best first."""

    tokens: Int[Array, "B K T"]
    scores: Float[Array, "B K"]  # of ended ones, divided by the length's power
    totals: Float[Array, "B K"]  # log-probabilities
    lengths: Int[Array, "B K"]  # eot included
    ended: Bool[Array, "B K"]  # chosen as ended, by eot or by the limit

    def best(self, by: Float[Array, "B K"], count: int) -> tuple["Hypotheses", Int[Array, "B count"]]:
        """The `count` of the largest `by`, and their places."""
        places = jax.lax.top_k(by, count)[1]
        return Hypotheses(*(_taken(field, places) for field in self)), places


class _State(NamedTuple):
    step: Int[Array, ""]  # tokens said so far
    running: Hypotheses
    done: Hypotheses
    improvable: Bool[Array, " B"]
    over: Bool[Array, " B"]
    sound: Bool[Array, " B"]  # all logits were finite
    caches: Caches


def _taken(field: Array, places: Int[Array, "B K"]) -> Array:
    """field[b, places[b, k]] of every row."""
    places = places.reshape(*places.shape, *(1,) * (field.ndim - 2))
    return jnp.take_along_axis(field, places, axis=1)


def _started(rows: int, search: Search, longest: int, eot: int, caches: Caches, limit: Array) -> _State:
    """Only the first beam runs at first, or all would say the same."""
    shape = (rows, search.beams)
    blank = Hypotheses(
        tokens=jnp.full((*shape, longest), eot, jnp.int32),
        scores=jnp.full(shape, _LOSES),
        totals=jnp.zeros(shape, jnp.float32),
        lengths=jnp.zeros(shape, jnp.int32),
        ended=jnp.zeros(shape, bool),
    )
    running = blank._replace(scores=blank.scores.at[:, 0].set(0.0))
    return _State(jnp.int32(0), running, blank, limit > 0, limit < 1, jnp.ones(rows, bool), caches)


def _candidates(
    running: Hypotheses, logits: Float[Array, "B K V"], allowed: Bool[Array, " V"], count: Int[Array, ""]
) -> tuple[Hypotheses, Int[Array, "B C"], Int[Array, "B C"]]:
    """The best 2 K continuations of each row's K beams, their last tokens and the beams they come from."""
    batch, beams, vocabulary = logits.shape
    log_probability = jnp.where(allowed[None, None, :], jax.nn.log_softmax(logits, axis=-1), -jnp.inf)
    totals = log_probability + running.scores[:, :, None]
    of_beam, ids = jax.lax.top_k(
        totals, min(2 * beams, vocabulary)
    )  # of each beam first: cheaper than of all
    totals, places = jax.lax.top_k(of_beam.reshape(batch, -1), 2 * beams)
    parents = places // of_beam.shape[-1]
    token = _taken(ids.reshape(batch, -1), places)
    said = _taken(running.tokens, parents).at[:, :, count].set(token)
    lengths = jnp.full(token.shape, count + 1, jnp.int32)
    return Hypotheses(said, totals, totals, lengths, jnp.zeros(token.shape, bool)), token, parents


def _step(
    state: _State,
    logits: Float[Array, "B K V"],
    allowed: Bool[Array, " V"],
    limit: Int[Array, " B"],
    powers: Float[Array, " T1"],
    search: Search,
    eot: int,
) -> tuple[_State, Int[Array, "B K"]]:
    """The state after one more token of every beam, and the beams that the running ones come from."""
    found, token, parents = _candidates(state.running, logits, allowed, state.step)
    hits = (token == eot) | (state.step + 1 >= limit)[:, None]
    running, places = found.best(found.totals + hits.astype(jnp.float32) * _LOSES, search.beams)
    running = running._replace(scores=_taken(found.totals + hits.astype(jnp.float32) * _LOSES, places))

    ends = hits & (jnp.arange(hits.shape[1]) < search.beams)[None, :]
    full = state.done.ended.all(axis=1, keepdims=True) & (search.early_stopping is True)
    scores = found.totals / powers[state.step + 1]
    for loses in (full, ~state.improvable[:, None], ~ends):
        scores = scores + loses.astype(jnp.float32) * _LOSES
    found = found._replace(scores=scores, ended=ends)
    merged = Hypotheses(*(jnp.concatenate(pair, axis=1) for pair in zip(state.done, found, strict=True)))
    done, _ = merged.best(merged.scores, search.beams)
    kept = state.over[:, None]
    done = Hypotheses(
        *(
            jnp.where(kept[:, :, None] if old.ndim == 3 else kept, old, new)
            for old, new in zip(state.done, done, strict=True)
        )
    )

    farthest = search.early_stopping == "never" and search.length_penalty > 0
    power = powers[limit if farthest else jnp.full_like(limit, state.step + 1)]
    worst = jnp.where(done.ended, done.scores.min(axis=1, keepdims=True), _LOSES)
    improvable = state.improvable & ((running.scores[:, :1] / power[:, None]) > worst).any(axis=1)
    open_beam = ~(done.ended.all(axis=1) & (search.early_stopping is True))
    sound = state.sound & (state.over | jnp.isfinite(logits).all(axis=(1, 2)))
    over = state.over | ~(improvable & open_beam & ~hits.all(axis=1)) | ~sound
    last = state.step + 1
    return _State(last, running, done, improvable, over, sound, state.caches), _taken(parents, places)


def _reordered(caches: Caches, parents: Int[Array, "B K"]) -> Caches:
    beams = parents.shape[1]
    rows = (jnp.arange(len(parents))[:, None] * beams + parents).reshape(-1)
    return tuple((keys[rows], values[rows]) for keys, values in caches)


def beam_search(graph: nnx.GraphDef, rules: Rules, vocabulary: int, longest: int, search: Search) -> Program:
    """Program with the arguments and results of `generate.greedy`: the best hypothesis of each row.

    The log-probability is the hypothesis's own, not divided.
    """
    if vocabulary < 2 * search.beams:
        raise ValueError(f"{search.beams} beams need {2 * search.beams} tokens, the model has {vocabulary}")
    first, later = rules.allowed(vocabulary)
    with np.errstate(divide="ignore"):  # no length is 0
        powers = (np.arange(longest + 1, dtype=np.float64) ** search.length_penalty).astype(np.float32)

    def run(
        weights: nnx.State,
        states: Float[Array, "B N D"],
        visible: Int[Array, " B"],
        apply_norm: Bool[Array, " B"],
        prompt: Int[Array, "B P"],
        limit: Int[Array, " B"],
    ) -> tuple[Int[Array, "B T"], Int[Array, " B"], Float[Array, " B"], Bool[Array, " B"]]:
        rows, start = prompt.shape
        speech = generation.prepare_memory(nnx.merge(graph, weights), states, visible, apply_norm)
        empty = generation.empty_caches(speech, rows, start + longest)
        logits, caches = generation.advance(speech, prompt, 0, empty)
        spread = jnp.repeat(logits[:, None], search.beams, axis=1)
        caches = jax.tree.map(lambda leaf: jnp.repeat(leaf, search.beams, axis=0), caches)
        state = _started(rows, search, longest, rules.eot, caches, limit)
        settings = (limit, jnp.asarray(powers), search, rules.eot)
        state, _ = _step(state, spread, jnp.asarray(first), *settings)

        def more(state: _State) -> Array:
            return (state.step < longest) & ~state.over.all()

        def step(state: _State) -> _State:
            last = jax.lax.dynamic_slice_in_dim(state.running.tokens, state.step - 1, 1, axis=2)
            position = start + state.step - 1
            logits, caches = generation.advance(speech, last.reshape(-1, 1), position, state.caches)
            logits = logits.reshape(rows, search.beams, -1)
            state, parents = _step(state, logits, jnp.asarray(later), *settings)
            return state._replace(caches=_reordered(caches, parents))

        state = jax.lax.while_loop(more, step, state)
        best = Hypotheses(*(field[:, 0] for field in state.done))
        last = jnp.take_along_axis(best.tokens, jnp.maximum(best.lengths - 1, 0)[:, None], axis=1)[:, 0]
        said = jnp.where(state.sound, best.lengths - (last == rules.eot).astype(jnp.int32), 0)
        total = jnp.where(state.sound, best.totals, jnp.nan)
        return (
            best.tokens,
            jnp.maximum(said, 0),
            total,
            state.sound & (best.lengths > 0) & (last != rules.eot),
        )

    return run
