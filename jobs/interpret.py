r"""Show which words make sentences similar: word matches, transport and shares of the score.

    python -m isogloss.jobs.interpret --store=out/store --grid=out/grid.zarr --words=out/words \
        --pairs=en_us-fr_fr --states=6,final --out=out/interpret

Writes word_pairs.parquet, word_types.parquet, sentence_pairs.parquet; matches.parquet, checks.parquet and
planes.parquet (do matches mean or sound the same?); pictures and interpret.html to browse them. With
--corpus, the recordings that the store was made of, pictures have waveforms and word times are more precise.
It can be stopped and run again at any time: finished language pairs and states are skipped unless grid or
words have changed.
"""

from isogloss.engine.interpretation.interpret_config import InterpretConfig
from isogloss.jobs import command

if __name__ == "__main__":
    command.run(InterpretConfig, "isogloss.engine.interpretation.interpret")
