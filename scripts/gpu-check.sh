#!/usr/bin/env bash
# Everything that needs a GPU, in under ten minutes: the tests of all kernels and of whole passes on the device, a memory
# checker over the kernels, the benchmark beside PyTorch's in one sitting, a whole run on RTE with BERT-base's shape, and
# what happens when the memory is full or two processes share the device.
#
#     scripts/gpu-check.sh [OUT [PART...]]          in the folder that scripts/gpu-pack.sh packed, or in the repository
#
# PARTs are correctness, speed and runs: all of them by default, or some, to which another call adds. Writes OUT/<gpu>.md (OUT is benches/results by default) and what each part said beside it. PYTHON (python3) has torch.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
[ -x "$here/cuda-tests" ] || here=$here/../target/gpu-check
[ -x "$here/cuda-tests" ] || { echo "pack first: scripts/gpu-pack.sh" >&2; exit 2; }
cd "$here"
out=${1:-../../benches/results}
mkdir -p "$out"
out=$(cd "$out" && pwd)
shift || true
parts=" ${*:-correctness speed runs} "
wanted() { [[ $parts == *" $1 "* ]]; }
python=${PYTHON:-python3}
gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader -i 0) || { echo "nvidia-smi finds no GPU" >&2; exit 2; }
driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader -i 0)
name=$(tr '[:upper:] ' '[:lower:]-' <<< "$gpu")
report=$out/$name.md
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# cuBLAS may lie in a Python environment alone.
libraries=$("$python" - << 'P' 2> /dev/null
import glob, os, site
print(":".join(sorted({os.path.dirname(f) for d in site.getsitepackages() for f in glob.glob(d + "/nvidia/**/lib*/libcublasLt.so*", recursive=True)})))
P
) || true
export LD_LIBRARY_PATH=${libraries:+$libraries:}${LD_LIBRARY_PATH:-}
failed=0
say() { echo "$*" | tee -a "$report"; }
# The first part begins the report.
if wanted correctness || [ ! -e "$report" ]; then
    : > "$report"
    say "# $gpu"
    say
    say "Driver $driver, commit $(cat commit 2> /dev/null || git rev-parse --short HEAD), \`scripts/gpu-check.sh\`."
    say
fi
./lottery doctor | tee "$out/$name-doctor.txt"

if wanted correctness; then
    say "## Correctness"
    say
    if LOTTERY_TEST_ON=device ./cuda-tests --test-threads=1 > "$out/$name-tests.txt" 2>&1; then
        say "Tests on the device: $(grep '^test result' "$out/$name-tests.txt")"
    else
        failed=1
        say "Tests on the device FAILED: $(grep -E '^test result|^test .*FAILED' "$out/$name-tests.txt" | tr '\n' ' ')"
    fi
    if command -v compute-sanitizer > /dev/null; then
        if LOTTERY_TEST_ON=device timeout 100 compute-sanitizer --tool memcheck --error-exitcode 9 ./cuda-tests --test-threads=1 \
            --skip engine > "$out/$name-memcheck.txt" 2>&1; then
            say "compute-sanitizer memcheck: no error"
        else
            say "compute-sanitizer memcheck: exit $?, see $name-memcheck.txt: $(grep -m1 -E 'ERROR SUMMARY|Device not supported' "$out/$name-memcheck.txt")"
        fi
    else
        say "compute-sanitizer is not here."
    fi
    say
fi

