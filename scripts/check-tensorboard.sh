#!/usr/bin/env bash
# TensorBoard's own reader on what `lottery run --tensorboard DIR` wrote: every record of every file, by its checksums,
# and each scalar's steps, which have to rise. Prints the scalars of each run.
#   scripts/check-tensorboard.sh [DIR]      without a folder, it is only installed
# TensorBoard is installed into target/tensorboard at the first use. Exit status: 0 all is well, 1 it is not, 77 it
# cannot be installed here.
set -euo pipefail
dir=${1:-}
venv=$(dirname "$0")/../target/tensorboard

unable() { echo "skipped: $*" >&2; exit 77; }
if [ ! -x "$venv/installed" ]; then
    command -v python3 > /dev/null || unable "there is no python3 for TensorBoard"
    rm -rf "$venv"
    python3 -m venv "$venv" || unable "this python3 makes no virtual environment; on Debian, install python3-venv"
    "$venv/bin/pip" install --quiet --no-compile --disable-pip-version-check "tensorboard>=2.12,<3" "setuptools<81" ||
        unable "TensorBoard cannot be installed"
    install -m 755 /dev/null "$venv/installed"
fi
[ -n "$dir" ] || exit 0

exec "$venv/bin/python" - "$dir" <<'PYTHON'
import os, sys
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.backend.event_processing.event_file_loader import RawEventFileLoader

def check(condition, message):
    if not condition:
        sys.exit(message)

# A record's length and the two checksums.
FRAME = 16
top = sys.argv[1]
runs = sorted(os.listdir(top))
check(runs, f"{top} has no run")
for run in runs:
    folder = os.path.join(top, run)
    for name in sorted(os.listdir(folder)):
        path = os.path.join(folder, name)
        read = sum(len(record) + FRAME for record in RawEventFileLoader(path).Load())
        size = os.path.getsize(path)
        check(read == size, f"{path}: {read} of {size} bytes can be read")
    events = EventAccumulator(folder, size_guidance={"scalars": 0})
    events.Reload()
    print(run)
    tags = sorted(events.Tags()["scalars"])
    check(any(tag.startswith("eval/") for tag in tags), f"{run}: there are no scores")
    for tag in tags:
        points = events.Scalars(tag)
        steps = [point.step for point in points]
        check(all(a < b for a, b in zip(steps, steps[1:])), f"{run}: the steps of {tag} do not rise")
        check(all(point.value == point.value for point in points), f"{run}: {tag} is not a number somewhere")
        print(f"  {tag}: {len(points)} points, steps {steps[0]} to {steps[-1]}, last {points[-1].value:.4g}")
PYTHON
