"""Amounts as people read them: sizes, durations, and the figures of a plan."""

_DECIMALS_BELOW = 10  # 3.4 GB, but 34 GB


def size(amount: int | float) -> str:
    """Number of bytes in units of 1000: "23 MB"."""
    return scaled(amount, "B")


def scaled(amount: int | float, unit: str) -> str:
    """Amount with the prefix that leaves it below 1000: "3.4 TFLOP"."""
    for prefix in ("", "k", "M", "G", "T", "P"):
        if amount < 999.5 or prefix == "P":
            break
        amount /= 1000
    digits = 1 if prefix and amount < _DECIMALS_BELOW else 0
    return f"{amount:,.{digits}f} {prefix}{unit}"


def duration(seconds: int | float) -> str:
    """Duration in its two largest units: "35 s", "3 h 20 min", "2 d 4 h"."""
    whole = round(seconds)
    for length, name, part, part_name in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole >= length:
            return f"{whole // length} {name} {whole % length // part} {part_name}"
    return f"{seconds:.1f} s" if 0 < seconds < _DECIMALS_BELOW else f"{whole} s"


def figure(name: str, amount: int | float) -> str:
    """One figure of a plan: its name tells the unit, as in "bytes" and "estimated_seconds"."""
    last = name.rpartition("_")[2]
    if name.endswith("flops_per_second"):
        return scaled(amount, "FLOP/s")
    if last == "bytes":
        return size(amount)
    if last == "seconds":
        return f"about {duration(amount)}"
    return scaled(amount, "FLOP") if last == "flops" else f"{amount:,}"
