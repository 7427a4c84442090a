"""Parts of training against closed forms, plain loops and planted truth."""

import collections
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from isogloss.engine.checkpoints.checkpoint import load_checkpoint
from isogloss.engine.runtime.devices import Lockstep, first
from isogloss.engine.training import batches, fisher, loss, sentence_split, trainable, training_step
from isogloss.engine.training.loss import TaughtRows
from isogloss.engine.training.training_step import Constants, Schedule
from small_models import NANO

SCHEDULE = Schedule(steps=4, warmup=1, learning_rate=1e-3, weight_decay=0.01, ewc=0.0, anchor=0.0)
FLOAT32 = np.dtype("float32")


@pytest.fixture(scope="module")
def model(random_model):
    sizes = dataclasses.replace(NANO, positions=20, text_positions=12, vocabulary=19)
    return load_checkpoint(str(random_model("stepped", sizes, 0)))


def some_rows(count):
    rng = np.random.default_rng(1)
    return TaughtRows(
        states=rng.standard_normal((count, 20, 16)).astype(np.float32),
        visible=np.full(count, 20, np.int32),
        apply_norm=np.zeros(count, bool),
        tokens=rng.integers(0, 19, (count, 9)).astype(np.int32),
        targets=rng.integers(0, 19, (count, 9)).astype(np.int32),
        weights=(rng.random((count, 9)) < 0.7).astype(np.float32),
    )


@pytest.mark.deep
def test_devices_change_the_last_bits_only(model):
    """Losses to 1e-6, parameters to a hundredth of what the learning rate moves them, after 4 steps."""
    parts = trainable.split(model.dimensions, model.read, "decoder", dtype=FLOAT32, seed=0)
    rows, found = some_rows(8), {}
    for devices in (1, 2, 8):
        state = training_step.initial(trainable.device_values(parts.trained), SCHEDULE)
        lockstep = Lockstep(state, Constants(trainable.device_values(parts.frozen), {}, {}), devices)
        advance = lockstep.stepping(training_step.training_step(parts, SCHEDULE))
        losses = [float(first(advance(rows)).loss) for _ in range(4)]
        found[devices] = losses, lockstep.state().trained
    assert found[1][0][-1] < found[1][0][0]
    for devices in (2, 8):
        np.testing.assert_allclose(found[devices][0], found[1][0], rtol=1e-6)
        for path, value in found[1][1].items():
            np.testing.assert_allclose(found[devices][1][path], value, rtol=0, atol=1e-5, err_msg=path)


@pytest.mark.parametrize("norm", [0.0, 0.5, 1.0, 40.0, np.inf, np.nan])
def test_gradients_are_clipped_as_optax_clips(norm):
    gradient = {"kernel": np.array([[norm, 0.0]], np.float32), "bias": np.zeros(3, np.float32)}
    optax_clips = optax.clip_by_global_norm(training_step.CLIP)
    wanted, _ = optax_clips.update(gradient, optax_clips.init(gradient))
    found = training_step.clipped(gradient, None)
    for path in gradient:
        np.testing.assert_allclose(found[path], wanted[path], rtol=1e-6, err_msg=path)


def test_a_penalty_is_minimised_in_adams_metric():
    """The drawn parameters are the zero of the objective's derivative, found here in float64."""
    rng = np.random.default_rng(3)
    start, trained, moment = (rng.standard_normal((7, 5)) for _ in range(3))
    moment, fisher_ = moment**2 * 1e-4, rng.exponential(1e-3, (7, 5))
    schedule = dataclasses.replace(SCHEDULE, ewc=40.0, anchor=0.5)
    h, rate, weight = np.sqrt(moment) + 1e-8, 2e-3, 40 * fisher_ + 0.5
    expected = (h * trained + rate * weight * start) / (h + rate * weight)
    start, trained, moment, fisher_ = (
        {"w": jnp.asarray(x, jnp.float32)} for x in (start, trained, moment, fisher_)
    )
    constants = Constants({}, start, fisher_)
    found = training_step.drawn_back(trained, constants, schedule, moment, jnp.float32(rate))
    np.testing.assert_allclose(found["w"], expected, rtol=1e-5, atol=1e-6)


