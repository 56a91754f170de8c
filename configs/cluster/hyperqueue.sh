#!/usr/bin/env bash
# A sweep by HyperQueue (0.23 or later): eight tasks, each a worker with four CPUs and a GPU, wherever `hq worker` processes run.
#
#     configs/cluster/hyperqueue.sh STORE [lottery sweep's options]
#
# `hq server start` and workers (`hq worker start`, or `hq alloc add slurm --time-limit 4h`) come first. Without GPUs
# take the --resource line out.
set -euo pipefail
lottery=$(command -v "${LOTTERY:-lottery}")
store=$(realpath -m "${1:?store}")
sweep=$("$lottery" sweep "${@:2}" --store "$store" --plan)

# HyperQueue begins a task anew on another node when its node's time is up or the node is lost. That is how a long
# sweep goes on, and no fault of the task's: no limit to it. Run this script once more for runs that others left.
hq submit --name "$sweep" --array 1-8 --crash-limit=unlimited \
    --cpus=4 \
    --resource gpus/nvidia=1 \
    -- "$lottery" worker "$sweep" --store "$store" --threads 4 --quiet
