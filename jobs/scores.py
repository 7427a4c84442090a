r"""Score several models' texts side by side: what a tuned decoder gained, and what it has forgotten.

    python -m isogloss.jobs.scores --store=out/store --new=en-es --old=fr-en,en-en --out=out/scores \
        --runs=before=out/before-en-es,tuned=out/tuned-en-es --sentences=out/es/held_out.txt

Reads folders of transcribe. Writes scores.parquet, scores.csv, a figure, and comet.jsonl for tools that score
translations elsewhere; --scores takes their numbers back.
"""

from isogloss.engine.transcription.scores_config import ScoresConfig
from isogloss.jobs import command

if __name__ == "__main__":
    command.run(ScoresConfig, "isogloss.engine.transcription.scores")