@pytest.mark.deep
@pytest.mark.parametrize("huge", [{"ewc": 1e9}, {"anchor": 1e9}])
def test_a_huge_penalty_moves_nothing_and_what_it_does_not_weigh_moves_as_without(model, huge):
    parts = trainable.split(model.dimensions, model.read, "decoder", dtype=FLOAT32, seed=0)
    start, ends, free = trainable.device_values(parts.trained), {}, "blocks/mlp_in/bias"
    fisher_ = {path: jnp.full_like(value, 0.0 if path == free else 1.0) for path, value in start.items()}
    for name, penalty in (("none", {}), ("huge", huge)):
        schedule = dataclasses.replace(SCHEDULE, **penalty)
        state = training_step.initial(trainable.device_values(parts.trained), schedule)
        given = Constants(trainable.device_values(parts.frozen), start, fisher_)
        lockstep = Lockstep(state, given, 1)
        lockstep.stepping(training_step.training_step(parts, schedule))(some_rows(8))
        ends[name] = lockstep.state().trained
    for path, value in start.items():
        assert np.abs(ends["none"][path] - value).max() > SCHEDULE.learning_rate / 3, path
        if path == free and "ewc" in huge:
            np.testing.assert_array_equal(ends["huge"][path], ends["none"][path])
        else:
            np.testing.assert_allclose(ends["huge"][path], value, rtol=0, atol=1e-8, err_msg=path)


def test_steps_are_those_of_adamw_in_numpy_with_the_penaltys_closed_form(model):
    """To a hundredth of what the learning rate moves, as gradients' last bits decide where they are tiny."""
    schedule = dataclasses.replace(SCHEDULE, ewc=40.0, anchor=0.5)
    parts = trainable.split(model.dimensions, model.read, "decoder", dtype=FLOAT32, seed=0)
    rows, rng = jax.tree.map(jnp.asarray, some_rows(8)), np.random.default_rng(5)
    fisher_ = {path: rng.exponential(1e-3, value.shape) for path, value in parts.trained.items()}
    given = Constants(*map(trainable.device_values, (parts.frozen, parts.trained, float32(fisher_))))
    state = training_step.initial(trainable.device_values(parts.trained), schedule)
    lockstep = Lockstep(state, given, 1)
    advance = lockstep.stepping(training_step.training_step(parts, schedule))

    @jax.jit
    def gradients(trained):
        return jax.grad(lambda t: mean_loss(parts.decoder(t, given.frozen), rows))(trained)

    def mean_loss(decoder, rows):
        return loss.row_losses(decoder, rows)[0].sum() / rows.weights.sum()

    theta = {path: value.astype(np.float64) for path, value in parts.trained.items()}
    start, m, v = dict(theta), dict.fromkeys(theta, 0.0), dict.fromkeys(theta, 0.0)
    rates = 1e-3 * np.array([1 / 2, 1, 3 / 4, 1 / 4])  # a step of warm-up, then half a cosine over three
    for t, rate in enumerate(rates, 1):
        gradient = {path: np.float64(g) for path, g in gradients(float32(theta)).items()}
        norm = np.sqrt(sum((g**2).sum() for g in gradient.values()))
        assert norm > 1.2, "clipping is to be active"
        assert float(first(advance(some_rows(8))).gradient_norm) == pytest.approx(norm, rel=1e-3)
        for path, g in gradient.items():
            m[path] = 0.9 * m[path] + 0.1 * g / norm
            v[path] = 0.999 * v[path] + 0.001 * (g / norm) ** 2
            h = np.sqrt(v[path] / (1 - 0.999**t)) + 1e-8
            decay = 0.01 * theta[path] if path.endswith("kernel") else 0.0
            taken = theta[path] - rate * (m[path] / (1 - 0.9**t) / h + decay)
            pull = rate / norm * (40 * fisher_[path] + 0.5)
            theta[path] = (h * taken + pull * start[path]) / (h + pull)
    for path, value in lockstep.state().trained.items():
        np.testing.assert_allclose(value, theta[path], rtol=0, atol=1e-5, err_msg=path)


def float32(values):
    return {path: np.asarray(value, np.float32) for path, value in values.items()}


@pytest.mark.parametrize("train", ["lora:3", "cross", "decoder"])
def test_before_the_first_step_the_decoder_is_the_base(model, train):
    parts = trainable.split(model.dimensions, model.read, train, dtype=FLOAT32, seed=0)
    for name, value in parts.tensors(parts.trained).items():
        np.testing.assert_array_equal(value, model.read(name), err_msg=name)
    assert not any(path.startswith("exit_norm") for path in parts.trained)


def test_low_rank_is_added_by_its_product(model):
    parts = trainable.split(model.dimensions, model.read, "lora:3", dtype=FLOAT32, seed=0)
    rng = np.random.default_rng(0)
    trained = {
        path: rng.standard_normal(value.shape).astype(np.float32) for path, value in parts.trained.items()
    }
    found = parts.tensors(trained)
    name, path = "decoder.layers.0.encoder_attn.v_proj.weight", "blocks/cross/value/kernel"
    change = (trained[f"{path}/down"][0].astype(np.float64) @ trained[f"{path}/up"][0]).T
    assert np.linalg.matrix_rank(change) == 3
    np.testing.assert_allclose(found[name], model.read(name) + change, rtol=1e-5, atol=1e-5)
    same = "decoder.layers.0.encoder_attn.k_proj.weight"
    np.testing.assert_array_equal(found[same], model.read(same))


