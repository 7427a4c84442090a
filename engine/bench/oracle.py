"""Float64 references that are fast enough for the sizes of a benchmark, in NumPy alone.

SeqSim, DTW, the log-mel, Whisper's encoder and its decoder's loss written down once more, without a line of
what is timed; tests hold them against `kernels.reference` and against the product's own.
"""

import dataclasses
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import special

from isogloss.engine.checkpoints.dimensions import Dimensions

UNIT_ROUNDOFF = 2.0**-24  # of float32


def cosines(x: Float[np.ndarray, "N D"], y: Float[np.ndarray, "M D"]) -> Float[np.ndarray, "N M"]:
    """Cosine of every row of x with every row of y; no row is all zeros."""
    a, b = x.astype(np.float64), y.astype(np.float64)
    a /= np.linalg.norm(a, axis=1, keepdims=True)
    b /= np.linalg.norm(b, axis=1, keepdims=True)
    return a @ b.T


def seqsim(x: Float[np.ndarray, "N D"], y: Float[np.ndarray, "M D"]) -> tuple[float, float]:
    """(precision, recall) of two utterances."""
    c = cosines(x, y)
    return float(c.max(axis=1).mean()), float(c.max(axis=0).mean())


def dtw_cost(distances: Float[np.ndarray, "N M"]) -> float:
    """Sum along the cheapest path through a table, by anti-diagonals."""
    rows, columns = distances.shape
    before, now = np.full(rows + 1, np.inf), np.full(rows + 1, np.inf)
    before[0] = 0.0  # the way into the table: cell (-1, -1)
    for k in range(rows + columns - 1):
        i = np.arange(max(0, k - columns + 1), min(k, rows - 1) + 1)
        following = np.full(rows + 1, np.inf)
        following[i + 1] = distances[i, k - i] + np.minimum(np.minimum(before[i], now[i]), now[i + 1])
        before, now = now, following
    return float(now[rows])


def log_mel(
    waveform: Float[np.ndarray, " samples"], filters: Float[np.ndarray, "bins mels"]
) -> Float[np.ndarray, "T mels"]:
    """Whisper's log-mel: Hann window of 400, hop 160, reflected edges, floor at the maximum - 8."""
    # Half a window reflected at either end centres a frame on its time.
    padded = np.pad(waveform.astype(np.float64), 200, mode="reflect")
    frames = np.lib.stride_tricks.sliding_window_view(padded, 400)[::160][: len(waveform) // 160]
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(400) / 400)
    power = np.abs(np.fft.rfft(frames * hann)) ** 2
    log = np.log10(np.maximum(power @ filters.astype(np.float64), 1e-10))
    return (np.maximum(log, log.max() - 8) + 4) / 4


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Layers:
    """Layers of Whisper by the canonical names of their tensors."""

    tensors: Mapping[str, Float[np.ndarray, "..."]]
    heads: int

    def tensor(self, name: str) -> Float[np.ndarray, "..."]:
        return self.tensors[name].astype(np.float64)

    def linear(self, x: Float[np.ndarray, "N K"], name: str) -> Float[np.ndarray, "N D"]:
        # Whisper's projections of keys have no bias.
        product = x @ self.tensor(f"{name}.weight").T
        return product if name.endswith("k_proj") else product + self.tensor(f"{name}.bias")

    def norm(self, x: Float[np.ndarray, "N D"], name: str) -> Float[np.ndarray, "N D"]:
        centred = x - x.mean(axis=1, keepdims=True)
        scaled = centred / np.sqrt(np.square(centred).mean(axis=1, keepdims=True) + 1e-5)
        return scaled * self.tensor(f"{name}.weight") + self.tensor(f"{name}.bias")

    def convolution(self, x: Float[np.ndarray, "T C"], name: str, stride: int) -> Float[np.ndarray, "N D"]:
        # A convolution of width 3 as one product: the windows of an input stand beside each other.
        windows = np.lib.stride_tricks.sliding_window_view(np.pad(x, ((1, 1), (0, 0))), 3, axis=0)[::stride]
        weight = self.tensor(f"{name}.weight")  # (out, in, 3), as the windows (N, in, 3)
        flat = weight.reshape(len(weight), -1)
        return windows.reshape(len(windows), -1) @ flat.T + self.tensor(f"{name}.bias")

    def attention(
        self,
        x: Float[np.ndarray, "N D"],
        source: Float[np.ndarray, "M D"],
        name: str,
        hidden: Bool[np.ndarray, "N M"] | None = None,
    ) -> Float[np.ndarray, "N D"]:
        split = [
            np.split(self.linear(given, f"{name}.{letter}_proj"), self.heads, axis=1)
            for letter, given in (("q", x), ("k", source), ("v", source))
        ]
        mixed = []
        for query, key, value in zip(*split, strict=True):
            scores = query @ key.T / np.sqrt(query.shape[1])
            if hidden is not None:
                scores[hidden] = -np.inf
            weights = np.exp(scores - scores.max(axis=1, keepdims=True))
            mixed.append(weights / weights.sum(axis=1, keepdims=True) @ value)
        return self.linear(np.concatenate(mixed, axis=1), f"{name}.out_proj")

    def perceptron(self, x: Float[np.ndarray, "N D"], name: str) -> Float[np.ndarray, "N D"]:
        wide = _gelu(self.linear(self.norm(x, f"{name}.final_layer_norm"), f"{name}.fc1"))
        return self.linear(wide, f"{name}.fc2")


