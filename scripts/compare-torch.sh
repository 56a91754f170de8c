#!/usr/bin/env bash
# Training steps, inference and peak memory of this program and of PyTorch in one sitting, alternately; prints medians
# and their ratios.
#
#     PYTHON=.venv/bin/python PEERS=DIR scripts/compare-torch.sh [tiny|minilm6|mini|base]...
#
# PEERS is the folder with bench_torch.py. ROUNDS (3) alternations of STEPS (5) measured steps each; with DTYPE=bf16, bf16
# beside PyTorch's autocast.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --bench step 2> /dev/null
bench=$(cargo build --release --bench step --message-format=json 2> /dev/null |
    sed -n 's/.*"executable":"\([^"]*step-[^"]*\)".*/\1/p' | tail -n 1)
declare -A modes=([f32]=fp32 [bf16]=bf16)
median() { sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
figure() { sed -n "s/.*$1 \([0-9.]*\) $2.*/\1/p"; }
# The peer, and the most memory it has had.
measured='
import resource, runpy, sys
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
print("at most", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024, "MiB")'
echo "| shape | lottery step, ms | PyTorch step, ms | ratio | lottery inference, ms | PyTorch inference, ms | ratio" \
    "| lottery memory, MiB | PyTorch memory, MiB | ratio |"
echo "|---|---|---|---|---|---|---|---|---|---|"
for shape in "${@:-tiny}"; do
    work=$(mktemp -d)
    for _ in $(seq "${ROUNDS:-3}"); do
        "$bench" "$shape" --brief --dtype "${DTYPE:-f32}" --steps "${STEPS:-5}" --threads "${THREADS:-2}" >> "$work/ours"
        "${PYTHON:-python3}" -c "$measured" "${PEERS:?the folder with bench_torch.py}/bench_torch.py" "$shape" \
            --modes "${modes[${DTYPE:-f32}]}" --steps "${STEPS:-5}" --threads "${THREADS:-2}" >> "$work/theirs"
    done
    row="| $shape |"
    for name in step inference "at most"; do
        unit=$([ "$name" = "at most" ] && echo MiB || echo ms)
        ours=$(figure "$name" "$unit" < "$work/ours" | median)
        theirs=$(figure "$name" "$unit" < "$work/theirs" | median)
        row+=$(awk -v a="$ours" -v b="$theirs" 'BEGIN { printf " %s | %s | **%.2f** |", a, b, a / b }')
    done
    echo "$row"
    rm -rf "$work"
done
