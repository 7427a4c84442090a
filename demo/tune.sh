# The experiment on forgetting: a decoder learns to write TARGET of SOURCE speech, plainly and in five ways that may
# save what it knew. Each model is scored on the new task, on unseen speech (zero-shot) and on old tasks.
#   bash demo/tune.sh PYTHON STORE MODEL SOURCE TARGET UNSEEN OUT [FLAGS OF TUNE]
#   bash demo/tune.sh python out/demo/store .cache/whisper-base en es fr out/tune --window=448 --learning_rate=5e-5
# The second of these calls uses what `make demo` has made. These take more prompts, and Italian, which is a further
# column of the table:
#   python demo/speech.py .cache tune
#   isogloss extract --corpus=manifest:.cache/tune/manifest.tsv --model=.cache/whisper-base --states=final --store=out/prompts
#   bash demo/tune.sh python out/prompts .cache/whisper-base en es fr,it out/tune --window=448 --learning_rate=5e-5
# Before the command, ENGLISH=en_us names English by another code than `en`, and TOKEN=zh gives the language token of
# TARGET if it isn't the code's first part. UNSEEN may be several, commas between, each with a column of its own; the
# first is also the old task of translation into English. AVERAGES=0.25,0.5,0.75, written so, are the shares of the start
# in averages of plain's weights; AVERAGES= makes none. SCORES=FILE has COMET's scores of the lines of
# OUT/scores/comet.jsonl, see docs/scores.md. Of the flags, --window, --states, --exit_norm, --language_token,
# --stand_in, --tokenizer and --compute are also those of decoding: a model reads what it was trained on.
# It can be stopped and run again: whatever is complete is skipped.
set -euo pipefail
[ $# -ge 7 ] || { sed 's/^# //; /^set/,$d' "$0" >&2; exit 2; }
python=$1 store=$2 model=$3 source=$4 target=$5 unseen=$6 out=$7
shift 7
flags=("$@")
english=${ENGLISH:-en}
old=${unseen%%,*}-$english,$english-$english
averages=${AVERAGES-0.5}
runs=()

# given NAME: the value of a flag of tune, the last one if there are several, "" without any.
given() {
  local value='' i
  for ((i = 0; i < ${#flags[@]}; i++)); do
    case ${flags[i]} in
      --"$1"=*) value=${flags[i]#*=} ;;
      --"$1") value=${flags[i + 1]-} ;;
    esac
  done
  printf %s "$value"
}

# stand_in CODE: the language token that --stand_in gives to a language, by its code or the first part of it.
stand_in() {
  local code pair
  for code in "$1" "${1%%_*}"; do
    for pair in $(given stand_in | tr , ' '); do
      [ "${pair%%=*}" != "$code" ] || { printf %s "${pair#*=}"; return; }
    done
  done
}

# What must agree in training and decoding. A language token that is given is that of all speech, so a stand-in for the
# speech of one language must not take its place: the new task has --language or --stand_in, as tune's prompt has.
same=()
for name in window states tokenizer compute; do
  [ -z "$(given "$name")" ] || same+=("--$name=$(given "$name")")
done
unset norm
for flag in ${flags[@]+"${flags[@]}"}; do
  case $flag in
    --noexit_norm | --exit_norm=[fF]* | --exit_norm=0) norm=--exit_norm=false ;;
    --exit_norm | --exit_norm=*) norm=--exit_norm=true ;;
  esac
done
same+=(${norm+"$norm"})
own=()
[ -z "$(given stand_in)" ] || own=("--stand_in=$(given stand_in)")
token=${TOKEN:-$(stand_in "$target")}
prompt=("--language=${token:-${target%%_*}}")
[ "$(given language_token)" != source ] || prompt=(${own[@]+"${own[@]}"})

# tune NAME FLAGS...
tune() {
  "$python" -m isogloss.jobs.tune --store="$store" --model="$model" --source="$source" --target="$target" \
    --dev_share=0.2 --out="$out/$1" ${flags[@]+"${flags[@]}"} "${@:2}"
}

# texts NAME MODEL: of the new task, of unseen speech, and of both old tasks.
texts() {
  transcribed "$1" "$2" new --task=translate --languages="$source,$unseen" ${prompt[@]+"${prompt[@]}"} \
    --references="$target"
  transcribed "$1" "$2" english --task=translate --languages="${unseen%%,*}" --references="$english" \
    ${own[@]+"${own[@]}"}
  transcribed "$1" "$2" asr --languages="$english" ${own[@]+"${own[@]}"}
}

# transcribed NAME MODEL PART FLAGS...: of the held-out sentences. All runs need the same programs, compiled once.
transcribed() {
  local into=$out/texts/${1##*/}/$3
  "$python" -m isogloss.jobs.transcribe --store="$store" --model="$2" --out="$into" \
    --sentences="$out/plain/held_out.txt" --compilation_cache="$out/programs" ${same[@]+"${same[@]}"} "${@:4}"
  runs+=("$1=$into")
}

tune plain --average="0${averages:+,$averages}"
tune replay --replay="$old"
tune ewc-1e4 --ewc=1e4 --ewc_tasks="$old"
tune ewc-1e6 --ewc=1e6 --ewc_tasks="$old" --fisher_from="$out/ewc-1e4"
tune anchor --anchor=1
texts before "$model"
for name in plain ${averages:+plain/average-${averages//,/ plain/average-}} replay ewc-1e4 ewc-1e6 anchor; do
  texts "$name" "$out/$name"
done
"$python" -m isogloss.jobs.scores --store="$store" --new="$source-$target" --old="$old" --out="$out/scores" \
  --sentences="$out/plain/held_out.txt" ${SCORES:+--scores="$SCORES"} --runs="$(IFS=,; echo "${runs[*]}")"
