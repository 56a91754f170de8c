# The part `speed` of gpu-check.sh.
# shellcheck shell=bash disable=SC2154

say "## Speed"
say
rm -f "$out/$name-bench.txt" "$out/$name-errors.txt"
median() { sort -g | awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)] }'; }
figure() { sed -n "s/.*$1 \([0-9.]*\) ms.*/\1/p"; }
if [ ! -f bench_torch.py ]; then
    say "PyTorch's benchmark is not in the pack: PyTorch was not tried."
    say
elif ! limited 120 "$python" -c 'import torch; assert torch.cuda.is_available()' > /dev/null 2>&1; then
    say "$python has no PyTorch that sees the GPU (PYTHON names another): PyTorch was not tried."
    say
else
    peer=1
fi
say "In the rows of tf32 and f32 PyTorch may use TensorFloat-32, as bench_torch.py allows; lottery's products of f32 are strict."
say
say "| shape, format | lottery step, ms | torch.compile step, ms | ratio | launches a step |"
say "|---|---|---|---|---|"
# Shape, format, alternations; a compilation of the peer's takes a minute.
for pair in "base bf16 2" "mini bf16 1" "base tf32 1" "base f32 1" "tiny bf16 1"; do
    read -r shape dtype rounds <<< "$pair"
    mode=$([ "$dtype" = bf16 ] && echo bf16 || echo fp32)
    rm -f "$work"/ours "$work"/theirs
    for _ in $(seq "$rounds"); do
        ours 60 ./step "$shape" --device cuda:0 --dtype "$dtype" --steps 50 >> "$work/ours" 2>> "$out/$name-errors.txt" ||
            [ "$(left)" -le 0 ] || failed=1
        if [ -n "${peer:-}" ]; then
            limited 120 "$python" bench_torch.py "$shape" --device cuda --modes "$mode" --steps 50 --compile >> "$work/theirs" \
                2>> "$out/$name-errors.txt" || true
        fi
    done
    touch "$work/ours" "$work/theirs"
    launches=$(sed -n 's/.* a step has \([0-9]*\) launches.*/\1/p' "$work/ours" | tail -n 1)
    cat "$work/ours" "$work/theirs" >> "$out/$name-bench.txt"
    a=$(figure step < "$work/ours" | median)
    b=$(figure step < "$work/theirs" | median)
    say "| $shape, $dtype | ${a:-none} | ${b:-none} | $(awk -v a="${a:-0}" -v b="${b:-0}" 'BEGIN { if (a && b) printf "%.2f", a / b; else print "none" }') | ${launches:-none} |"
done
[ "$(left)" -gt 0 ] || say "The time was over before all were measured."
say
say '```'
grep -h -E '^lottery|ceiling' "$out/$name-bench.txt" | tee -a "$report"
say '```'
say
