# The main job from speech to report; `make demo` calls it in the root of the repository.
#   bash demo/run.sh PYTHON CORPUS LANGUAGES MODEL OUT
# CORPUS and MODEL may be `demo`: downloaded into .cache. LANGUAGES "" means all of the corpus.
set -euo pipefail
python=$1 corpus=$2 languages=$3 model=$4 out=$5
cache=.cache

# librosa has Numba compile for half a minute when it is first imported; meanwhile speech and weights are fetched.
"$python" -c "import librosa; librosa.resample" &
compiling=$!
trap 'kill $compiling 2> /dev/null || true' EXIT

if [ "$corpus" = demo ]; then
  "$python" demo/speech.py "$cache"
  corpus=manifest:$cache/demo/manifest.tsv
fi
if [ "$model" = demo ]; then
  "$python" demo/weights.py "$cache"
  model=$cache/whisper-base
fi

wait $compiling
trap - EXIT
"$python" -m isogloss.jobs.extract --corpus="$corpus" ${languages:+--languages="$languages"} \
  --model="$model" --store="$out/store"
"$python" -m isogloss.jobs.grid --store="$out/store" --grid="$out/grid.zarr"
"$python" -m isogloss.jobs.report --grid="$out/grid.zarr" --out="$out/report"
