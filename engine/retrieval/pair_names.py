"""Language pairs by their names: those that `--pairs` asks for, and what a name a-b can mean."""

from collections.abc import Collection, Sequence

from isogloss.engine.retrieval.grid_axes import Pair
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


def split(name: str, languages: Collection[str]) -> list[Pair]:
    """Pairs of known languages that a name a-b can mean: a code may contain "-" itself."""
    cuts = [(name[:i], name[i + 1 :]) for i, letter in enumerate(name) if letter == "-"]
    return [(a, b) for a, b in cuts if a in languages and b in languages]
