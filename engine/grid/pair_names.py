"""Language pairs by their names: those that an option asks for, and what a name a-b can mean."""

from collections.abc import Collection, Sequence

from isogloss.engine.grid.grid_axes import Pair, pair_name
from isogloss.engine.runtime.name_lists import first_names
from isogloss.engine.runtime.place import Place
from isogloss.engine.runtime.refusal import Refusal


def parse_pairs(wanted: Sequence[str], languages: Sequence[str]) -> tuple[Pair, ...]:
    """Pairs that `--pairs` names, each in the order of `languages`; all pairs if it names none.

    Raises:
      Refusal: a pair doesn't have two different languages of `languages`, or is named twice.
    """
    if not wanted:
        return tuple((a, b) for i, a in enumerate(languages) for b in languages[i + 1 :])
    found = []
    for text in wanted:
        known = split(text, languages)
        if not known:
            raise Refusal(
                f"--pairs={text}: a pair is two extracted languages, a-b; "
                f"extracted are {', '.join(languages)}"
            )
        a, b = known[0]
        if a == b:
            raise Refusal(
                f"--pairs={text}: a language isn't compared with itself here; name two, or give --self_pairs"
            )
        found.append((a, b) if languages.index(a) < languages.index(b) else (b, a))
    if len(set(found)) < len(found):
        raise Refusal(f"--pairs names a pair twice: {','.join(wanted)}; a-b and b-a are the same pair")
    return tuple(sorted(found, key=lambda pair: [languages.index(code) for code in pair]))


def indices(flag: str, wanted: Sequence[str], pairs: Sequence[Pair]) -> list[int]:
    """Index of each pair that an option names, in the order of `pairs`; a-b and b-a are the same.

    Raises:
      Refusal: there is no such pair, or it is named twice.
    """
    place = {f"{b}-{a}": i for i, (a, b) in enumerate(pairs)}
    place |= {f"{a}-{b}": i for i, (a, b) in enumerate(pairs)}
    if unknown := [name for name in wanted if name not in place]:
        raise Refusal(
            f"--{flag}: the grid has no pair {first_names(unknown)}. Name pairs a-b of two languages among "
            f"{', '.join(sorted({code for pair in pairs for code in pair}))}"
        )
    found = sorted({place[name] for name in wanted})
    if len(found) < len(wanted):
        raise Refusal(f"--{flag} names a pair twice: {','.join(wanted)}; a-b and b-a are the same pair")
    return found


def either_way(wanted: Sequence[str], pairs: Sequence[Pair], where: Place) -> tuple[Pair, ...]:
    """Pairs that `--pairs` names, in their order and as they are named; b-a stands for a-b turned round.

    Raises:
      Refusal: the grid at `where`, which has `pairs`, has one in neither direction.
    """
    by_name = {pair_name(pair): pair for pair in sorted({*pairs, *((b, a) for a, b in pairs)})}
    for text in wanted:
        if text not in by_name:
            there = first_names([pair_name(pair) for pair in pairs])
            raise Refusal(f"--pairs={text}: {where} has no such pair; it has {there}, in both directions")
    return tuple(by_name[text] for text in wanted)


def split(name: str, languages: Collection[str]) -> list[Pair]:
    """Pairs of known languages that a name a-b can mean: a code may contain "-" itself."""
    cuts = [(name[:i], name[i + 1 :]) for i, letter in enumerate(name) if letter == "-"]
    return [(a, b) for a, b in cuts if a in languages and b in languages]
