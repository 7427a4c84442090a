# Cognates, synonyms and near-homophones of single words; `make lexicon` calls it in the root of the repository.
#   bash demo/lexicon.sh PYTHON CORPUS LANGUAGES MODEL OUT
# CORPUS `demo` is recorded numbers, days and months in five languages, MODEL `demo` Whisper base; both are downloaded
# into .cache. LANGUAGES "" means all of the corpus.
set -euo pipefail
python=$1 corpus=$2 languages=$3 model=$4 out=$5
if [ "$corpus" = demo ]; then
  "$python" demo/speech.py .cache words
  corpus=manifest:.cache/words/manifest.tsv
fi
if [ "$model" = demo ]; then
  "$python" demo/weights.py .cache
  model=.cache/whisper-base
fi

"$python" -m isogloss.jobs.extract --corpus="$corpus" ${languages:+--languages="$languages"} \
  --model="$model" --store="$out/single/store"
"$python" -m isogloss.jobs.lexicon --store="$out/single/store" --out="$out/lexicon"
