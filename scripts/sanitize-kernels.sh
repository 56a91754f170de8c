#!/usr/bin/env bash
# The CUDA kernels, on their emulation on the host, under the compiler's sanitizers: address and undefined behaviour
# (which says misaligned vector loads too), then races between threads. The tests of tests/cuda, or those whose names
# contain FILTER; the check that deliberate bugs are seen runs always.
#   scripts/sanitize-kernels.sh [--if-changed] [FILTER]
# --if-changed does nothing where the kernels, their emulation and their tests are those that passed last, by
# tests/emulation/sanitized; a whole pass of others writes that file, to be committed.
# CXX names the compiler (c++). Exit status: 0 all is well, 1 it is not, 77 there is no compiler with sanitizers here.
set -euo pipefail
cd "$(dirname "$0")/.."
export CXX=${CXX:-c++}

passed=tests/emulation/sanitized
sources=$(find crates/ops/src/cuda tests/cuda tests/emulation scripts/sanitize-kernels.sh -type f ! -path "$passed" -print0 |
    LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d ' ' -f 1)
if [ "${1:-}" = --if-changed ]; then
    shift
    if [ "$(cat "$passed" 2> /dev/null)" = "$sources" ]; then
        echo "the kernels have not changed since they passed"
        exit 0
    fi
fi

unable() { echo "skipped: $*" >&2; exit 77; }
command -v "$CXX" > /dev/null || unable "there is no $CXX; install a C++ compiler, or name one with CXX"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# A sanitizer's library has to be there before all others, and the compiler knows where its own is.
runtime() {
    local name path
    for name in "$@"; do
        path=$("$CXX" -print-file-name="$name")
        if [ "$path" != "$name" ] && [ -e "$path" ]; then readlink -f "$path"; return; fi
    done
    return 1
}
address=$(runtime libasan.so "libclang_rt.asan-$(uname -m).so" libclang_rt.asan.so) ||
    unable "$CXX has no library of the address sanitizer"
for sanitizers in address,undefined thread; do
    echo 'extern "C" int f(int* p) { return *p; }' |
        "$CXX" -x c++ -fsanitize=$sanitizers -fPIC -c -o "$work/probe.o" - || unable "$CXX has no -fsanitize=$sanitizers"
done
echo 'extern "C" int f(int* p) { return *p; }' |
    "$CXX" -x c++ -fsanitize=address,undefined -fPIC -shared -o "$work/probe.so" - ||
    unable "$CXX does not link the library of the undefined behaviour sanitizer"
LD_PRELOAD=$address ASAN_OPTIONS=detect_leaks=0 true || unable "the address sanitizer does not work here"

cargo test --release --test cuda --no-run
tests=$(cargo test --release --test cuda --no-run --message-format=json 2> /dev/null |
    sed -n 's/.*"executable":"\([^"]*cuda-[^"]*\)".*/\1/p' | tail -n 1)
# Whole passes and experiments have no kernel and no shape that the others have not, and take minutes here.
filters=(--skip engine:: --skip held:: --skip pipeline:: --skip failing:: ${1:+"$1" sanitizers::})
# Leaks are those of the whole process, not of the kernels.
echo "address and undefined behaviour:"
LOTTERY_SANITIZE=address,undefined LD_PRELOAD=$address ASAN_OPTIONS=detect_leaks=0 "$tests" "${filters[@]}" 2>&1 |
    tee "$work/output"
echo "races:"
LOTTERY_SANITIZE=thread "$tests" "${filters[@]}" 2>&1 | tee -a "$work/output"
if grep -q '^skipped' "$work/output"; then
    echo "tests were skipped" >&2
    exit 1
fi
[ $# -gt 0 ] || echo "$sources" > "$passed"
