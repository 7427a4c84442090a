"""Compare the geometry of two languages' states: CKA, SVCCA and RSA of mean-pooled states, as a table.

    python -m isogloss.jobs.similarity --store=out/store --out=out/similarity

Writes similarity.parquet and similarity.csv. It can be stopped and run again at any time: finished states and
languages are skipped. These numbers say little alone, see docs/similarity.md.
"""

from isogloss.engine.similarity.similarity_config import SimilarityConfig
from isogloss.jobs import command

if __name__ == "__main__":
    command.run(SimilarityConfig, "isogloss.engine.similarity.similarity")