if wanted speed; then
    say "## Speed"
    say
    median() { sort -g | awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)] }'; }
    figure() { sed -n "s/.*$1 \([0-9.]*\) ms.*/\1/p"; }
    say "| shape, format | lottery step, ms | torch.compile step, ms | ratio | launches a step |"
    say "|---|---|---|---|---|"
    # Shape, format, alternations; a compilation of the peer's takes a minute.
    for pair in "base bf16 2" "mini bf16 1" "base f32 1" "tiny bf16 1"; do
        read -r shape dtype rounds <<< "$pair"
        mode=$([ "$dtype" = f32 ] && echo fp32 || echo bf16)
        rm -f "$work"/ours "$work"/theirs
        for _ in $(seq "$rounds"); do
            ./step "$shape" --device cuda:0 --dtype "$dtype" --steps 50 >> "$work/ours" 2>> "$out/$name-errors.txt" || failed=1
            if [ -f bench_torch.py ]; then
                timeout 120 "$python" bench_torch.py "$shape" --device cuda --modes "$mode" --steps 50 --compile >> "$work/theirs" \
                    2>> "$out/$name-errors.txt" || true
            fi
        done
        launches=$(sed -n 's/.* a step has \([0-9]*\) launches.*/\1/p' "$work/ours" | tail -n 1)
        cat "$work/ours" "$work/theirs" >> "$out/$name-bench.txt" 2> /dev/null
        a=$(figure step < "$work/ours" | median)
        b=$(figure step < "$work/theirs" 2> /dev/null | median)
        say "| $shape, $dtype | ${a:-none} | ${b:-none} | $(awk -v a="${a:-0}" -v b="${b:-0}" 'BEGIN { if (a && b) printf "%.2f", a / b; else print "none" }') | ${launches:-none} |"
    done
    say
    say '```'
    grep -h -E '^lottery|ceiling' "$out/$name-bench.txt" | tee -a "$report"
    say '```'
    say
fi

if wanted runs && [ -d glue ]; then
    say "## A whole run"
    say
    cat > "$work/config.json" << 'C'
{"model_type": "bert", "vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
 "intermediate_size": 3072, "max_position_embeddings": 512, "type_vocab_size": 2, "layer_norm_eps": 1e-12,
 "hidden_act": "gelu", "initializer_range": 0.02}
C
    ./lottery pretrain --config "$work/config.json" --tokenizer tokenizer --text demo --demo-pairs 200 --steps 0 --device cuda:0 \
        --store "$work/store" --out "$work/base" --quiet > "$out/$name-run.txt" 2>&1 || failed=1
    run() { # seed, dtype, name
        ./lottery run --task rte --mode good --model "$work/base" --data glue --store "$work/$3" --device cuda:0 --dtype "$2" \
            --seed "$1" --json > "$work/$3.json" 2>> "$out/$name-run.txt"
    }
    began=$(date +%s.%N)
    if run 1 bf16 one; then
        say "RTE, mode good, BERT-base's shape, random weights, bf16: $(awk -v a="$began" -v b="$(date +%s.%N)" 'BEGIN { printf "%.1f", b - a }') s from start to record."
    else
        failed=1
        say "RTE, mode good FAILED: $(tail -n 2 "$out/$name-run.txt" | tr '\n' ' ')"
    fi
    hashes() { # of the weights in a store
        find "$work/$1" -name stage.json -exec grep -h '"model.safetensors"' -A3 {} + | grep -o '[0-9a-f]\{64\}' | sort
    }
    if run 1 bf16 again && [ -n "$(hashes one)" ] && [ "$(hashes one)" = "$(hashes again)" ]; then
        say "Again in another store: all weights have the same hashes."
    else
        failed=1
        say "Again in another store: the weights have OTHER hashes."
    fi
    say
    say "## Sharing and lack of memory"
    say
    run 2 bf16 left & left=$!
    run 3 bf16 right & right=$!
    wait $left; a=$?
    wait $right; b=$?
    say "Two runs at once on the device: exit codes $a and $b."
    [ "$a$b" = 00 ] || failed=1
    "$python" - << 'P' > "$work/hog" 2>&1 &
import time, torch
free, _ = torch.cuda.mem_get_info()
held = torch.empty(free - (1 << 30), dtype=torch.uint8, device="cuda")
print("holds", flush=True)
time.sleep(40)
P
    hog=$!
    for _ in $(seq 60); do grep -q holds "$work/hog" && break; sleep 0.5; done
    ./lottery run --task rte --mode full --model "$work/base" --data glue --store "$work/full" --device cuda:0 --dtype bf16 \
        > "$work/memory.txt" 2>&1
    code=$?
    if ! grep -q holds "$work/hog" || [ $code = 0 ]; then failed=1; fi
    kill $hog 2> /dev/null
    say "With 1 GiB left: exit code $code: $(grep -i -m1 'memory' "$work/memory.txt")"
    say "Left behind: $(find "$work/full" -name '*.tmp*' 2> /dev/null | wc -l) temporary files, $(find "$work/full" -name stage.json 2> /dev/null | wc -l) stages."
fi
say
[ $failed = 0 ] && say "All passed." || say "Something FAILED; see above."
exit $failed
