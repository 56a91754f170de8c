#!/usr/bin/env bash
# Rebuilds the model that comes with the program: tiny-bert.sh OUT. OUT/model.safetensors has the bytes of
# models/tiny/model.safetensors on a machine with the same kernels (`lottery doctor`). About ten minutes on two cores.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo run --release -- pretrain --config configs/tiny-bert.json --text demo --demo-pairs 100000 --vocab-size 256 \
    --max-length 48 --batch-size 64 --learning-rate 1e-3 --dropout 0 --epochs 6 --seed 1337 --out "$1" --half
