"""Show which words carry the similarity of sentences: word matches, transport and shares of the score.

    python -m isogloss.jobs.interpret --store=out/store --grid=out/grid.zarr --words=out/words \
        --pairs=en_us-fr_fr --state=6,final --out=out/interpret

Writes word_pairs.parquet, word_types.parquet, sentence_pairs.parquet; matches.parquet, checks.parquet and
planes.parquet (do matches mean or sound the same?); pictures and interpret.html to browse them. --corpus,
the recordings that the store was made of, gives the pictures waveforms and better word times. Stop it and
run it again at will: language pairs and states that are done are skipped, until grid or words change.
"""

from typing import TYPE_CHECKING

from absl import flags

from isogloss.jobs import shared_flags

if TYPE_CHECKING:
    from isogloss.engine.interpretation import interpret

STORE = shared_flags.store()
GRID = shared_flags.grid()
WORDS = flags.DEFINE_string(
    "words", None, "Folder of words.parquet, the align job's --out; without it words are aligned here."
)
MODEL = shared_flags.model()
REVISION = shared_flags.revision()
TOKENIZER = shared_flags.tokenizer()
OUT = shared_flags.out()
PAIRS = shared_flags.pairs()
STATE = shared_flags.state()
SENTENCES = flags.DEFINE_enum(
    "sentences", "retrieved", ["retrieved", "gold"], "Each sentence with its best candidate, or with itself."
)
WORD_VECTOR = flags.DEFINE_enum(
    "word_vector", "centre", ["centre", "mean"], "A word is its centre frame, or the mean of its frames."
)
MASS = flags.DEFINE_enum(
    "mass",
    "frames",
    ["frames", "words"],
    "Transport: a word holds as much as it has frames, or all the same.",
)
EPSILON = flags.DEFINE_float("epsilon", 0.05, "Blur of the transport, in units of 1 - cosine.")
THRESHOLD = flags.DEFINE_float(
    "threshold", 0.3, "Words are linked that exchange this share of the most they could."
)
ENCODER = flags.DEFINE_string(
    "sentence_encoder",
    "sentence-transformers/LaBSE",
    "Of words' meaning: a sentence-transformers model or folder, or none.",
)
PHONES = flags.DEFINE_boolean("phones", True, "Compare how words sound, by espeak-ng's phones.")
PICTURES = flags.DEFINE_integer(
    "pictures", 2, "Sentence pairs drawn of each language pair and state: those of the highest scores.", 0
)
CORPUS = shared_flags.corpus()
COMPILATION_CACHE = shared_flags.compilation_cache()
SHARDING = shared_flags.sharding()
flags.adopt_module_key_flags(shared_flags)


def main() -> "interpret.InterpretSummary":
    """Turn flags into one configuration and run it."""
    from isogloss.engine.interpretation import interpret, word_pairs  # noqa: PLC0415  (--help must not wait for JAX)

    return interpret.run(
        interpret.InterpretConfig(
            store=shared_flags.path(STORE),
            grid=shared_flags.path(GRID),
            words=shared_flags.path(WORDS) if WORDS.value else None,
            model=MODEL.value,
            revision=REVISION.value,
            tokenizer=TOKENIZER.value,
            out=shared_flags.path(OUT),
            pairs=shared_flags.choice(PAIRS),
            states=shared_flags.choice(STATE),
            sentences=SENTENCES.value,
            method=word_pairs.Method(
                word_vector=WORD_VECTOR.value,
                mass=MASS.value,
                epsilon=EPSILON.value,
                threshold=THRESHOLD.value,
            ),
            sentence_encoder=shared_flags.text(ENCODER),
            phones=PHONES.value,
            pictures=PICTURES.value,
            corpus=CORPUS.value or None,
            share=SHARDING.share(),
            dry_run=SHARDING.dry_run.value,
            compilation_cache=shared_flags.optional_path(COMPILATION_CACHE),
        )
    )


if __name__ == "__main__":
    shared_flags.run(main)
