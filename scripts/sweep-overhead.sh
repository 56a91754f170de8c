#!/usr/bin/env bash
# What a sweep adds to its runs: sweep-overhead.sh [RUNS]. Carries out RUNS (200) very small runs of the demo task, once
# by themselves, one command after the other, and once by `lottery sweep`, in fresh stores; prints the difference per
# run, and how long `lottery status` takes.
set -euo pipefail
runs=${1:-200}
lottery=${LOTTERY:-$(cd "$(dirname "$0")/.." && pwd)/target/release/lottery}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
tiny=(--mode full --threads 1 --set train.epochs=1 --set data.train_limit=8 --set data.dev_limit=16 --quiet)
now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.2f", b - a }'; }
"$lottery" run --task demo "${tiny[@]}" --store warm > /dev/null

began=$(now)
for seed in $(seq "$runs"); do "$lottery" run --task demo "${tiny[@]}" --seed "$seed" --store alone > /dev/null; done
alone=$(since "$began")
began=$(now)
"$lottery" sweep --tasks demo "${tiny[@]}" --seeds "$(seq -s, "$runs")" --store swept > /dev/null
swept=$(since "$began")
began=$(now)
"$lottery" status --store swept > /dev/null
status=$(since "$began")
awk -v n="$runs" -v alone="$alone" -v swept="$swept" -v status="$status" 'BEGIN {
    printf "%d runs: %.2f s by themselves, %.2f s in a sweep: %.1f ms a run; status in %.2f s\n",
        n, alone, swept, 1000 * (swept - alone) / n, status }'
