#!/usr/bin/env bash
# What the model card of the embedded model reports: tiny-bert-scores.sh STORE. For each of the paper's seeds, the good,
# random and bad subnetwork of the model, and the same fine-tuning from random weights of its shape; at the end the
# means and the gaps between them. About five minutes on two cores.
set -euo pipefail
mkdir -p "$1"
store=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
lottery() { target/release/lottery "$@" --quiet; }
for seed in 1337 42 86 71 166; do
    for mode in good random bad; do
        lottery run --seed $seed --mode $mode --store "$store" --json > "$store/$mode-$seed.json"
    done
    if [ ! -e "$store/random-$seed" ]; then
        lottery pretrain --config configs/tiny-bert.json --tokenizer models/tiny --text demo --demo-pairs 100 \
            --max-length 48 --steps 0 --seed $seed --out "$store/random-$seed" --store "$store" > "$store/random.txt"
    fi
    lottery run --task demo --mode full --seed $seed --model "$store/random-$seed" --preset tiny \
        --store "$store/from-scratch" --json > "$store/scratch-$seed.json"
done
for seed in 1337 42 86 71 166; do
    for kind in scratch good random bad; do
        awk -v seed=$seed -v kind=$kind '
            /^  "(full|pruned|retrained)": / { split($0, part, "\""); of = part[2] }
            /"accuracy": / { sub(/,/, ""); print kind, seed, of, $2 }' "$store/$kind-$seed.json"
    done
done | awk '
    { score[$1, $2, $3] = $4; sum[$1, $3] += $4; if (!($2 in seen)) { seen[$2]; order[++n] = $2 } }
    function row(name, s) {
        printf "| %s | %.4f | %.4f | %.4f | %.4f | %.4f | %.4f | %.4f |\n", name, s["scratch", "full"], s["good", "full"],
            s["good", "pruned"], s["random", "pruned"], s["bad", "pruned"], s["good", "retrained"], s["bad", "retrained"]
    }
    END {
        print "| seed | from random weights | full | good pruned | random pruned | bad pruned | good retrained | bad retrained |"
        print "|---|---|---|---|---|---|---|---|"
        for (i = 1; i <= n; i++) { for (key in sum) { split(key, k, SUBSEP); at[k[1], k[2]] = score[k[1], order[i], k[2]] }; row(order[i], at) }
        for (key in sum) mean[key] = sum[key] / n
        row("mean", mean)
        printf "\nGaps between the means, in points: good over random pruned %.1f, random over bad pruned %.1f, full over good retrained %.1f, full over random weights %.1f.\n",
            100 * (mean["good", "pruned"] - mean["random", "pruned"]), 100 * (mean["random", "pruned"] - mean["bad", "pruned"]),
            100 * (mean["good", "full"] - mean["good", "retrained"]), 100 * (mean["good", "full"] - mean["scratch", "full"])
    }'
