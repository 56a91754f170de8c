#!/usr/bin/env bash
# What the model card of the embedded model reports: tiny-bert-scores.sh STORE. For each of the paper's seeds, the good,
# random and bad subnetwork of the model, and the same fine-tuning from random weights of its shape. About five minutes
# on two cores.
set -euo pipefail
store=$1
lottery=${LOTTERY:-target/release/lottery}
here=$(dirname "$0")/..
for seed in 1337 42 86 71 166; do
    for mode in good random bad; do
        "$lottery" run --seed $seed --mode $mode --store "$store" --quiet
    done
    if [ ! -e "$store/scratch-$seed" ]; then
        "$lottery" pretrain --config "$here/configs/tiny-bert.json" --tokenizer "$here/models/tiny" --text demo \
            --demo-pairs 100 --max-length 48 --steps 0 --seed $seed --out "$store/scratch-$seed" --store "$store" --quiet
    fi
    "$lottery" run --mode full --seed $seed --model "$store/scratch-$seed" --task demo --preset tiny \
        --store "$store/from-scratch" --quiet
done
