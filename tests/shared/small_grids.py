"""Grids on disk whose scores a test gives."""

from isogloss.engine.grid import grid_store


def made_grid(
    path,
    pairs,
    sentences,
    *,
    states=("6", "final"),
    measures=("seqsim", "dtw"),
    frames=None,
    recordings=None,
    **identity,
):
    """Empty grid of languages that all have all sentences; frames and recordings by language and sentence."""
    plan = grid_store.Plan(
        pairs=tuple(pairs),
        states=states,
        sentences=tuple(sentences),
        measures=measures,
        common=(len(sentences),) * len(pairs),
        recordings=recordings or {},
        frames=frames or {},
        identity=identity,
        flags={},
    )
    return grid_store.create_or_grow(path, plan)
