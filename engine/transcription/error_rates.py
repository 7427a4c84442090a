"""Error rates of a corpus from counts of its utterances, with intervals, and the gain of a state.

Pure NumPy. A rate is the sum of edits divided by the sum of reference lengths; it exceeds 1 if texts have
many insertions. Intervals are percentile bootstraps over utterances. All states share the resamples, so a
gain is paired. The best state is chosen on the utterances that its gain is measured on: the gain is biased
upwards, more so with many states and few utterances.
"""

import dataclasses

import numpy as np
from jaxtyping import Float, Int

from isogloss.engine.runtime.refusal import Refusal
from isogloss.kernels import bootstrap


@dataclasses.dataclass(frozen=True, kw_only=True)
class Figure:
    """A figure and its 95% interval; NaN without data."""

    value: float
    low: float
    high: float

    def by_suffix(self) -> dict[str, float]:
        """The numbers by what the names of their columns end with."""
        return {"": self.value, "_low": self.low, "_high": self.high}


NOTHING = Figure(value=float("nan"), low=float("nan"), high=float("nan"))


@dataclasses.dataclass(frozen=True, kw_only=True)
class Resampled:
    """A figure of the corpus and of every resample of its utterances.

    Attributes:
      value: of the corpus.
      draws: of the resamples; none without data.
    """

    value: float
    draws: Float[np.ndarray, " R"]

    def figure(self) -> Figure:
        """The value with its interval."""
        if not len(self.draws):
            return NOTHING
        [low], [high] = bootstrap.ends(self.draws[:, None])
        return Figure(value=self.value, low=float(low), high=float(high))

    def gain_over(self, other: "Resampled", *, smaller_is_better: bool) -> Figure:
        """Gain of this over `other`, on the same resamples; above 0 is better."""
        # The draws of both are of the same utterances, so what makes an utterance hard cancels out.
        better, worse = (other, self) if smaller_is_better else (self, other)
        return Resampled(value=better.value - worse.value, draws=better.draws - worse.draws).figure()


NO_RATE = Resampled(value=float("nan"), draws=np.zeros(0))


def rate(edits: Int[np.ndarray, " U"], lengths: Int[np.ndarray, " U"]) -> Resampled:
    """Error rate of U utterances, each with a reference of at least one word or character."""
    n = len(lengths)
    if not n:
        return NO_RATE
    if lengths.min() < 1:
        raise Refusal("a reference must have at least one word or character, got one of none")
    # Edits and lengths are drawn together: the rate of a resample is a ratio of sums, not a mean of rates.
    sums = bootstrap.resamples(n).astype(np.float64) @ np.stack([edits, lengths], axis=1).astype(np.float64)
    return Resampled(value=float(edits.sum() / lengths.sum()), draws=sums[:, 0] / sums[:, 1])
