"""Benchmark of the encoder: every state of one step of 30 s windows, random weights.

Useful work for the yardstick is `encoder_program.flops`; norms, softmax and GELU are not in it. With peers,
the encoder of transformers with SDPA attention and the same weights, all hidden states. The check runs the
first window through a float64 encoder: some seconds for a large model.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float32

from isogloss.engine.bench import data, oracle
from isogloss.engine.bench.setting import BenchSetting, Planned, peer
from isogloss.engine.bench.timing import Case, Check, TimedTask
from isogloss.engine.checkpoints.dimensions import Dimensions, tensor_shapes
from isogloss.engine.runtime import devices
from isogloss.engine.whisper import encoder_program, log_mel, parameters

PEERS = ("torch", "transformers")
_UNIT = "audio s/s"
SIZES = {"base": (512, 8, 6), "small": (768, 12, 12), "large-v2": (1280, 20, 32)}


def dimensions(
    features: int, heads: int, layers: int, positions: int = encoder_program.WINDOW_FRAMES
) -> Dimensions:
    """A Whisper's encoder; of its decoder nothing is used."""
    return Dimensions(
        mels=80,
        features=features,
        heads=heads,
        encoder_layers=layers,
        decoder_layers=1,
        positions=positions,
        text_positions=8,
        vocabulary=11,
        ffn=4 * features,
    )


def cases(setting: BenchSetting) -> list[Planned]:
    """Base and small, on an accelerator also large-v2."""
    if setting.quick:
        models = {"nano": dimensions(16, 2, 2, positions=100)}
    else:
        names = ("base", "small") if setting.device == "cpu" else tuple(SIZES)
        models = {name: dimensions(*SIZES[name]) for name in names}
    planned = []
    for name, sizes in models.items():
        rows = encoder_program.rows_per_device(setting.device, sizes, devices.memory())
        title = f"{name}, all states, {rows} x {sizes.positions / 50:g} s"
        planned.append(Planned(title=title, build=functools.partial(_case, setting, title, sizes, rows)))
    return planned


def random_tensors(
    sizes: Dimensions, parts: tuple[str, ...] = ("encoder.",)
) -> dict[str, Float32[np.ndarray, "..."]]:
    """Random weights whose states keep their scale, by canonical name; of the parts whose names begin so."""
    random = data.rng(3)
    # Each weight has the variance of one over its inputs, so the stream neither grows nor fades.
    tensors = {}
    for name, shape in tensor_shapes(sizes).items():
        if name.startswith(parts):
            spread = 0.1 if len(shape) == 1 else np.prod(shape[1:]) ** -0.5
            centre = 1.0 if "norm.weight" in name else 0.0
            tensors[name] = np.asarray(
                centre + spread * random.standard_normal(shape, np.float32), np.float32
            )
    return tensors


