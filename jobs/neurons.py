"""Compare the neurons of two languages: NeuronXA's NASCA and NAVCA by block and as means, as a table.

    python -m isogloss.jobs.neurons --store=out/store --out=out/neurons

The store is one of extract --neurons. Writes neurons.parquet and neurons.csv. It can be stopped and run
again at any time: finished pairs of languages are skipped. See docs/neurons.md.
"""

from isogloss.engine.similarity.neurons_config import NeuronsConfig
from isogloss.jobs import command

if __name__ == "__main__":
    command.run(NeuronsConfig, "isogloss.engine.similarity.neurons")