def encoder_states(
    tensors: Mapping[str, Float[np.ndarray, "..."]],
    sizes: Dimensions,
    mel: Float[np.ndarray, "T mels"],
) -> Float[np.ndarray, "S N D"]:
    """Every state of Whisper's encoder for one window; tensors by canonical name."""
    of = _Layers(tensors=tensors, heads=sizes.heads)
    x = _gelu(of.convolution(mel.astype(np.float64), "encoder.conv1", 1))
    x = _gelu(of.convolution(x, "encoder.conv2", 2)) + of.tensor("encoder.embed_positions.weight")
    states = [x]
    for layer in range(sizes.encoder_layers):
        name = f"encoder.layers.{layer}"
        normed = of.norm(x, f"{name}.self_attn_layer_norm")
        x = x + of.attention(normed, normed, f"{name}.self_attn")
        x = x + of.perceptron(x, name)
        states.append(x)
    return np.stack([*states, of.norm(x, "encoder.layer_norm")])


def negative_log_likelihood(
    tensors: Mapping[str, Float[np.ndarray, "..."]],
    sizes: Dimensions,
    states: Float[np.ndarray, "N D"],
    tokens: Int[np.ndarray, " T"],
    targets: Int[np.ndarray, " T"],
) -> Float[np.ndarray, " T"]:
    """Negative log-likelihood of each target by Whisper's decoder, which reads tokens and encoder states."""
    of = _Layers(tensors=tensors, heads=sizes.heads)
    embedding = of.tensor("decoder.embed_tokens.weight")
    x = embedding[tokens] + of.tensor("decoder.embed_positions.weight")[: len(tokens)]
    memory, later = states.astype(np.float64), np.triu(np.ones((len(tokens), len(tokens)), bool), 1)
    for layer in range(sizes.decoder_layers):
        name = f"decoder.layers.{layer}"
        normed = of.norm(x, f"{name}.self_attn_layer_norm")
        x = x + of.attention(normed, normed, f"{name}.self_attn", later)
        x = x + of.attention(of.norm(x, f"{name}.encoder_attn_layer_norm"), memory, f"{name}.encoder_attn")
        x = x + of.perceptron(x, name)
    logits = of.norm(x, "decoder.layer_norm") @ embedding.T
    return special.logsumexp(logits, axis=1) - logits[np.arange(len(targets)), targets]


def _gelu(x: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N D"]:
    return 0.5 * x * (1 + special.erf(x / np.sqrt(2)))
