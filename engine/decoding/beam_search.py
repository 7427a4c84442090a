"""Beam search as transformers defines it, as a program that every device runs.

Options are transformers' defaults: the score of a hypothesis is its log-probability divided by its length,
eot included, and a row stops once its best running hypothesis, scored at the current length, is worse than
its worst ended one. Each step keeps 2 K candidates, so that K beams can continue even if K candidates end.
The K beams of a row share its memory. A row stops independently of the others, as in a batch of one.

Source: transformers 5, generation/utils.py, _beam_search and the functions it calls.
"""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from isogloss.engine.decoding import generation
from isogloss.engine.decoding.generation import Caches, DecoderMemory, Rules
from isogloss.engine.runtime.devices import Program
from isogloss.engine.runtime.refusal import Refusal

# Added to the score of an excluded candidate, as in transformers. With -inf, or with sums in another order,
# float32 would order the excluded ones otherwise, and different hypotheses would be chosen.
_EXCLUDED = jnp.float32(-1e9)


class Hypotheses(NamedTuple):
    """Texts of each row, best first: K running beams, 2 K candidates or K ended texts."""

    tokens: Int[Array, "B K T"]
    scores: Float[Array, "B K"]  # of ended ones, divided by the length
    totals: Float[Array, "B K"]  # log-probabilities
    lengths: Int[Array, "B K"]  # eot included
    ended: Bool[Array, "B K"]  # by eot or by the limit

    def best(self, by: Float[Array, "B K"], count: int) -> tuple["Hypotheses", Int[Array, "B count"]]:
        """The `count` hypotheses with the largest values of `by`, and their indices."""
        places = jax.lax.top_k(by, count)[1]
        return Hypotheses(*(_taken(field, places) for field in self)), places


class _State(NamedTuple):
    step: Int[Array, ""]  # tokens generated so far
    running: Hypotheses
    done: Hypotheses
    improvable: Bool[Array, " B"]  # a running beam may still beat the worst ended text
    over: Bool[Array, " B"]  # the row has stopped
    finite: Bool[Array, " B"]  # all logits so far
    caches: Caches


def _taken(field: Array, places: Int[Array, "B K"]) -> Array:
    """Entries field[b, places[b, k]]; further axes of `field` are kept whole."""
    places = places.reshape(*places.shape, *(1,) * (field.ndim - 2))
    return jnp.take_along_axis(field, places, axis=1)


def _penalty(excluded: Bool[Array, "B _"]) -> Float[Array, "B _"]:
    return excluded.astype(jnp.float32) * _EXCLUDED


def _started(rows: int, beams: int, longest: int, eot: int, caches: Caches, limit: Array) -> _State:
    """State before the first token."""
    shape = (rows, beams)
    blank = Hypotheses(
        tokens=jnp.full((*shape, longest), eot, jnp.int32),
        scores=jnp.full(shape, _EXCLUDED),
        totals=jnp.zeros(shape, jnp.float32),
        lengths=jnp.zeros(shape, jnp.int32),
        ended=jnp.zeros(shape, bool),
    )
    # All beams hold the prompt. If more than one ran, the first step would choose K copies of one token.
    running = blank._replace(scores=blank.scores.at[:, 0].set(0.0))
    return _State(jnp.int32(0), running, blank, limit > 0, limit < 1, jnp.ones(rows, bool), caches)


def _candidates(
    running: Hypotheses, logits: Float[Array, "B K V"], allowed: Bool[Array, " V"], count: Int[Array, ""]
) -> tuple[Hypotheses, Int[Array, "B C"], Int[Array, "B C"]]:
    """The best 2 K continuations of each row's K beams, their last tokens, and their parent beams."""
    batch, beams, vocabulary = logits.shape
    # Normalised before tokens are barred, as transformers does: a hypothesis keeps its true log-probability.
    log_probability = jnp.where(allowed[None, None, :], jax.nn.log_softmax(logits, axis=-1), -jnp.inf)
    totals = log_probability + running.scores[:, :, None]
    # Top 2 K of each beam, then of the row: the same result as one sort of K * V numbers, and cheaper. In
    # both, ties go to the earlier beam and then to the smaller id.
    of_beam, ids = jax.lax.top_k(totals, min(2 * beams, vocabulary))
    totals, places = jax.lax.top_k(of_beam.reshape(batch, -1), 2 * beams)
    parents = places // of_beam.shape[-1]
    token = _taken(ids.reshape(batch, -1), places)
    tokens = _taken(running.tokens, parents).at[:, :, count].set(token)
    lengths = jnp.full(token.shape, count + 1, jnp.int32)
    return Hypotheses(tokens, totals, totals, lengths, jnp.zeros(token.shape, bool)), token, parents


