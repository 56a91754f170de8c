#!/usr/bin/env bash
# Builds the fuzz targets with the stable toolchain, and runs each for so many seconds, or those that are named.
#   fuzz/run.sh SECONDS [TARGET...]
# Exit status: 0 nothing was found; else the input that a target fails on is in fuzz/artifacts, and
# fuzz/target/.../release/TARGET FILE repeats it.
set -euo pipefail
cd "$(dirname "$0")"
seconds=$1
shift
host=$(rustc -vV | sed -n 's/^host: //p')
# What cargo-fuzz gives rustc, without a sanitizer.
passes="-Cpasses=sancov-module"
for flag in level=4 inline-8bit-counters pc-table trace-compares; do
    passes+=" -Cllvm-args=-sanitizer-coverage-$flag"
done
RUSTFLAGS="$passes --cfg fuzzing" cargo build --release --locked --target "$host" --bins
mkdir -p artifacts
for path in fuzz_targets/*.rs; do
    name=$(basename "$path" .rs)
    [ $# = 0 ] || [[ " $* " = *" $name "* ]] || continue
    mkdir -p "corpus/$name"
    echo "== $name"
    nice -n 19 "target/$host/release/$name" "corpus/$name" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=4096 \
        -artifact_prefix="artifacts/$name-" -print_final_stats=1
done
