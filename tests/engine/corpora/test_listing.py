"""Listings: ranks, order, and a hash that notices every change."""

import dataclasses
import pathlib

import pytest

from isogloss.engine.corpora import audio, listing


def recording(sentence, file, name=""):
    source = audio.FileSource(path=pathlib.Path(file), name=file, size=10)
    return listing.Recording(sentence=sentence, transcription="t", gender="", source=source, name=name)


FOUND = [recording("b", "1"), recording("a", "2"), recording("b", "0"), recording("c", "3", "mine")]


def names(found):
    return [(u.name, u.sentence, u.rank, u.source.name) for u in found.utterances]


def test_ranks_follow_the_order_given():
    rows = [("b.0", "b", 0, "1"), ("b.1", "b", 1, "0"), ("a.0", "a", 0, "2"), ("mine", "c", 0, "3")]
    assert names(listing.number("x", "en", FOUND, "all")) == rows
    assert names(listing.number("x", "en", FOUND)) == [row for row in rows if row[2] == 0]


def test_refuses_no_utterance_shared_names_and_unknown_choice():
    with pytest.raises(ValueError, match="no recording of en"):
        listing.number("x", "en", [])
    with pytest.raises(ValueError, match=r"2 names of en belong to several utterances: m, n"):
        listing.number("x", "en", [recording(str(i), "f", "mn"[i % 2]) for i in range(4)])
    with pytest.raises(ValueError, match="first or all"):
        listing.number("x", "en", FOUND, "every")


def test_hash_notices_every_field():
    whole = listing.number("x", "en", FOUND, "all")
    utterance = whole.utterances[0]
    source = utterance.source
    changes = [
        *({field: "other"} for field in ("name", "sentence", "transcription", "gender")),
        {"rank": 7},
        *(
            {"source": dataclasses.replace(source, **{f: v})}
            for f, v in (("name", "o"), ("size", 9), ("promised", 9))
        ),
    ]
    others = [
        dataclasses.replace(
            whole, utterances=(dataclasses.replace(utterance, **change), *whole.utterances[1:])
        )
        for change in changes
    ]
    others += [
        dataclasses.replace(whole, language="fr"),
        dataclasses.replace(whole, utterances=whole.utterances[::-1]),
    ]
    hashes = {other.sha256() for other in others}
    assert len(hashes) == len(others)
    assert whole.sha256() not in hashes
    moved = dataclasses.replace(source, path=pathlib.Path("/elsewhere"))
    same = dataclasses.replace(
        whole, utterances=(dataclasses.replace(utterance, source=moved), *whole.utterances[1:])
    )
    assert same.sha256() == listing.number("x", "en", FOUND, "all").sha256() == whole.sha256()


def test_require_names_what_comes_near():
    listing.require("en_us", ["en_us"], "no language")
    with pytest.raises(ValueError, match=r"no language 'en_uk'\. Did you mean en_us\?"):
        listing.require("en_uk", ["fr_fr", "en_us"], "no language")
    with pytest.raises(ValueError, match=r"There are: fr_fr, en_us\."):
        listing.require("zzz", ["fr_fr", "en_us"], "no language")
