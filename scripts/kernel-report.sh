#!/usr/bin/env bash
# Registers, stack, spills and shared memory of every CUDA kernel on every GPU that the kernels are compiled for, as
# ptxas tells them. What is spilled costs time, not correctness.
#
#     scripts/kernel-report.sh [cargo's command and options, such as build --release, which it is without any]
#
# Builds with the feature cuda first; see scripts/cuda-toolkit.sh.
set -euo pipefail
cd "$(dirname "$0")/.."
[ $# != 0 ] || set -- build --release

# Where the build script of this very build wrote its report.
out=$(cargo "$@" --locked --features cuda --message-format=json-render-diagnostics |
    sed -n 's/.*"reason":"build-script-executed".*[#/]lottery-ops[@#].*"out_dir":"\([^"]*\)".*/\1/p' | tail -n 1)
[ -n "$out" ] || { echo "cargo names no folder of the build script" >&2; exit 2; }

awk '
    BEGIN { printf "%-6s %-36s %9s %6s %6s %7s\n", "GPU", "kernel", "registers", "stack", "spills", "shared" }
    /Compiling entry function/ { split($0, quoted, "\047"); kernel = quoted[2]; gpu = quoted[4]; spills = 0; stack = 0 }
    /bytes stack frame/ { stack = $1; spills = $5 + $9 }
    /Used [0-9]+ registers/ {
        match($0, /Used [0-9]+/)
        registers = substr($0, RSTART + 5, RLENGTH - 5)
        shared = match($0, /[0-9]+ bytes smem/) ? substr($0, RSTART, RLENGTH - 11) : 0
        printf "%-6s %-36s %9d %6d %6d %7d\n", gpu, kernel, registers, stack, spills, shared
        kernels++
        if (spills > 0) spilling++
    }
    END {
        if (kernels == 0) { print "no kernel in the report" > "/dev/stderr"; exit 2 }
        print kernels " kernels, " spilling + 0 " of them spill registers to memory"
    }
' "$out/kernels.txt"
