"""A group's large array, so small that a test writes it by hand."""

from isogloss.engine.runtime.zarr_group import Array


def scores_array(rows, columns):
    """Array "scores" (pair, query) of float32, one chunk a pair."""
    return Array(
        name="scores",
        axes=("pair", "query"),
        shape=(rows, columns),
        chunk=(1, columns),
        inner=None,
        dtype="float32",
        attributes={"units": "1"},
    )
