r"""Show which words carry the similarity of sentences: word matches, transport and shares of the score.

    python -m isogloss.jobs.interpret --store=out/store --grid=out/grid.zarr --words=out/words \
        --pairs=en_us-fr_fr --states=6,final --out=out/interpret

Writes word_pairs.parquet, word_types.parquet, sentence_pairs.parquet; matches.parquet, checks.parquet and
planes.parquet (do matches mean or sound the same?); pictures and interpret.html to browse them. --corpus,
the recordings that the store was made of, gives the pictures waveforms and better word times. Stop it and
run it again at will: language pairs and states that are done are skipped, until grid or words change.
"""

from isogloss.engine.interpretation.interpret_config import InterpretConfig
from isogloss.jobs import command

if __name__ == "__main__":
    command.run(InterpretConfig, "isogloss.engine.interpretation.interpret")
