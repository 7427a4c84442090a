# From scores to the words behind them, on what demo/run.sh left; `make words` calls it in the root of the repository.
#   bash demo/words.sh PYTHON CORPUS LANGUAGES MODEL OUT PAIRS STATE ENCODER
# Transcripts of STATE and the final state, word times, the words that carry the scores of PAIRS at STATE, and
# how much of the scores of PAIRS, in the demo of all pairs, is sound, meaning and length.
# LANGUAGES "" means all of the corpus.
set -euo pipefail
python=$1 corpus=$2 languages=$3 model=$4 out=$5 pairs=$6 state=$7 encoder=$8
compared=$pairs
[ "$corpus" != demo ] || corpus=manifest:.cache/demo/manifest.tsv compared=all
[ "$model" != demo ] || model=.cache/whisper-base

case ",$state," in
  *,final,* | ,all,) exits=$state ;;
  *) exits=$state,final ;;
esac

# The last layer's state through the norm is the final one: without the norm, too, it is one of its own.
"$python" -m isogloss.jobs.transcribe --corpus="$corpus" ${languages:+--languages="$languages"} \
  --model="$model" --states="$exits" --exit_norm=both --out="$out/exits"
"$python" -m isogloss.jobs.align --corpus="$corpus" ${languages:+--languages="$languages"} \
  --model="$model" --out="$out/words"
"$python" -m isogloss.jobs.interpret --store="$out/store" --grid="$out/grid.zarr" --words="$out/words" \
  --corpus="$corpus" --pairs="$pairs" --states="$state" --sentence_encoder="$encoder" --out="$out/interpret"
"$python" -m isogloss.jobs.control --grid="$out/grid.zarr" --corpus="$corpus" --pairs="$compared" \
  --sentence_encoder="$encoder" --out="$out/factors"
