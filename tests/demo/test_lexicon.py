"""demo/lexicon.sh gets words and weights, then runs extract and lexicon."""


def test_the_recorded_words(script):
    code, calls = script("lexicon.sh", "demo", "", "demo", "out")
    assert code == 0
    assert calls == [
        "demo/speech.py .cache words",
        "demo/weights.py .cache",
        "-m isogloss.jobs.extract --corpus=manifest:.cache/words/manifest.tsv --model=.cache/whisper-base"
        " --store=out/single/store",
        "-m isogloss.jobs.lexicon --store=out/single/store --out=out/lexicon",
    ]


def test_another_corpus_and_encoder(script):
    _, calls = script("lexicon.sh", "manifest:words.tsv", "en,fr", "a/b", "out")
    assert len(calls) == 2
    assert calls[0].startswith(
        "-m isogloss.jobs.extract --corpus=manifest:words.tsv --languages=en,fr --model=a/b"
    )
