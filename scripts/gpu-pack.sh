#!/usr/bin/env bash
# Packs what scripts/gpu-check.sh needs on a machine that has a GPU and nothing else: no Rust, no network.
#
#     LOTTERY_SHARED=DIR PEERS=DIR scripts/gpu-pack.sh [target/gpu-check]
#
# LOTTERY_SHARED (models and GLUE data, see docs/ci.md) gives the tokenizer and RTE's files, PEERS the PyTorch benchmark;
# without them those checks are left out. Needs nvcc, or the toolkit of scripts/cuda-toolkit.sh in CUDA_HOME.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-target/gpu-check}
rm -rf "$out"
mkdir -p "$out"
log=$(mktemp)
trap 'rm -f "$log"' EXIT
cargo build --release --features cuda --bin lottery --bench step --test cuda --message-format=json-render-diagnostics > "$log"
for target in lottery step cuda; do
    # The path of the program that was made of the target of this name.
    program=$(grep -F "\"name\":\"$target\"" "$log" | sed -n 's/.*"executable":"\([^"]*\)".*/\1/p' | tail -n 1)
    strip -o "$out/$target" "$program"
done
mv "$out/cuda" "$out/cuda-tests"
cp -r scripts/gpu-check.sh scripts/gpu-check "$out/"
git rev-parse --short HEAD > "$out/commit"
if [ -n "${LOTTERY_SHARED:-}" ]; then
    mkdir -p "$out/tokenizer" "$out/glue/RTE"
    cp "$LOTTERY_SHARED"/models/all-MiniLM-L6-v2/{tokenizer.json,tokenizer_config.json,vocab.txt} "$out/tokenizer/"
    cp "$LOTTERY_SHARED"/glue/RTE/{train,dev}.tsv "$out/glue/RTE/"
fi
if [ -n "${PEERS:-}" ]; then cp "$PEERS/bench_torch.py" "$out/"; fi
du -sh "$out"
