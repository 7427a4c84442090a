"""demo/control.sh runs the other encoder, then the control job."""


def test_the_demo_beside_tiny_en(script):
    code, calls = script("control.sh", "demo", "", "demo", "out", "use-multilingual")
    assert code == 0
    assert calls == [
        "demo/weights.py .cache whisper-tiny.en",
        "-m isogloss.jobs.extract --corpus=manifest:.cache/demo/manifest.tsv --model=.cache/whisper-tiny.en"
        " --store=out/other/store",
        "-m isogloss.jobs.grid --store=out/other/store --grid=out/other/grid.zarr --measures=seqsim",
        "-m isogloss.jobs.control --grid=out/grid.zarr --against=out/other/grid.zarr"
        " --corpus=manifest:.cache/demo/manifest.tsv --sentence_encoder=use-multilingual --out=out/control",
    ]


def test_another_corpus_and_encoder(script):
    _, calls = script("control.sh", "fleurs:test", "en_us,fr_fr", "a/b", "out", "none")
    assert calls[0].startswith(
        "-m isogloss.jobs.extract --corpus=fleurs:test --languages=en_us,fr_fr --model=a/b"
    )
    assert len(calls) == 3
