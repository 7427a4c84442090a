"""Results that a step lacks although its tasks have ended: asked of store, grid or folder, not remembered.

Files may have been removed since, by `verify --repair` for instance, and a corpus or a store may have grown.
Listings and metadata are read, no states, no scores. Of audio the fingerprints are read: of a store in a
folder those of files that have changed since it got its labels, of a store in a bucket, which tells no times,
those of all its recordings.
"""

import logging
import pathlib
from collections.abc import Mapping

from isogloss.engine.activations import activation_store, store_languages
from isogloss.engine.activations.activation_store import LanguageStore
from isogloss.engine.cluster.steps import Step
from isogloss.engine.corpora import corpus
from isogloss.engine.corpora.corpus import Corpus
from isogloss.engine.corpora.listing import Listing
from isogloss.engine.grid import grid_store, pair_names
from isogloss.engine.runtime import name_lists, objects, written_once, zarr_group
from isogloss.engine.runtime.refusal import Refusal, UnreachableError
from isogloss.engine.tallies import grid_status, store_status

_LOG = logging.getLogger(__name__)
_CLOCKS = 60.0  # seconds by which clocks of a corpus's and a store's disks may differ


def lacking(step: Step, *, whole: bool) -> str:
    """Results that a step lacks, in words; "" if they are whole, or if its flags name none.

    Args:
      step: step of which some tasks have ended.
      whole: whether all of them ended without a failure. Others are started again by their own exit codes, so
        that units that they couldn't make aren't lacking.

    Raises:
      Refusal: something else is in the place of its store or grid.
    """
    if step.job in ("extract", "convert"):
        return _of_store(step)
    if step.job == "grid":
        return _of_grid(step, whole=whole)
    out = step.place("out")
    if not isinstance(out, pathlib.Path):
        return ""
    if step.job == "report":
        return _of_report(out)
    return "" if out.exists() else f"{out} isn't there"


def _of_report(out: pathlib.Path) -> str:
    lost = written_once.lost(out, "report")
    if lost is None:
        return f"{out} has no whole report"
    return f"{out} lacks {name_lists.first_names(lost)}" if lost else ""


def _of_store(step: Step) -> str:
    root = step.place("store")
    if root is None:
        return ""
    stores, listed = activation_store.stores(root), _corpus(step)
    asked = step.values("languages") or (listed.languages() if listed else store_languages.codes(root))
    if absent := [code for code in asked if code not in stores]:
        return f"{root} has no {name_lists.first_names(absent)}"
    counts = store_status.counts({code: stores[code] for code in asked})
    if left := sum(count.left for count in counts.values()):
        return f"{root} lacks {left:,} of {sum(count.total for count in counts.values()):,} utterances"
    found = {code: _grown(step, listed, stores[code]) for code in asked} if listed else {}
    return "; ".join(f"the corpus has {text} of {code}" for code, text in found.items() if text)


def _corpus(step: Step) -> Corpus | None:
    """Corpus of a step; None, and a warning, if it isn't there any more."""
    spec = step.value("corpus")
    try:
        return corpus.open_corpus(spec, step.values("columns")) if spec else None
    except (Refusal, UnreachableError) as error:
        _LOG.warning("%s: whether the corpus has grown isn't known: %s", step.name, error)
        return None


def _grown(step: Step, listed: Corpus, store: LanguageStore) -> str:
    """Names of utterances that the corpus has more or fewer than a store."""
    listing = listed.listing(store.language, step.value("recordings") or "first")
    now, before = [utterance.name for utterance in listing.utterances], store.names
    more, fewer = set(now) - set(before), set(before) - set(now)
    return name_lists.changes(
        [name for name in now if name in more],
        [name for name in before if name in fewer],
        _replaced(listing, store),
    )


def _replaced(listing: Listing, store: LanguageStore) -> list[str]:
    """Names of utterances whose recordings aren't those that a store has states of.

    A file that is older than the store's labels is the one that they describe, and isn't opened.
    """
    if "recording" not in store.columns:  # of an older format
        return []
    held = dict(zip(store.names, store.coordinate("recording"), strict=True))
    [made] = objects.times([store.path / zarr_group.METADATA])  # None in a bucket: all are looked at
    young = [
        utterance
        for utterance in listing.utterances
        if utterance.name in held and (made is None or (utterance.source.changed() or 0.0) > made - _CLOCKS)
    ]
    return [each.name for each in young if each.source.fingerprint() != held[each.name]]


def _of_grid(step: Step, *, whole: bool) -> str:
    path, root = step.place("grid"), step.place("store")
    if path is None or root is None:
        return ""
    if not zarr_group.exists(path):
        return f"{path} isn't there"
    count = grid_status.tally(path).count
    if missing := count.left + (count.failed if whole else 0):
        return f"{path} lacks {missing:,} of {count.total:,} units"
    held = grid_store.open_group(path).attributes["languages"]
    assert isinstance(held, Mapping)
    stores = activation_store.stores(root)
    asked = step.values("languages") or tuple(stores)
    if step.values("pairs"):
        pairs = pair_names.parse_pairs(step.values("pairs"), asked)
        asked = tuple(sorted({code for pair in pairs for code in pair}))
    other = [code for code in asked if code in stores and not _same(held.get(code), stores[code])]
    return f"{root} has grown since {path} was made: {name_lists.first_names(other)}" if other else ""


def _same(described: object, store: LanguageStore) -> bool:
    """True if a grid's language was made of the recordings that its store has now."""
    if not isinstance(described, Mapping):
        return False
    noted = {note["utterance"] for note in store.notes().values()}
    broken_still = noted.issuperset(described.get("missing", ()))
    return broken_still and described.get("corpus_sha256") == store.attributes["corpus_sha256"]
