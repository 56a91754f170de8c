#!/usr/bin/env bash
# Sweeps on a real Slurm of one node, which this script installs where it is missing (as root), starts, and stops.
#
#     scripts/slurm-test.sh [name of a test]
set -euo pipefail
cd "$(dirname "$0")/.."
dir=$(mktemp -d)
stop() {
    scripts/slurm.sh stop "$dir"
    rm -rf "$dir"
}
trap stop EXIT
code=0
scripts/slurm.sh start "$dir" || code=$?
if [ "$code" = 3 ]; then
    echo "skipped: sweeps on a real Slurm"
    exit 0
fi
[ "$code" = 0 ] || exit "$code"
export SLURM_CONF=$dir/slurm.conf LOTTERY_TEST_SLURM=$dir
cargo test --release --test cli "slurm_real::${1:-}" -- --test-threads=1
