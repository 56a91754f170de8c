# The part `runs` of gpu-check.sh.
# shellcheck shell=bash disable=SC2154

if [ ! -d glue ]; then
    say "A whole run was not tried: the pack has no data (LOTTERY_SHARED of scripts/gpu-pack.sh)."
    return
fi
say "## A whole run"
say
cat > "$work/config.json" << 'C'
{"model_type": "bert", "vocab_size": 30522, "hidden_size": 768, "num_hidden_layers": 12, "num_attention_heads": 12,
 "intermediate_size": 3072, "max_position_embeddings": 512, "type_vocab_size": 2, "layer_norm_eps": 1e-12,
 "hidden_act": "gelu", "initializer_range": 0.02}
C
ours 120 ./lottery pretrain --config "$work/config.json" --tokenizer tokenizer --text demo --demo-pairs 200 --steps 0 --device cuda:0 \
    --store "$work/store" --out "$work/base" --quiet > "$out/$name-run.txt" 2>&1 || failed=1
run() { # seed, dtype, name
    ours 150 ./lottery run --task rte --mode good --model "$work/base" --data glue --store "$work/$3" --device cuda:0 --dtype "$2" \
        --seed "$1" --json > "$work/$3.json" 2>> "$out/$name-run.txt"
}
from=$(date +%s.%N)
if run 1 bf16 one; then
    say "RTE, mode good, BERT-base's shape, random weights, bf16: $(awk -v a="$from" -v b="$(date +%s.%N)" 'BEGIN { printf "%.1f", b - a }') s from start to record."
else
    failed=1
    say "RTE, mode good FAILED: $(tail -n 2 "$out/$name-run.txt" | tr '\n' ' ')"
fi
hashes() { # of the weights in a store
    find "$work/$1" -name stage.json -exec grep -h '"model.safetensors"' -A3 {} + | grep -o '[0-9a-f]\{64\}' | sort
}
if ! run 1 bf16 again; then
    failed=1
    say "Again in another store FAILED: $(tail -n 2 "$out/$name-run.txt" | tr '\n' ' ')"
elif [ -n "$(hashes one)" ] && [ "$(hashes one)" = "$(hashes again)" ]; then
    say "Again in another store: all weights have the same hashes."
else
    failed=1
    say "Again in another store: the weights have OTHER hashes."
fi
say
say "## Sharing and lack of memory"
say
run 2 bf16 left & first=$!
run 3 bf16 right & second=$!
wait $first; a=$?
wait $second; b=$?
say "Two runs at once on the device: exit codes $a and $b."
[ "$a$b" = 00 ] || failed=1
if ! limited 120 "$python" -c 'import torch; assert torch.cuda.is_available()' > /dev/null 2>&1; then
    say "A full memory was not tried: $python has no PyTorch that sees the GPU, which would fill it."
else
    : > "$work/hog"
    "$python" - << 'P' > "$work/hog" 2>&1 &
import time, torch
free, _ = torch.cuda.mem_get_info()
held = torch.empty(free - (1 << 30), dtype=torch.uint8, device="cuda")
print("holds", flush=True)
while True:
    time.sleep(60)
P
    hog=$!
    # It ends when this script does, and the polling ends when it has ended.
    until grep -q holds "$work/hog" || ! kill -0 "$hog" 2> /dev/null || [ "$(left)" -le 0 ]; do sleep 0.5; done
    if grep -q holds "$work/hog"; then
        ours 100 ./lottery run --task rte --mode full --model "$work/base" --data glue --store "$work/full" --device cuda:0 \
            --dtype bf16 > "$work/memory.txt" 2>&1
        code=$?
        say "With 1 GiB left: exit code $code (2 is right): $(grep -i -m 1 'memory' "$work/memory.txt")"
        say "Left behind: $(find "$work/full" -name '*.tmp*' 2> /dev/null | wc -l) temporary files, $(find "$work/full" -name stage.json 2> /dev/null | wc -l) stages."
        [ $code = 2 ] || failed=1
    else
        say "A full memory was not tried, as it could not be filled: $(tail -n 1 "$work/hog")"
    fi
    { kill -9 "$hog" && wait "$hog"; } 2> /dev/null
    hog=
fi
say
