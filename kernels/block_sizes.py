"""Block sizes of the Pallas kernels by kind of GPU: data and one lookup.

**None has been timed.** They follow from arithmetic and from the compiler: `stages` slices of both operands
fit the shared memory of a block (227 KB on Hopper, 163 KB on an A100, 99 KB on others), and of the tiles
that do, these are the largest whose kernel for two-byte frames Triton 3.9 compiled for sm_90 and sm_80
without spilling registers; 128 x 256 spills in the product's loop. `python -m isogloss.jobs.bench
--suite=blocks --device=gpu` times every candidate and prints the best, which then belongs into TABLE.
"""

import dataclasses


@dataclasses.dataclass(frozen=True, kw_only=True)
class Tile:
    """Blocks of the cosine tile.

    Attributes:
      rows: frames of A in a tile; at least 16, as Triton's product wants.
      columns: frames of B in a tile; likewise.
      depth: bytes of a frame multiplied at a time; at least 64, 16 float32.
      warps: of a program, 32 threads each.
      stages: slices of both operands under way at a time.
    """

    rows: int
    columns: int
    depth: int
    warps: int
    stages: int

    @property
    def shared_bytes(self) -> int:
        """Shared memory of a program: the slices under way."""
        return self.stages * (self.rows + self.columns) * self.depth

    @property
    def registers(self) -> int:
        """Registers of a thread that hold sums of the tile."""
        return self.rows * self.columns // (32 * self.warps)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Strip:
    """Blocks of the DTW table: `rows` by `columns` cells of `lanes` pairs, one pair in a thread."""

    rows: int
    columns: int
    lanes: int


@dataclasses.dataclass(frozen=True, kw_only=True)
class Blocks:
    """Block sizes of all kernels."""

    tile: Tile
    strip: Strip


_STRIP = Strip(rows=64, columns=16, lanes=32)
_HOPPER = Blocks(tile=Tile(rows=128, columns=128, depth=128, warps=8, stages=4), strip=_STRIP)
TABLE = {  # by device_kind, as JAX gives it
    "NVIDIA H200": _HOPPER,
    "NVIDIA H100 80GB HBM3": _HOPPER,
    "NVIDIA A100-SXM4-80GB": Blocks(
        tile=Tile(rows=128, columns=128, depth=128, warps=8, stages=4), strip=_STRIP
    ),
}
OTHER = Blocks(tile=Tile(rows=128, columns=128, depth=64, warps=8, stages=4), strip=_STRIP)
INTERPRETED = Blocks(  # the smallest there are, so that tests meet many blocks of few frames
    tile=Tile(rows=16, columns=16, depth=64, warps=1, stages=1),
    strip=Strip(rows=4, columns=2, lanes=8),
)
TILES = (
    *(Tile(rows=128, columns=128, depth=depth, warps=8, stages=s) for depth in (64, 128) for s in (3, 4)),
    *(Tile(rows=128, columns=256, depth=depth, warps=8, stages=s) for depth in (64, 128) for s in (3, 4)),
    *(Tile(rows=64, columns=256, depth=128, warps=8, stages=s) for s in (3, 4)),
    Tile(rows=256, columns=128, depth=128, warps=8, stages=3),
    Tile(rows=64, columns=128, depth=128, warps=4, stages=4),
)
STRIPS = tuple(
    Strip(rows=rows, columns=columns, lanes=lanes)
    for rows in (32, 64, 128)
    for columns in (8, 16)
    for lanes in (32, 64)
)


_SHARED_KB = {"NVIDIA H200": 227, "NVIDIA H100 80GB HBM3": 227, "NVIDIA A100-SXM4-80GB": 163}


def shared_bytes(device_kind: str) -> int:
    """Shared memory that a program may have on a GPU: what every one offers if it isn't known."""
    return 1024 * _SHARED_KB.get(device_kind, 99)


def blocks(device_kind: str) -> Blocks:
    """Block sizes for a GPU by its `device_kind`: those that any takes if TABLE doesn't know it."""
    return TABLE.get(device_kind, OTHER)
