"""Inputs of the control job: one or two grids, the texts of their sentences, and what each rater finds there.

All bad input is refused here, before anything is computed.
"""

import dataclasses
from collections.abc import Mapping, Sequence

from isogloss.engine.control import names as name_raters, rules
from isogloss.engine.control.control_config import ControlConfig
from isogloss.engine.control.rules import Evidence
from isogloss.engine.corpora import corpus
from isogloss.engine.corpora.listing import Listing
from isogloss.engine.grid import grid_store, pair_names
from isogloss.engine.grid.grid_store import Grid, Pair
from isogloss.engine.retrieval.derived import record
from isogloss.engine.runtime.name_lists import first_names
from isogloss.engine.runtime.place import Place
from isogloss.engine.runtime.refusal import Refusal


@dataclasses.dataclass(frozen=True, kw_only=True)
class ControlInputs:
    """Grids and texts.

    Attributes:
      grid: of the encoder that is judged.
      against: of the other encoder; None without one.
      pairs: of both grids, as in `grid`.
      states: indices of the states on the axis of `grid`.
      texts: transcription and raw text by language and sentence.
      evidence: of names and numbers.
    """

    grid: Grid
    against: Grid | None
    pairs: tuple[Pair, ...]
    states: tuple[int, ...]
    texts: Mapping[str, Mapping[str, tuple[str, str]]]
    evidence: Evidence

    def other_state(self, state: int) -> int:
        """Index of the state of `against` at the same relative depth; see `relative_depths`."""
        assert self.against is not None
        wanted, there = relative_depths(self.grid.states)[state], relative_depths(self.against.states)
        return min(range(len(there)), key=lambda k: abs(there[k] - wanted))


def relative_depths(states: Sequence[str]) -> list[float]:
    """Place of each state: its block over the number of blocks; 2 of "final", so that it meets itself."""
    blocks = max((int(name) for name in states if name.isdecimal()), default=0)
    # "final" is a norm after the last block, so it may not meet that block at depth 1.0.
    return [int(name) / max(blocks, 1) if name.isdecimal() else 2.0 for name in states]


def open_inputs(config: ControlConfig) -> ControlInputs:
    """Inputs of a run.

    Raises:
      Refusal: a grid, measure, pair, state, sentence, text or rater is missing.
    """
    grid = _open(config.grid, config.measure)
    against = _open(config.against, config.measure) if config.against else None
    pairs = _pairs(config, grid, against)
    texts = _texts(config, grid, sorted({code for pair in pairs for code in pair}))
    raw = {code: {s: raw for s, (_, raw) in held.items()} for code, held in texts.items()}
    return ControlInputs(
        grid=grid,
        against=against,
        pairs=pairs,
        states=_states(config, grid),
        texts=texts,
        evidence=rules.evidence(raw, name_raters.find(config.names, raw)),
    )


def _open(path: Place, measure: str) -> Grid:
    grid = grid_store.open_grid(path).only(self_pairs=False)
    if measure not in grid.ranked:
        raise Refusal(f"--measure={measure}: {path} has {', '.join(grid.ranked)}; run the grid job with it")
    # Both directions are read from one matrix here, once as it is and once transposed.
    if record(measure).backward != measure:
        raise Refusal(f"--measure={measure} is not its own transpose; name one that is, such as seqsim")
    return grid


def _pairs(config: ControlConfig, grid: Grid, against: Grid | None) -> tuple[Pair, ...]:
    named = pair_names.either_way(config.pairs, grid.pairs, config.grid)
    # In the grid's own order of the two languages, and each pair once.
    own = dict.fromkeys((a, b) if (a, b) in grid.pairs else (b, a) for a, b in named)
    pairs = tuple(own) or grid.pairs
    if against is not None:
        both = [pair for pair in pairs if {pair, pair[::-1]} & {*against.pairs}]
        if lacking := [grid_store.pair_name(pair) for pair in pairs if pair not in both]:
            raise Refusal(
                f"--against={config.against} lacks the pairs {first_names(lacking)}: run the grid job there, "
                "or name the others by --pairs"
            )
    return pairs


def _states(config: ControlConfig, grid: Grid) -> tuple[int, ...]:
    if absent := [name for name in config.states if name not in grid.states]:
        raise Refusal(f"--states={','.join(absent)}: {config.grid} has {', '.join(grid.states)}")
    return tuple(grid.states.index(name) for name in config.states or grid.states)


def _texts(
    config: ControlConfig, grid: Grid, languages: Sequence[str]
) -> dict[str, dict[str, tuple[str, str]]]:
    """Texts of the grid's sentences; the raw one is the transcription where the corpus has no other."""
    opened = corpus.open_corpus(config.corpus, config.columns)
    wanted = set(grid.sentences)
    found = {}
    for language in languages:
        listed = opened.listing(language, "first")
        _compare(config, grid, listed)
        found[language] = {
            each.sentence: (
                each.transcription or each.raw_transcription,
                # Names are marked by capitals, which transcriptions of FLEURS lack.
                each.raw_transcription or each.transcription,
            )
            for each in listed.utterances
            if each.sentence in wanted
        }
        if empty := [sentence for sentence, (text, _) in found[language].items() if not text]:
            raise Refusal(
                f"--corpus={config.corpus}: {len(empty)} sentences of {language} have no text: "
                f"{first_names(empty)}. Sound and meaning need transcriptions"
            )
    return found


def _compare(config: ControlConfig, grid: Grid, listed: Listing) -> None:
    """Refuse a corpus without a sentence that the grid has; texts belong to sentences, not to recordings."""
    held = grid.axes.recordings.get(listed.language, {})
    known = {each.sentence for each in listed.utterances}
    if lacking := [sentence for sentence in held if sentence not in known]:
        raise Refusal(
            f"--corpus={config.corpus} lacks {len(lacking)} sentences of {listed.language} that "
            f"{config.grid} has: {first_names(lacking)}. Name the corpus that the grid's store was made of"
        )