def _step(
    state: _State,
    logits: Float[Array, "B K V"],
    allowed: Bool[Array, " V"],
    limit: Int[Array, " B"],
    eot: int,
) -> tuple[_State, Int[Array, "B K"]]:
    """State after one more token of every beam, and the parent of each running beam.

    Rows that are over keep their ended texts, which are all that is read of them in the end; their running
    beams continue in the same arrays, because a compiled loop has one shape.
    """
    beams, length = logits.shape[1], (state.step + 1).astype(jnp.float32)
    found, token, parents = _candidates(state.running, logits, allowed, state.step)
    # Every candidate ends at the limit, so no beam can run beyond it.
    hits = (token == eot) | (state.step + 1 >= limit)[:, None]
    open_totals = found.totals + _penalty(hits)
    running, places = found.best(open_totals, beams)
    running = running._replace(scores=_taken(open_totals, places))

    # Only the K best of the 2 K candidates may end: a worse one has lost to K others, running or ended. Once
    # a row isn't improvable nothing more may end, whatever its score.
    ends = hits & (jnp.arange(hits.shape[1]) < beams)[None, :]
    scores = found.totals / length + _penalty(~state.improvable[:, None]) + _penalty(~ends)
    done = _merged(state, found._replace(scores=scores, ended=ends), beams)

    worst = jnp.where(done.ended, done.scores.min(axis=1, keepdims=True), _EXCLUDED)
    # transformers' heuristic for early_stopping=False: the best running beam is scored at the current length,
    # although a longer text could still raise its mean. A free place among the ended texts counts as -1e9,
    # so a row runs until K texts have ended.
    improvable = state.improvable & ((running.scores[:, :1] / length) > worst).any(axis=1)
    # Rows that are over decode their own remains, whose logits may be anything.
    finite = state.finite & (state.over | jnp.isfinite(logits).all(axis=(1, 2)))
    over = state.over | ~(improvable & ~hits.all(axis=1)) | ~finite
    after = _State(state.step + 1, running, done, improvable, over, finite, state.caches)
    return after, _taken(parents, places)


def _merged(state: _State, found: Hypotheses, beams: int) -> Hypotheses:
    """The K best ended texts, old and new; rows that are over keep theirs."""
    # Places that no text has taken yet hold -1e9, so the first texts to end fill them.
    both = Hypotheses(*(jnp.concatenate(pair, axis=1) for pair in zip(state.done, found, strict=True)))
    done, _ = both.best(both.scores, beams)
    kept = state.over[:, None]
    return Hypotheses(
        *(
            jnp.where(kept[:, :, None] if old.ndim == 3 else kept, old, new)
            for old, new in zip(state.done, done, strict=True)
        )
    )


def _reordered(caches: Caches, parents: Int[Array, "B K"]) -> Caches:
    """Caches of the parents: the beams of row b are the rows b * K to b * K + K - 1 of a cache."""
    beams = parents.shape[1]
    rows = (jnp.arange(len(parents))[:, None] * beams + parents).reshape(-1)
    return tuple((keys[rows], values[rows]) for keys, values in caches)


def _best_text(state: _State, eot: int) -> tuple[Array, Array, Array, Array]:
    """Results of the program: tokens, length without eot, log-probability, whether the limit cut the text."""
    # Ended texts are kept in order of score, and no running beam is read: at the limit all beams have ended.
    best = Hypotheses(*(field[:, 0] for field in state.done))
    last = jnp.take_along_axis(best.tokens, jnp.maximum(best.lengths - 1, 0)[:, None], axis=1)[:, 0]
    lengths = jnp.where(state.finite, best.lengths - (last == eot).astype(jnp.int32), 0)
    total = jnp.where(state.finite, best.totals, jnp.nan)
    cut = state.finite & (best.lengths > 0) & (last != eot)
    return best.tokens, jnp.maximum(lengths, 0), total, cut


@functools.lru_cache(maxsize=16)  # a program that is made again is compiled already
def beam_search(graph: nnx.GraphDef, rules: Rules, vocabulary: int, longest: int, beams: int) -> Program:
    """Program with the arguments and results of `generation.greedy`: the best hypothesis of each row.

    The log-probability is the hypothesis's own, not divided.
    """
    if beams < 1:
        raise Refusal(f"beams must be at least 1, got {beams}")
    if vocabulary < 2 * beams:
        raise Refusal(f"{beams} beams need {2 * beams} tokens, the model has {vocabulary}")
    first, later = rules.allowed(vocabulary)

    def decode(
        memory: DecoderMemory, prompt: Int[Array, "B P"], limit: Int[Array, " B"]
    ) -> tuple[Int[Array, "B T"], Int[Array, " B"], Float[Array, " B"], Bool[Array, " B"]]:
        rows, start = prompt.shape
        empty = generation.empty_caches(memory, rows, start + longest)
        # The prompt is read once a row; only then its cache is copied to every beam.
        logits, caches = generation.advance(memory, prompt, 0, empty)
        spread = jnp.repeat(logits[:, None], beams, axis=1)
        caches = jax.tree.map(lambda leaf: jnp.repeat(leaf, beams, axis=0), caches)
        state = _started(rows, beams, longest, rules.eot, caches, limit)
        state, _ = _step(state, spread, jnp.asarray(first), limit, rules.eot)

        def more(state: _State) -> Array:
            return (state.step < longest) & ~state.over.all()

        def step(state: _State) -> _State:
            last = jax.lax.dynamic_slice_in_dim(state.running.tokens, state.step - 1, 1, axis=2)
            position = start + state.step - 1
            logits, caches = generation.advance(memory, last.reshape(-1, 1), position, state.caches)
            logits = logits.reshape(rows, beams, -1)
            state, parents = _step(state, logits, jnp.asarray(later), limit, rules.eot)
            return state._replace(caches=_reordered(caches, parents))

        return _best_text(jax.lax.while_loop(more, step, state), rules.eot)

    return generation.program(graph, decode)
