"""transcribe and align on 1, 2 and 8 devices: equal results, and every device has a share of the rows."""

import dataclasses

import jax
import pytest

from isogloss.engine.alignment import align
from isogloss.engine.runtime import devices
from isogloss.engine.transcription import transcribe

COUNTS = (1, 2, 8)


@pytest.fixture
def placed(monkeypatch):
    """For each step that runs, devices that its rows of utterances are on; rows of padding don't count."""
    steps, rows = [], devices.DataParallel.rows

    def spied(self, output, count):
        of_device = {shard.index[0].start or 0: shard.device for shard in output[0].addressable_shards}
        used = range(-(-count // self.rows_per_device))
        steps.append({of_device[position] for position in used})
        return rows(self, output, count)

    monkeypatch.setattr(devices.DataParallel, "rows", spied)
    return steps


def on(count, monkeypatch, run, config, placed):
    """Tables of a run on so many devices, and the devices of its widest step."""
    some = jax.devices()[:count]
    placed.clear()
    with monkeypatch.context() as patch:
        patch.setattr(jax, "local_devices", lambda: some)
        patch.setattr(jax, "local_device_count", lambda: count)
        assert run(config).complete
    return {path.name: path.read_bytes() for path in config.out.glob("*.parquet")}, placed[:]


@pytest.mark.deep
@pytest.mark.parametrize("job", ["transcribe", "align"])
def test_devices_share_the_rows_and_change_no_bit(job, request, monkeypatch, placed, tmp_path):
    config, _ = request.getfixturevalue({"transcribe": "transcribed", "align": "aligned"}[job])
    run = {"transcribe": transcribe.run, "align": align.run}[job]
    states = ("final",) if job == "align" else ("1", "final")
    made = {}
    for count in COUNTS:
        some = dataclasses.replace(
            config, out=tmp_path / str(count), languages=("aa",), stand_in=("aa=en",), states=states,
            decoder_rows=1,
        )  # fmt: skip
        made[count], steps = on(count, monkeypatch, run, some, placed)
        # 7 utterances: the encoder has them on 7 of 8 devices at once, and so has the decoder.
        assert max(map(len, steps)) == (count if count < 8 or job == "transcribe" else 7)
        assert set().union(*steps) == set(jax.devices()[: max(map(len, steps))])
        assert sum(len(step) for step in steps) >= 14
    assert made[1]
    assert made[1] == made[2] == made[8]
