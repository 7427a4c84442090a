r"""Write a store of encoder states that another program has made, such as ESPnet of OWSM.

    python -m isogloss.jobs.convert --corpus=manifest:speech.tsv --arrays=dumped --name=espnet/owsm_v3.1_ebf \
        --weights=owsm/valid.total_count.ave_5best.pth --frame_seconds=0.04 --store=out/owsm

It can be stopped and run again at any time: stored utterances are skipped.
"""

from isogloss.engine.activations.convert_config import ConvertConfig
from isogloss.jobs import command

if __name__ == "__main__":
    command.run(ConvertConfig, "isogloss.engine.activations.convert")
