#!/usr/bin/env bash
# What needs a GPU, in three parts that end within ten minutes each:
#
#     correctness   the tests of all kernels and of whole passes on the device, and a memory checker over the kernels
#     speed         the benchmark beside PyTorch's in one sitting
#     runs          a whole run on RTE with BERT-base's shape, two at once, and one when the memory is full
#
#     scripts/gpu-check.sh OUT PART         in the folder that scripts/gpu-pack.sh packed, or in the repository
#
# One call per part, where calls are limited to ten minutes; without PART, all of them one after another. Writes
# OUT/<gpu>.md (OUT is benches/results by default) and what each part said beside it; correctness begins the file, the
# others add to it. PYTHON (python3) has torch, and cuBLAS where the system has none.
#
# Exit status: 0 all is well, 1 it is not, 2 it could not be tried.
set -uo pipefail
scripts=$(cd "$(dirname "$0")" && pwd)
here=$scripts
[ -x "$here/cuda-tests" ] || here=$here/../target/gpu-check
[ -x "$here/cuda-tests" ] || { echo "pack first: scripts/gpu-pack.sh" >&2; exit 2; }
here=$(cd "$here" && pwd)
results=$here/../../benches/results
[ -d "$results" ] || results=$here/results
out=${1:-$results}
mkdir -p "$out" && out=$(cd "$out" && pwd) || exit 2
shift || true
parts=" ${*:-correctness speed runs} "
wanted() { [[ $parts == *" $1 "* ]]; }
for part in $parts; do
    case $part in correctness | speed | runs) ;; *) echo "no such part: $part; there are correctness, speed and runs" >&2; exit 2 ;; esac
done
cd "$here" || exit 2
python=${PYTHON:-python3}
export RUST_BACKTRACE=0
gpu=$(nvidia-smi --query-gpu=name --format=csv,noheader -i 0) || { echo "nvidia-smi finds no GPU" >&2; exit 2; }
driver=$(nvidia-smi --query-gpu=driver_version --format=csv,noheader -i 0)
name=$(tr '[:upper:] /' '[:lower:]--' <<< "$gpu")
report=$out/$name.md
work=$(mktemp -d)
hog=
trap '[ -z "$hog" ] || kill -9 "$hog" 2> /dev/null; rm -rf "$work"' EXIT

# cuBLAS may lie in a Python environment alone. Its folders are for our programs: PyTorch finds its own.
libraries=$("$python" - 2> /dev/null << 'P'
import glob, os, site, sys
places = sys.path + [site.getusersitepackages()]
found = [f for d in places for p in ("nvidia/**/libcublasLt.so*", "torch/lib/libcublasLt.so*")
         for f in glob.glob(os.path.join(glob.escape(d or "."), p), recursive=True)]
print(":".join(dict.fromkeys(os.path.dirname(os.path.abspath(f)) for f in found)))
P
) || libraries=
for folder in ${CONDA_PREFIX:+"$CONDA_PREFIX/lib"} /usr/local/cuda*/lib64 /usr/local/cuda*/targets/*/lib; do
    for file in "$folder"/libcublasLt.so*; do
        [ ! -e "$file" ] || { libraries=${libraries:+$libraries:}$folder; break; }
    done
done
libraries=${LD_LIBRARY_PATH:+$LD_LIBRARY_PATH${libraries:+:}}$libraries

# Each part has so many seconds, of which its commands share what is left.
BUDGET=540
begin() { began=$SECONDS; }
left() { echo $((BUDGET + began - SECONDS)); }
# A command of ours, or of others, with at most so many seconds; 124 or 137 when they were not enough.
limited() {
    local seconds=$1
    shift
    [ "$seconds" -le "$(left)" ] || seconds=$(left)
    [ "$seconds" -gt 0 ] || return 124
    timeout -k 5 "$seconds" "$@"
}
ours() {
    local seconds=$1
    shift
    limited "$seconds" env LD_LIBRARY_PATH="$libraries" "$@"
}

failed=0
say() { echo "$*" | tee -a "$report"; }
commit=$(cat commit 2> /dev/null || git rev-parse --short HEAD 2> /dev/null || echo unknown)
head=$(git rev-parse HEAD 2> /dev/null) || head=
begin
ours 30 ./lottery doctor > "$out/$name-doctor.txt" 2>&1
cat "$out/$name-doctor.txt"
if ! grep -Eq '^cuda:0 ' "$out/$name-doctor.txt"; then
    echo "\`lottery doctor\` finds no CUDA device, see above: nothing was tried." >&2
    exit 2
fi
if ! grep -Eq '^cublas +[0-9]' "$out/$name-doctor.txt"; then
    echo "\`lottery doctor\` cannot use cuBLAS, see above: nothing was tried. It was looked for in LD_LIBRARY_PATH, in the" \
        "folders of $python (PYTHON names another), in CONDA_PREFIX/lib and in /usr/local/cuda*. Install it" \
        "(\`pip install nvidia-cublas\`, or nvidia-cublas-cu12 for a driver of CUDA 12), or put the folder of" \
        "libcublasLt.so.13 (.12) on LD_LIBRARY_PATH." >&2
    exit 2
fi
# The first part begins the report.
if wanted correctness || [ ! -e "$report" ]; then
    : > "$report"
    say "# $gpu"
    say
    say "Driver $driver, commit $commit, \`scripts/gpu-check.sh\`."
    say
fi
if [ -n "$head" ] && [[ $head != "$commit"* ]]; then
    say "WARNING: this was packed at commit $commit, the repository is at ${head:0:12}: pack again for the latter."
    say
fi

for part in correctness speed runs; do
    if wanted "$part"; then begin; . "$scripts/gpu-check/$part.sh"; fi
done
if [ $failed = 0 ]; then say "All passed."; else say "Something FAILED; see above."; fi
exit $failed
