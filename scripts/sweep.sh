#!/usr/bin/env bash
# Seeds × sparsity levels of one task: a lower threshold lets the search prune more. The same command goes on where it
# was stopped. SEEDS, THRESHOLDS, MODES and LOTTERY (the program) can be set in the environment.
#
#     scripts/sweep.sh TASK MODEL DATA STORE [lottery sweep's options]
grid=(--seeds "${SEEDS:-1337,42,86,71,166}" --set "search.threshold=${THRESHOLDS:-0.95,0.9,0.8,0.7}" --modes "${MODES:-good,bad,random}")
exec "${LOTTERY:-target/release/lottery}" sweep --tasks "${1:?task}" --models "${2:?model}" --data "${3:?data}" --store "${4:?store}" "${grid[@]}" "${@:5}"
