"""engine.generate and engine.beam: tokens against transformers' `generate` and plain loops in float64."""

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


def speaker(seed):
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


def said(run, weights, states, prompts, visible=FRAMES, limits=LONGEST):
    count = len(states)
    every = np.full(count, visible, np.int32), np.zeros(count, bool), prompts
    out = run(weights, states, *every, np.broadcast_to(np.int32(limits), count))
    tokens, lengths, totals, cut = map(np.asarray, out)
    return [
        (row[:length].tolist(), float(total), bool(was_cut))
        for row, length, total, was_cut in zip(tokens, lengths, totals, cut, strict=True)
    ]


@pytest.fixture
def transformers_says(torch_whisper):
    """Function: what `generate` of transformers says, and whether it was cut."""
    torch = pytest.importorskip("torch", reason="the PyTorch oracle needs a CPU build of torch")

    def say(tensors, states, prompt, **options):
        heard = torch.from_numpy(states[None].copy())
        output = transformers.GenerationMixin.generate(
            torch_whisper(tensors, SIZES, EOT),
            encoder_outputs=transformers.modeling_outputs.BaseModelOutput(heard),
            decoder_input_ids=torch.from_numpy(prompt[None].astype(np.int64)),
            max_new_tokens=LONGEST,
            do_sample=False,
            suppress_tokens=list(RULES.suppressed),
            begin_suppress_tokens=list(RULES.suppressed_at_begin),
            **options,
        )
        tokens = output[0, len(prompt) :].tolist()
        return (tokens[: tokens.index(EOT)], False) if EOT in tokens else (tokens, True)

    return say


@pytest.fixture
def float64_reader(float64_whisper):
    """Function: log-probabilities of the token after a text, read whole each time, from the states heard."""

    def reader(tensors, states):
        whisper = float64_whisper(tensors, SIZES.heads)

        def last_log_probabilities(tokens):
            logits = whisper.decode(tokens, states, SIZES.decoder_layers)[0][-1]
            return logits - logits.max() - np.log(np.exp(logits - logits.max()).sum())

        return last_log_probabilities

    return reader


def float64_says(read, prompt, rules=RULES, limit=LONGEST):
    """One row's greedy tokens."""
    tokens, total = [], 0.0
    for step in range(limit):
        found = read([*prompt, *tokens])
        allowed = found.copy()
        allowed[list(rules.suppressed)] = -np.inf
        if step == 0:
            allowed[list(rules.suppressed_at_begin)] = -np.inf
        token = int(np.argmax(allowed))
        total += found[token]
        if token == rules.eot:
            return tokens, total, False
        tokens.append(token)
    return tokens, total, True


@pytest.fixture(scope="module")
def greedy():
    graph, weights = loaded(speaker(0))
    return jax.jit(generation.greedy(graph, RULES, SIZES.vocabulary, LONGEST)), weights, *rows(0)


@pytest.mark.parametrize("seed", range(5))
def test_greedy_tokens_equal_plain_loops(greedy, seed, float64_reader):
    tensors = speaker(seed)
    _, weights = loaded(tensors)
    states, prompts = rows(seed)
    for found, heard, prompt in zip(said(greedy[0], weights, states, prompts), states, prompts, strict=True):
        tokens, total, cut = float64_says(float64_reader(tensors, heard), prompt)
        assert (found[0], found[2]) == (tokens, cut)
        # of 20 log-probabilities of size up to 10, each off by 2e-5 of the norm of 61 logits of size 3
        assert found[1] == pytest.approx(total, abs=20 * 2e-5 * 3 * np.sqrt(61))


@pytest.mark.parametrize("seed", range(5))
def test_greedy_tokens_equal_transformers(greedy, seed, transformers_says):
    tensors = speaker(seed)
    _, weights = loaded(tensors)
    states, prompts = rows(seed)
    for found, heard, prompt in zip(said(greedy[0], weights, states, prompts), states, prompts, strict=True):
        assert (found[0], found[2]) == transformers_says(tensors, heard, prompt)


def test_some_rows_end_and_some_are_cut(float64_reader):
    """Otherwise the tests above would compare one thing only."""
    ends = set()
    for seed in range(5):
        states, prompts = rows(seed)
        ends.add(float64_says(float64_reader(speaker(seed), states[0]), prompts[0])[2])
    assert len(ends) == 2


def test_limit_cuts_each_row_by_itself(greedy):
    run, weights, states, prompts = greedy
    free = said(run, weights, states, prompts)
    limits = np.array([1, 2, 3, LONGEST])
    for (tokens, _, cut), (whole, _, was_cut), limit in zip(
        said(run, weights, states, prompts, limits=limits), free, limits, strict=True
    ):
        assert tokens == whole[:limit]
        assert cut == (len(whole) >= limit or was_cut)


