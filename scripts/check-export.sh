#!/usr/bin/env bash
# Exports in transformers, and transformers' models here: fine-tuned, masked and physical folders give the same dev
# predictions in both, and so does what save_pretrained wrote, in one file and in several.
#   scripts/check-export.sh [LOTTERY]      without the program, torch and transformers are only installed
#   scripts/check-export.sh --time FULL EXPORT [REPETITIONS]   the latency of two exports in PyTorch, JSON on stdout
# They are installed into target/transformers at the first use; PYTHON=… names a Python that has them. Exit status: 0 all is
# well, 1 it is not, 77 they cannot be installed here.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
venv=$here/../target/transformers

unable() { echo "skipped: $*" >&2; exit 77; }
if [ -n "${PYTHON:-}" ]; then
    "$PYTHON" -c "import torch, transformers" || { echo "$PYTHON has no torch and transformers" >&2; exit 1; }
else
    PYTHON=$venv/bin/python
    if [ ! -x "$venv/installed" ]; then
        command -v python3 > /dev/null || unable "there is no python3 for transformers"
        rm -rf "$venv"
        python3 -m venv "$venv" || unable "this python3 makes no virtual environment; on Debian, install python3-venv"
        pip() { "$venv/bin/pip" install --quiet --no-compile --disable-pip-version-check "$@"; }
        pip "torch>=2.4" || unable "torch cannot be installed"
        pip "transformers>=5,<6" safetensors numpy || unable "transformers cannot be installed"
        install -m 755 /dev/null "$venv/installed"
    fi
fi
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false
if [ "${1:-}" = --time ]; then
    exec "$PYTHON" "$here/check-export.py" time "${@:2}"
fi
[ -n "${1:-}" ] || exit 0

lottery=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export LOTTERY_STORE=$work/runs LOTTERY_CACHE=$work/cache
python() { "$PYTHON" "$here/check-export.py" "$@"; }

python write-data glue
"$lottery" run --task rte --model tiny --data glue --set train.epochs=8 --set train.learning_rate=1e-3 \
    --json --quiet > record.json
stage() { python stage record.json "$1"; }
"$lottery" export "$(stage search)" --ticket --out ticket.safetensors --quiet > /dev/null
# Layers without heads, without an FFN, with some of its neurons and with none.
python odd-ticket ticket.safetensors odd.safetensors
mkdir models
cp -r "runs/stages/$(stage finetune)" models/finetuned
python families models/finetuned models
for form in masked physical; do
    for source in "retrained $(stage retrain)" "pruned $(stage evaluate)" "odd odd.safetensors --model $(stage finetune)" \
        "roberta odd.safetensors --model models/roberta" "distilbert odd.safetensors --model models/distilbert"; do
        read -r name rest <<< "$source"
        # shellcheck disable=SC2086
        "$lottery" export $rest --$form --data glue --latency off --quiet --out "models/$form-$name" > /dev/null
    done
done
# The other way round: what transformers saved.
python save models/finetuned models/saved
for name in finetuned roberta distilbert; do
    python save "models/$name" "models/sharded-$name" 300KB
done
# The same with the answers to questions.
questions=$("$lottery" run --task squad --model tiny --data glue --mode full --set data.max_length=64 \
    --set data.doc_stride=8 --set data.max_question_length=8 --set train.epochs=6 --set train.learning_rate=1e-3 --json --quiet)
finetuned=$(python stage /dev/stdin finetune <<< "$questions")
mkdir spans
cp -r "runs/stages/$finetuned" spans/finetuned
for form in masked physical; do
    "$lottery" export odd.safetensors --model "$finetuned" --$form --data glue --latency off --quiet \
        --out "spans/$form" > /dev/null
done
for model in spans/*; do
    "$lottery" eval "$model" --task squad --data glue --max-length 64 --doc-stride 8 --max-question-length 8 \
        --predictions "$model.json" --quiet > /dev/null
done
for model in models/*; do
    "$lottery" eval "$model" --task rte --data glue --max-length 48 --predictions "$model.jsonl" --quiet > /dev/null
done
python compare glue models spans
