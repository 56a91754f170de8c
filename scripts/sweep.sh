#!/usr/bin/env bash
# Seeds × sparsity levels of one task: a lower threshold lets the search prune more.
#
#     scripts/sweep.sh TASK MODEL DATA OUT [lottery run's options]
#
# Writes OUT/TASK-MODE-THRESHOLD-SEED.json, one record each. Stages are shared in OUT/store, so stopping and starting
# again repeats nothing. SEEDS, THRESHOLDS, MODES and LOTTERY (the program) can be set in the environment.
set -euo pipefail
if [ $# -lt 4 ]; then
    echo "usage: $0 TASK MODEL DATA OUT [lottery run's options]" >&2
    exit 2
fi
task=$1 model=$2 data=$3 out=$4
shift 4
mkdir -p "$out"
failed=0
for seed in ${SEEDS:-1337 42 86 71 166}; do
    for threshold in ${THRESHOLDS:-0.95 0.9 0.8 0.7}; do
        for mode in ${MODES:-good bad random}; do
            record=$out/$task-$mode-$threshold-$seed.json
            if [ -s "$record" ]; then continue; fi
            # The record appears under its name only when it is whole.
            if "${LOTTERY:-target/release/lottery}" run --task "$task" --mode "$mode" --seed "$seed" --model "$model" \
                --data "$data" --store "$out/store" --set "search.threshold=$threshold" --json "$@" > "$record.part"; then
                mv "$record.part" "$record"
            else
                rm -f "$record.part"
                failed=$((failed + 1))
                echo "failed: $task $mode threshold $threshold seed $seed" >&2
            fi
        done
    done
done
[ "$failed" -eq 0 ] || exit 5
