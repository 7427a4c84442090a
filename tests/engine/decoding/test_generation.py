"""Greedy and beam search: tokens against transformers' `generate` and against plain loops in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import transformers

from isogloss.engine.checkpoints.dimensions import Dimensions, tensor_shapes
from isogloss.engine.decoding import beam_search, generation
from isogloss.engine.whisper import parameters

EOT, FRAMES, LONGEST, ROWS = 7, 20, 20, 4
SIZES = Dimensions(
    mels=80,
    features=24,
    heads=3,
    encoder_layers=1,
    decoder_layers=2,
    positions=FRAMES,
    text_positions=24,
    vocabulary=61,
    ffn=48,
)
RULES = generation.Rules(eot=EOT, suppressed=(10, 11, 12, 13), suppressed_at_begin=(EOT, 30))


def random_weights(seed):
    """Random weights under which some rows end early and some are cut."""
    rng = np.random.default_rng(seed)
    tensors = {}
    for name, shape in tensor_shapes(SIZES).items():
        spread = 2.0 if len(shape) > 1 else 0.2
        drawn = spread * rng.standard_normal(shape) / np.sqrt(max(shape[-1], 16))
        tensors[name] = (("norm.weight" in name) + drawn).astype(np.float32)
    end = tensors["decoder.embed_tokens.weight"][EOT]
    tensors["decoder.layer_norm.bias"] += (3.0 * end / (end @ end)).astype(np.float32)  # eot's logit + 3
    return tensors


def loaded(tensors):
    graph, shapes = parameters.build_decoder(SIZES, dtype=jnp.dtype("float32"))
    weights = parameters.load(shapes, tensors.__getitem__, SIZES.decoder_layers, parameters.DECODER)
    return graph, parameters.cast(weights, jnp.dtype("float32"))


def rows(seed):
    rng = np.random.default_rng(seed)
    states = rng.standard_normal((ROWS, FRAMES, SIZES.features)).astype(np.float32)
    prompts = np.stack([np.full(ROWS, 3), rng.integers(40, 60, ROWS), np.full(ROWS, 5)], axis=1)
    return states, prompts.astype(np.int32)


def decode(run, weights, states, prompts, visible=FRAMES, limits=LONGEST):
    """(tokens, log-probability, cut) of every row."""
    count = len(states)
    every = np.full(count, visible, np.int32), np.zeros(count, bool), prompts
    out = run(weights, states, *every, np.broadcast_to(np.int32(limits), count))
    tokens, lengths, totals, cut = map(np.asarray, out)
    return [
        (row[:length].tolist(), float(total), bool(was_cut))
        for row, length, total, was_cut in zip(tokens, lengths, totals, cut, strict=True)
    ]


@pytest.fixture
def by_transformers(torch_whisper):
    """Function: tokens by `generate` of transformers, and whether the limit cut them."""
    torch = pytest.importorskip("torch", reason="the PyTorch oracle needs a CPU build of torch")

    def tokens_of(tensors, states, prompt, beams):
        memory = torch.from_numpy(states[None].copy())
        output = transformers.GenerationMixin.generate(
            torch_whisper(tensors, SIZES, EOT),
            encoder_outputs=transformers.modeling_outputs.BaseModelOutput(memory),
            decoder_input_ids=torch.from_numpy(prompt[None].astype(np.int64)),
            max_new_tokens=LONGEST,
            do_sample=False,
            suppress_tokens=list(RULES.suppressed),
            begin_suppress_tokens=list(RULES.suppressed_at_begin),
            num_beams=beams,
        )
        tokens = output[0, len(prompt) :].tolist()
        return (tokens[: tokens.index(EOT)], False) if EOT in tokens else (tokens, True)

    return tokens_of


@pytest.fixture
def float64_reader(float64_whisper):
    """Function: log-probabilities of the token after a text, which is read whole each time."""

    def reader(tensors, states):
        whisper = float64_whisper(tensors, SIZES.heads)

        def last_log_probabilities(tokens):
            logits = whisper.decode(tokens, states, SIZES.decoder_layers)[0][-1]
            return logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())

        return last_log_probabilities

    return reader


def by_lists(read, prompt, beams):
    """The best hypothesis by lists of texts; stops as transformers documents it. One beam is greedy."""
    running, ended = [(0.0, [])], []
    for step in range(LONGEST):
        every = []
        for total, tokens in running:
            found = read([*prompt, *tokens])
            found[list(RULES.suppressed)] = -np.inf
            if step == 0:
                found[list(RULES.suppressed_at_begin)] = -np.inf
            every += [(total + gain, [*tokens, token]) for token, gain in enumerate(found)]
        best = sorted(every, key=lambda pair: -pair[0])[: 2 * beams]
        stops = [tokens[-1] == EOT or step + 1 == LONGEST for _, tokens in best]
        for (total, tokens), stopped in list(zip(best, stops, strict=True))[:beams]:
            if stopped:
                ended.append((total / (step + 1), tokens, total))
        ended = sorted(ended, key=lambda triple: -triple[0])[:beams]
        running = [pair for pair, stopped in zip(best, stops, strict=True) if not stopped][:beams]
        full = len(ended) == beams
        if not running or (full and running[0][0] / (step + 1) <= ended[-1][0]):
            break
    _, tokens, total = ended[0]
    return (tokens[:-1], total, False) if tokens[-1] == EOT else (tokens, total, True)


@pytest.fixture(scope="module", params=[1, 2, pytest.param(5, marks=pytest.mark.deep)])
def search(request):
    """A number of beams, and the program; one beam is greedy."""
    given = loaded(random_weights(0))[0], RULES, SIZES.vocabulary, LONGEST
    beams = request.param
    program = generation.greedy(*given) if beams == 1 else beam_search.beam_search(*given, beams)
    return beams, jax.jit(program)


def test_texts_equal_plain_loops(search, float64_reader):
    beams, run = search
    ends = set()
    for seed in range(5 if beams == 1 else 3):
        tensors, (states, prompts) = random_weights(seed), rows(seed)
        for row, (tokens, total, cut) in enumerate(decode(run, loaded(tensors)[1], states, prompts)):
            expected = by_lists(float64_reader(tensors, states[row]), prompts[row], beams)
            assert (tokens, cut) == expected[::2]
            # of 20 log-probabilities of size up to 10, each off by 2e-5 of the norm of 61 logits of size 3
            assert total == pytest.approx(expected[1], abs=20 * 2e-5 * 3 * np.sqrt(61))
            ends.add(cut)
    assert ends == {True, False}


@pytest.mark.deep
def test_texts_equal_transformers(search, by_transformers):
    beams, run = search
    for seed in range(5 if beams == 1 else 3):
        tensors, (states, prompts) = random_weights(seed), rows(seed)
        for row, (tokens, _, cut) in enumerate(decode(run, loaded(tensors)[1], states, prompts)):
            assert (tokens, cut) == by_transformers(tensors, states[row], prompts[row], beams)


def test_a_limit_cuts_each_row_by_itself(search):
    beams, run = search
    (states, prompts), (_, weights) = rows(1), loaded(random_weights(1))
    free, limits = decode(run, weights, states, prompts), np.array([1, 2, 3, LONGEST])
    short = decode(run, weights, states, prompts, limits=limits)
    assert all(len(tokens) <= limit for (tokens, _, _), limit in zip(short, limits, strict=True))
    assert short[3] == free[3]
    if beams == 1:  # a beam that ends at the limit may be another one
        for (tokens, _, cut), (whole, _, was_cut), limit in zip(short, free, limits, strict=True):
            assert tokens == whole[:limit]
            assert cut == (len(whole) >= limit or was_cut)


def test_neighbours_do_not_change_a_bit(search):
    _, run = search
    (states, prompts), (_, weights) = rows(1), loaded(random_weights(1))
    clean = decode(run, weights, states, prompts)
    assert decode(run, weights, states[::-1], prompts[::-1])[::-1] == clean
    spoilt = states.copy()
    spoilt[1, 3] = np.nan
    dirty = decode(run, weights, spoilt, prompts)
    assert [dirty[row] for row in (0, 2, 3)] == [clean[row] for row in (0, 2, 3)]
    assert dirty[1][0] == []
    assert np.isnan(dirty[1][1])
    assert not dirty[1][2]


def test_only_visible_frames_count(search):
    _, run = search
    (states, prompts), (_, weights) = rows(0), loaded(random_weights(0))
    hidden = states.copy()
    hidden[:, 9:] = np.nan
    seen = decode(run, weights, states, prompts, visible=9)
    assert decode(run, weights, hidden, prompts, visible=9) == seen != decode(run, weights, states, prompts)


def test_the_loop_ends_with_the_last_row(monkeypatch):
    """Counted by the steps that run: the prompt's and one more where the limits are 2, not LONGEST."""
    steps = []
    graph, weights = loaded(random_weights(0))
    advance = generation.advance

    def counted(*inputs):
        jax.debug.callback(lambda: steps.append(1))
        return advance(*inputs)

    monkeypatch.setattr(generation, "advance", counted)
    unkept = generation.greedy.__wrapped__  # what is counted mustn't stay for others
    run = jax.jit(unkept(graph, RULES, SIZES.vocabulary, LONGEST))
    decode(run, weights, *rows(0), limits=np.array([2, 1, 0, 2]))
    jax.effects_barrier()
    assert len(steps) == 2


def test_detection_is_among_the_languages_alone(float64_reader):
    tensors, languages, (states, _) = random_weights(2), (41, 45, 44), rows(2)
    graph, weights = loaded(tensors)
    run = jax.jit(generation.detection(graph, 3, languages))
    found, likely = run(weights, states, np.full(ROWS, FRAMES, np.int32), np.zeros(ROWS, bool))
    for row in range(ROWS):
        among = float64_reader(tensors, states[row])([3])[list(languages)]
        assert int(found[row]) == languages[among.argmax()]
        assert float(likely[row]) == pytest.approx(np.exp(among.max()) / np.exp(among).sum(), rel=1e-3)


def test_impossible_tokens_and_beams_are_refused():
    with pytest.raises(ValueError, match=r"61, got \[61\]"):
        generation.Rules(eot=7, suppressed=(61,)).allowed(61)
    graph, _ = loaded(random_weights(0))
    with pytest.raises(ValueError, match="beams must be at least 1"):
        beam_search.beam_search(graph, RULES, 61, LONGEST, 0)
    with pytest.raises(ValueError, match="40 beams need 80 tokens, the model has 61"):
        beam_search.beam_search(graph, RULES, 61, LONGEST, 40)