def filters(sizes: Dimensions) -> Float32[np.ndarray, "bins mels"]:
    """Triangles equally wide in Hz: random weights need no librosa, and no speed depends on the values."""
    bins, centres = np.arange(log_mel.WINDOW // 2 + 1), np.linspace(0, log_mel.WINDOW // 2, sizes.mels)
    return np.maximum(0, 1 - np.abs(bins[:, None] - centres) / centres[1]).astype(np.float32)


def _case(setting: BenchSetting, title: str, sizes: Dimensions, rows: int) -> Case:
    tensors = random_tensors(sizes)
    shape = (rows, 2 * sizes.positions, sizes.mels)
    mel = data.rng(4).standard_normal(shape, np.float32)
    precision = encoder_program.precision_for(setting.device)
    dtype = jnp.dtype(precision.compute)
    graph, shapes = parameters.build(sizes, dtype=dtype, form=precision.attention)
    weights = parameters.cast(parameters.load(shapes, tensors.__getitem__, sizes.encoder_layers), dtype)
    # The weights are an argument, as in the product; as constants they would be part of the program.
    run = jax.jit(lambda weights, mel: nnx.merge(graph, weights)(mel))
    placed = jnp.asarray(mel)

    @functools.cache
    def expected() -> np.ndarray:
        return oracle.encoder_states(tensors, sizes, mel[0])

    def check(result: object) -> Check:
        assert isinstance(result, jax.Array)
        return check_states(np.asarray(result[:, 0], np.float64), expected(), sizes, precision.compute)

    def check_peer(result: object) -> Check:
        assert isinstance(result, tuple)
        found = np.stack([state[0].double().cpu().numpy() for state in result])
        # transformers has no state for the last block's output before the LayerNorm.
        return check_states(found, np.delete(expected(), -2, axis=0), sizes, precision.compute)

    def task(name: str, call: Callable[[], object], check: Callable[[object], Check]) -> TimedTask:
        audio = rows * sizes.positions / 50
        work = rows * encoder_program.flops(sizes) / 1e9
        return TimedTask(name=name, call=call, work=audio, unit=_UNIT, effort=work, check=check)

    ours = functools.partial(run, weights, placed)
    tasks = [task(f"{precision.compute}, {precision.attention} attention", ours, check)]
    if {"torch", "transformers"} <= setting.peers:
        states = _transformers(tensors, sizes, mel, setting.device)
        tasks.append(task("transformers, SDPA", states, check_peer))
    return Case(title=title, tasks=tuple(tasks), yardstick=setting.product)


def check_states(found: np.ndarray, expected: np.ndarray, sizes: Dimensions, compute: str) -> Check:
    """Norm of the difference over the norm, of the worst state of (S, N, D).

    A state has passed at most layers + 1 stages of 8 products.
    """
    flat = (len(expected), -1)
    difference = np.linalg.norm((found - expected).reshape(flat), axis=1)
    error = difference / np.linalg.norm(expected.reshape(flat), axis=1)
    return Check(error=float(error.max()), bound=rounding(sizes, compute, sizes.encoder_layers + 1, 8))


def rounding(sizes: Dimensions, compute: str, stages: int, products: int) -> float:
    """Bound of the relative error that rounding makes in so many stages of so many products each.

    In float32 the roundings of a sum of K terms of either sign grow like sqrt(K); in bfloat16 both operands
    of a product are rounded before it, so 2**-8 of its result whatever K. Stages are independent: they add
    like their square root.
    """
    unit = np.sqrt(sizes.ffn) * oracle.UNIT_ROUNDOFF if compute == "float32" else 2.0**-8
    return float(products * unit * np.sqrt(stages))


def _transformers(
    tensors: dict[str, Float32[np.ndarray, "..."]],
    sizes: Dimensions,
    mel: Float32[np.ndarray, "B T mels"],
    device: str,
) -> Callable[[], object]:
    """The encoder of transformers on the same weights: all states but the last block's un-normalised one."""
    torch, transformers = peer("torch"), peer("transformers")
    config = transformers.WhisperConfig(
        num_mel_bins=sizes.mels,
        d_model=sizes.features,
        encoder_layers=sizes.encoder_layers,
        encoder_attention_heads=sizes.heads,
        encoder_ffn_dim=sizes.ffn,
        max_source_positions=sizes.positions,
        attn_implementation="sdpa",
    )
    model = transformers.models.whisper.modeling_whisper.WhisperEncoder(config).eval()
    model.load_state_dict({name.removeprefix("encoder."): torch.from_numpy(t) for name, t in tensors.items()})
    place = {"device": "cpu"} if device == "cpu" else {"device": "cuda", "dtype": torch.bfloat16}
    model = model.to(**place)
    features = torch.from_numpy(mel).transpose(1, 2).contiguous().to(**place)

    def call() -> object:
        with torch.inference_mode():
            states = model(features, output_hidden_states=True).hidden_states
        if device != "cpu":
            torch.cuda.synchronize()
        return states

    return call
