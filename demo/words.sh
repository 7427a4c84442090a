# From scores to the words behind them, on what demo/run.sh left; `make words` calls it in the root of the repository.
#   bash demo/words.sh PYTHON CORPUS MODEL OUT PAIRS STATE ENCODER
# Transcripts of the last states, word times, and the words that carry the scores of PAIRS at STATE.
set -euo pipefail
python=$1 corpus=$2 model=$3 out=$4 pairs=$5 state=$6 encoder=$7
[ "$corpus" != demo ] || corpus=manifest:.cache/demo/manifest.tsv
[ "$model" != demo ] || model=.cache/whisper-base

"$python" -m isogloss.jobs.transcribe --corpus="$corpus" --model="$model" --state="$state,final" --out="$out/exits"
"$python" -m isogloss.jobs.align --corpus="$corpus" --model="$model" --out="$out/words"
"$python" -m isogloss.jobs.interpret --store="$out/store" --grid="$out/grid.zarr" --words="$out/words" \
  --corpus="$corpus" --pairs="$pairs" --state="$state" --sentence_encoder="$encoder" --out="$out/interpret"
