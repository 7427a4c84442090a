# Sound, meaning and length behind the scores, on what demo/run.sh left; `make control` calls it in the root of the
# repository.
#   bash demo/control.sh PYTHON CORPUS LANGUAGES MODEL OUT ENCODER
# MODEL is the encoder beside which the demo's is put; `demo` is Whisper tiny.en, downloaded into .cache.
set -euo pipefail
python=$1 corpus=$2 languages=$3 model=$4 out=$5 encoder=$6
[ "$corpus" != demo ] || corpus=manifest:.cache/demo/manifest.tsv
if [ "$model" = demo ]; then
  "$python" demo/weights.py .cache whisper-tiny.en
  model=.cache/whisper-tiny.en
fi

"$python" -m isogloss.jobs.extract --corpus="$corpus" ${languages:+--languages="$languages"} \
  --model="$model" --store="$out/other/store"
"$python" -m isogloss.jobs.grid --store="$out/other/store" --grid="$out/other/grid.zarr" --measures=seqsim
"$python" -m isogloss.jobs.control --grid="$out/grid.zarr" --against="$out/other/grid.zarr" --corpus="$corpus" \
  --sentence_encoder="$encoder" --out="$out/control"