def test_neighbours_do_not_change_a_bit(greedy):
    run, weights, states, prompts = greedy
    clean = said(run, weights, states, prompts)
    assert said(run, weights, states[::-1], prompts[::-1])[::-1] == clean
    spoilt = states.copy()
    spoilt[1, 3] = np.nan
    dirty = said(run, weights, spoilt, prompts)
    assert [dirty[row] for row in (0, 2, 3)] == [clean[row] for row in (0, 2, 3)]
    assert dirty[1][0] == []
    assert np.isnan(dirty[1][1])
    assert not dirty[1][2]


def test_only_visible_frames_are_heard(greedy):
    run, weights, states, prompts = greedy
    hidden = states.copy()
    hidden[:, 9:] = np.nan
    assert said(run, weights, hidden, prompts, visible=9) == said(run, weights, states, prompts, visible=9)
    assert said(run, weights, states, prompts, visible=9) != said(run, weights, states, prompts)


def test_the_loop_ends_with_the_last_row(monkeypatch):
    """Counted by the steps that run: the prompt's and one more where the limits are 2, not LONGEST."""
    steps = []
    graph, weights = loaded(speaker(0))
    advance = generation.advance

    def counted(*inputs):
        jax.debug.callback(lambda: steps.append(1))
        return advance(*inputs)

    monkeypatch.setattr(generation, "advance", counted)
    run = jax.jit(generation.greedy(graph, RULES, SIZES.vocabulary, LONGEST))
    states, prompts = rows(0)
    said(run, weights, states, prompts, limits=np.array([2, 1, 0, 2]))
    jax.effects_barrier()
    assert len(steps) == 2


def test_detection_is_among_the_languages_alone(float64_reader):
    tensors = speaker(2)
    languages = (41, 45, 44)
    graph, weights = loaded(tensors)
    run = jax.jit(generation.detection(graph, 3, languages))
    states, _ = rows(2)
    found, likely = run(weights, states, np.full(ROWS, FRAMES, np.int32), np.zeros(ROWS, bool))
    for row in range(ROWS):
        others = generation.Rules(eot=EOT, suppressed=tuple(set(range(SIZES.vocabulary)) - set(languages)))
        (token,), _, _ = float64_says(float64_reader(tensors, states[row]), [3], others, limit=1)
        assert int(found[row]) == token
        assert 1 / 3 <= float(likely[row]) <= 1


def test_rules_of_another_vocabulary():
    with pytest.raises(ValueError, match=r"61, got \[61\]"):
        generation.Rules(eot=7, suppressed=(61,)).allowed(61)


def float64_searches(read, prompt, beams):
    """The best hypothesis by lists of texts; stops as transformers says that it does."""
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


@pytest.fixture(scope="module", params=[2, pytest.param(5, marks=pytest.mark.deep)])
def searching(request):
    graph, _ = loaded(speaker(0))
    return request.param, jax.jit(
        beam_search.beam_search(graph, RULES, SIZES.vocabulary, LONGEST, request.param)
    )


def test_beams_equal_plain_loops(searching, float64_reader):
    beams, run = searching
    for seed in range(3):
        tensors, (states, prompts) = speaker(seed), rows(seed)
        found = said(run, loaded(tensors)[1], states, prompts)
        for row in range(ROWS):
            read = float64_reader(tensors, states[row])
            tokens, total, cut = float64_searches(read, prompts[row], beams)
            assert (found[row][0], found[row][2]) == (tokens, cut)
            assert found[row][1] == pytest.approx(total, abs=20 * 2e-5 * 3 * np.sqrt(61))


def test_beams_equal_transformers(searching, transformers_says):
    beams, run = searching
    for seed in range(3):
        tensors, (states, prompts) = speaker(seed), rows(seed)
        found = said(run, loaded(tensors)[1], states, prompts)
        for row in range(ROWS):
            expected = transformers_says(tensors, states[row], prompts[row], num_beams=beams)
            assert (found[row][0], found[row][2]) == expected


def test_neighbours_do_not_change_beams(searching):
    _, run = searching
    (states, prompts), (_, weights) = rows(1), loaded(speaker(1))
    clean = said(run, weights, states, prompts)
    assert said(run, weights, states[::-1], prompts[::-1])[::-1] == clean
    spoilt = states.copy()
    spoilt[1, 3] = np.nan
    dirty = said(run, weights, spoilt, prompts)
    assert [dirty[row] for row in (0, 2, 3)] == [clean[row] for row in (0, 2, 3)]
    assert dirty[1][0] == []
    assert np.isnan(dirty[1][1])
    limits = np.array([1, 2, 3, LONGEST])
    short = said(run, weights, states, prompts, limits=limits)
    assert all(len(tokens) <= limit for (tokens, _, _), limit in zip(short, limits, strict=True))
    assert short[3] == clean[3]


def test_impossible_numbers_of_beams():
    graph, _ = loaded(speaker(0))
    with pytest.raises(ValueError, match="beams must be at least 1"):
        beam_search.beam_search(graph, RULES, 61, LONGEST, 0)
    with pytest.raises(ValueError, match="40 beams need 80 tokens, the model has 61"):
        beam_search.beam_search(graph, RULES, 61, LONGEST, 40)
