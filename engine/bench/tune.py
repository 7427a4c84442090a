"""Benchmark of a training step: a decoder's loss, its gradients, clipping and AdamW, random weights.

The step is the tune job's on one device, on states that are there: no encoder. With peers, the same by
transformers and PyTorch's fused AdamW, given the states in place of its encoder's. Useful work is three times
the forward pass. The check is of the loss, against a float64 decoder; gradients are compared by
`tests/engine/training/test_loss.py`. Memory: base's decoder four times, 0.8 GB, and as much for the peer.
"""

import dataclasses
import functools
from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float32

from isogloss.engine.bench import data, encoder, oracle
from isogloss.engine.bench.setting import BenchSetting, Planned, peer
from isogloss.engine.bench.timing import Case, Check, TimedTask
from isogloss.engine.checkpoints.dimensions import Dimensions
from isogloss.engine.decoding import decoder_cost
from isogloss.engine.runtime.devices import Lockstep, first
from isogloss.engine.training import trainable, training_step
from isogloss.engine.training.loss import TaughtRows
from isogloss.engine.training.training_step import CLIP, Constants, Schedule, StepFigures
from isogloss.engine.whisper import encoder_program

PEERS = ("torch", "transformers")
Tensors = Mapping[str, Float32[np.ndarray, "..."]]
ROWS, TOKENS, PROMPT = 8, 64, 4  # texts of a prompt have 20 to 60 tokens
WINDOWS = (448, encoder_program.WINDOW_FRAMES)  # frames: cut by --window, and whole
# Far below half a unit of any weight's last digit: a step does all its work and leaves the weights as they
# are, so every call is the same.
RATE, DECAY = 1e-30, 0.01
_STEPS = 4  # in a row, as in training: memory that a step frees is then at hand for the next one
_PASSES = 3  # forward, and backward to activations and to parameters
_PRODUCTS = 14  # of a block one after another: 6 of each attention, 2 of the perceptron


def cases(setting: BenchSetting) -> list[Planned]:
    """Base with both windows."""
    features, heads, layers = (16, 2, 1) if setting.quick else encoder.SIZES["base"]
    sizes = dataclasses.replace(
        encoder.dimensions(features, heads, 1),
        decoder_layers=layers,
        text_positions=TOKENS if setting.quick else 448,
        vocabulary=64 if setting.quick else 51865,
    )
    windows = (20,) if setting.quick else WINDOWS
    titles = {window: f"base, {ROWS} x {window} frames, {TOKENS} tokens" for window in windows}
    return [
        Planned(title=title, build=functools.partial(_case, setting, title, sizes, window))
        for window, title in titles.items()
    ]


def _case(setting: BenchSetting, title: str, sizes: Dimensions, window: int) -> Case:
    tensors = encoder.random_tensors(sizes, ("decoder.", "encoder.layer_norm."))
    rows = taught_rows(sizes, window)
    compute = encoder_program.precision_for(setting.device).compute
    forward = decoder_cost.flops(sizes, window, TOKENS)

    @functools.cache
    def expected() -> float:
        host = jax.tree.map(np.asarray, rows)
        read = zip(host.states, host.tokens, host.targets, strict=True)
        losses = [oracle.negative_log_likelihood(tensors, sizes, *row) for row in read]
        return float(np.average(losses, weights=host.weights))

    def check(result: object) -> Check:
        """Of logits with a spread of 1 the error is their relative one, and the loss is more than 1."""
        assert isinstance(result, float)
        bound = encoder.rounding(sizes, compute, sizes.decoder_layers + 1, _PRODUCTS)
        return Check(error=abs(result - expected()) / expected(), bound=bound)

    def task(name: str, call: Callable[[], object]) -> TimedTask:
        work = _PASSES * ROWS * forward / 1e9
        return TimedTask(
            name=name,
            call=call,
            work=float(ROWS),
            unit="examples/s",
            effort=work,
            calls=1 if setting.quick else _STEPS,
            check=check,
        )

    tasks = [task(compute, _ours(tensors, sizes, rows, compute))]
    if {"torch", "transformers"} <= setting.peers:
        tasks.append(
            task("transformers, SDPA, fused AdamW", _transformers(tensors, sizes, rows, setting.device))
        )
    return Case(title=title, tasks=tuple(tasks), yardstick=setting.product)


