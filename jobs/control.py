r"""Tell sound, meaning and length apart: audited challenge sets, factors of the scores, a control encoder.

    python -m isogloss.jobs.control --grid=out/grid.zarr --corpus=fleurs:test --out=out/control \
        --against=out/tiny.en/grid.zarr

Writes control.html, and as Parquet and CSV: sentences and sentence_pairs (what is a name, a number, alike in
sound, and why), control (R@1 of each challenge set in two forms, and without each factor), factors (weights
of sound, meaning and length), agreement (of the rules). It can be stopped and run again at any time: finished
language pairs are skipped unless grid, texts or options have changed.
"""

from isogloss.engine.control.control_config import ControlConfig
from isogloss.jobs import command

if __name__ == "__main__":
    command.run(ControlConfig, "isogloss.engine.control.control")