@pytest.fixture(scope="module")
def softmax():
    """Weights (4 inputs, 3 classes), inputs of 5 examples, their labels."""
    rng = np.random.default_rng(2)
    return rng.standard_normal((4, 3)), rng.standard_normal((5, 4)), np.array([0, 2, 1, 1, 0])


def likelihood(trained, row):
    x, label = row
    return jax.nn.log_softmax(x @ trained["w"])[label]


def test_fisher_of_a_softmax_with_labels_is_the_closed_form(softmax):
    w, x, labels = softmax
    p = np.exp(x @ w) / np.exp(x @ w).sum(1, keepdims=True)
    expected = np.einsum("bi,bc->ic", x**2, (np.eye(3)[labels] - p) ** 2)
    rows = (jnp.asarray(x, jnp.float32), jnp.asarray(labels))
    found = fisher.squared_gradients(likelihood, {"w": jnp.asarray(w, jnp.float32)}, rows)
    np.testing.assert_allclose(found["w"], expected, rtol=1e-4)


def test_fisher_of_a_softmax_with_drawn_labels_has_the_closed_form_as_its_mean(softmax):
    """E (1[c] - p_c)^2 = p_c (1 - p_c); of 4000 draws the mean is within 5 of its standard errors."""
    w, x, _ = softmax
    p = np.exp(x @ w) / np.exp(x @ w).sum(1, keepdims=True)
    draws = 4000
    keys = jax.random.split(jax.random.PRNGKey(0), draws)
    logits = jnp.broadcast_to(jnp.asarray(x @ w, jnp.float32), (draws, 5, 3))
    labels = np.asarray(fisher.drawn_labels(logits, keys))
    each = np.einsum("bi,dbc->dic", x**2, (np.eye(3)[labels] - p) ** 2)
    expected = np.einsum("bi,bc->ic", x**2, p * (1 - p))
    error = each.std(0) / np.sqrt(draws)
    assert (np.abs(each.mean(0) - expected) < 5 * error).all()


def test_the_order_follows_from_seed_and_step_alone():
    taken = [batches.order(7, 3, step, (5, 0)) for step in range(14)]
    assert taken == [batches.order(7, 3, step, (5, 0)) for step in range(14)]
    flat = [i for step in taken for i in step]
    passes = [flat[i : i + 7] for i in range(0, 42, 7)]
    assert all(sorted(one) == list(range(7)) for one in passes)
    assert len({tuple(one) for one in passes}) > 4
    assert taken[4] == batches.order(7, 3, 4, (5, 0))
    assert flat != [i for step in range(14) for i in batches.order(7, 3, step, (6, 0))]


def words(text):
    return [("en", text)]


def test_sentences_that_share_four_words_stay_together():
    texts = {
        "a": words("please enter your number now"),
        "b": words("Please, enter your number!"),
        "c": words("and then enter your number now again"),
        "d": words("nothing in common here at all"),
        "e": words("enter your number"),
        "f": [("zh", "请输入您的号码"), ("en", "something else entirely different")],
        "g": [("zh", "请输入您的密码")],
    }
    found = sentence_split.split(texts, 0.4, 0)
    same = collections.defaultdict(set)
    for sentence, cluster in found.cluster.items():
        same[cluster].add(sentence)
    assert sorted(map(sorted, same.values())) == [["a", "b", "c"], ["d"], ["e"], ["f", "g"]]
    assert 0 < len(found.dev) <= 3
    assert found.overlap[3] == 0


def test_sentences_outside_the_split_that_share_four_words_are_found():
    held = {"a": words("please enter your number now"), "b": [("zh", "请输入您的号码")]}
    others = {
        "c": words("do not ENTER your number, now!"),
        "d": words("enter your number"),
        "e": [("fr", "please enter your number now"), ("zh", "不要输入您的")],
        "f": [("fr", "please enter your number now")],
    }
    assert sentence_split.sharing(held, others) == ["c", "e"]


def test_no_gram_is_in_both_parts_of_random_texts():
    rng = np.random.default_rng(0)
    texts = {str(i): words(" ".join(rng.choice(list("abcde"), 7))) for i in range(60)}
    found = sentence_split.split(texts, 0.2, 3)
    parts = [
        {
            g
            for s in texts
            if (s in found.dev) is held
            for _, t in texts[s]
            for g in sentence_split.grams(t, "en")
        }
        for held in (True, False)
    ]
    assert found.dev
    assert not parts[0] & parts[1]
    assert sentence_split.split(texts, 0.2, 4).dev != found.dev


def test_the_hash_of_an_encoder_is_that_of_any_format(model):
    """Formats list tensors in orders of their own."""
    turned = dict(reversed(model.weights.tensors.items()))
    other = dataclasses.replace(model, weights=dataclasses.replace(model.weights, tensors=turned))
    assert other.encoder_sha256 == model.encoder_sha256