def taught_rows(sizes: Dimensions, window: int) -> TaughtRows:
    """Random rows on the host: normal states, texts whose lengths differ."""
    random = data.rng(6)
    lengths, places = random.integers(TOKENS // 2, TOKENS, ROWS), np.arange(TOKENS)
    states = random.standard_normal((ROWS, window, sizes.features), np.float32)
    tokens, targets = random.integers(0, sizes.vocabulary, (2, ROWS, TOKENS), np.int32)
    weights = ((places >= PROMPT - 1) & (places < lengths[:, None])).astype(np.float32)
    visible, norm = np.full(ROWS, window, np.int32), np.zeros(ROWS, bool)
    # On the host, as the job reads them.
    return TaughtRows(states, visible, norm, tokens, targets, weights)  # pyright: ignore[reportArgumentType]


def _ours(tensors: Tensors, sizes: Dimensions, rows: TaughtRows, compute: str) -> Callable[[], float]:
    """The job's step, which returns its loss."""
    dtype = jnp.dtype(compute)
    parts = trainable.split(sizes, tensors.__getitem__, "decoder", dtype=dtype, seed=0)
    schedule = Schedule(steps=1000, warmup=0, learning_rate=RATE, weight_decay=DECAY, ewc=0.0, anchor=0.0)
    lockstep = Lockstep(
        training_step.initial(trainable.device_values(parts.trained), schedule),
        Constants(trainable.device_values(parts.frozen), {}, {}),
        devices=1,
    )
    advance = lockstep.stepping(training_step.training_step(parts, schedule))

    def call() -> float:
        figures: StepFigures = first(advance(rows))
        return float(figures.loss)

    return call


def _transformers(tensors: Tensors, sizes: Dimensions, rows: TaughtRows, device: str) -> Callable[[], float]:
    """The same step of transformers' Whisper, all of whose decoder is trained."""
    torch, transformers = peer("torch"), peer("transformers")
    config = transformers.WhisperConfig(
        vocab_size=sizes.vocabulary,
        d_model=sizes.features,
        encoder_layers=1,
        encoder_attention_heads=sizes.heads,
        encoder_ffn_dim=sizes.ffn,
        decoder_layers=sizes.decoder_layers,
        decoder_attention_heads=sizes.heads,
        decoder_ffn_dim=sizes.ffn,
        max_target_positions=sizes.text_positions,
        pad_token_id=0,
        bos_token_id=0,
        eos_token_id=0,
        decoder_start_token_id=0,
        attn_implementation="sdpa",
    )
    model = transformers.WhisperForConditionalGeneration(config).train()
    ours = {name: torch.from_numpy(value) for name, value in tensors.items()}
    assert not model.model.load_state_dict(ours, strict=False).unexpected_keys
    place = "cpu" if device == "cpu" else "cuda"
    model = model.to(place)
    trained = list(model.model.decoder.parameters())
    for parameter in trained:
        parameter.requires_grad = True  # positions too, as in ours
    optimizer = torch.optim.AdamW(trained, lr=RATE, weight_decay=DECAY, fused=True)
    labels = np.where(rows.weights > 0, rows.targets, -100)
    given = {
        "encoder_outputs": (torch.from_numpy(rows.states).to(place),),
        "decoder_input_ids": torch.from_numpy(np.int64(rows.tokens)).to(place),
        "labels": torch.from_numpy(np.int64(labels)).to(place),
    }

    def call() -> float:
        optimizer.zero_grad()
        with torch.autocast(place, torch.bfloat16, enabled=place == "cuda"):
            loss = model(**given, use_cache=False).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, CLIP)
        optimizer.step()
        return loss.item()

    return call
