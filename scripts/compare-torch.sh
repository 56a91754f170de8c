#!/usr/bin/env bash
# Training steps of this program and of PyTorch in one sitting, alternately; prints medians and their ratio.
#
#     PYTHON=.venv/bin/python PEERS=DIR scripts/compare-torch.sh [tiny|minilm6|mini|base]...
#
# PEERS is the folder with bench_torch.py. ROUNDS (3) alternations of STEPS (5) measured steps each.
set -euo pipefail
cd "$(dirname "$0")/.."
cargo build --release --bench step 2> /dev/null
bench=$(cargo build --release --bench step --message-format=json 2> /dev/null |
    sed -n 's/.*"executable":"\([^"]*step-[^"]*\)".*/\1/p' | tail -n 1)
median() { sort -g | awk '{ v[NR] = $1 } END { print v[int((NR + 1) / 2)] }'; }
figure() { sed -n "s/.*$1 \([0-9.]*\) ms.*/\1/p"; }
echo "| shape | lottery step, ms | PyTorch step, ms | ratio | lottery inference, ms | PyTorch inference, ms | ratio |"
echo "|---|---|---|---|---|---|---|"
for shape in "${@:-tiny}"; do
    work=$(mktemp -d)
    for _ in $(seq "${ROUNDS:-3}"); do
        "$bench" "$shape" --steps "${STEPS:-5}" --threads "${THREADS:-2}" >> "$work/ours"
        "${PYTHON:-python3}" "${PEERS:?the folder with bench_torch.py}/bench_torch.py" "$shape" --modes fp32 \
            --steps "${STEPS:-5}" --threads "${THREADS:-2}" >> "$work/theirs"
    done
    for name in step inference; do
        figure "$name" < "$work/ours" | median > "$work/ours.$name"
        figure "$name" < "$work/theirs" | median > "$work/theirs.$name"
    done
    paste -d' ' "$work/ours.step" "$work/theirs.step" "$work/ours.inference" "$work/theirs.inference" |
        awk -v s="$shape" '{ printf "| %s | %s | %s | **%.2f** | %s | %s | %.2f |\n", s, $1, $2, $1 / $2, $3, $4, $3 / $4 }'
    rm -rf "$work"
done
