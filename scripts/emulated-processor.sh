#!/usr/bin/env bash
# Runs a program for x86-64 Linux on an emulated processor with AVX-512 (F, BW, DQ, VL and more) and AVX512_BF16, on
# machines that have none:
#
#   cargo test --lib --no-run                    # names the test binary
#   scripts/emulated-processor.sh target/debug/deps/lottery-0123456789abcdef ops::product
#
# Tests of products take minutes there unless they are optimised: add `--config 'profile.dev.package.lottery.opt-level=3'`
# to the first line. Without it plain loops are not vectorised either; explicit instructions are what they are.
#
# Output and exit status are the program's; 125 says that the emulated machine itself failed. Environment variables
# LOTTERY_* and RUST_* are passed on. Of files, the program sees its own libraries and those named before it with
# `--with FILE`. The machine has one processor, at some 100 million instructions a second, and MEMORY MiB (2000 unless
# set, at most 2047).
#
# The first run fetches and builds what it needs under target/emulated-processor (some 5 minutes): the source of the
# emulator Bochs and a Linux kernel, both Debian packages, which are unpacked and not installed. It needs Debian or a
# relative of it, a C++ compiler and the static C library, and need not be root.
set -euo pipefail

fail() { echo "emulated-processor: $*" >&2; exit 125; }

# Bochs knows AVX512_BF16 since 3.0, which came with this release; any kernel will do.
release=trixie
kernel=linux-image-cloud-amd64
kit=$(cd "$(dirname "$0")" && pwd)/emulated-processor
cache=$(cd "$(dirname "$0")/.." && pwd)/target/emulated-processor
memory=${MEMORY:-2000}

# apt, with lists and sources of its own.
apt() {
    nice "apt-$1" -qq -o Dir::Etc::SourceList="$cache/apt/sources.list" -o Dir::Etc::SourceParts=- \
        -o Dir::State::Lists="$cache/apt/lists" -o Dir::Cache="$cache/apt/cache" -o APT::Sandbox::User="$(id -un)" \
        "${@:2}"
}

# The packages, from the mirror that this machine's apt uses: `bochs` with the source, `linux` with the kernel.
fetch() {
    local mirror package keys=/usr/share/keyrings/debian-archive-keyring.gpg
    mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Origin: Debian' 'Component: main' | head -n 1)
    [ -n "$mirror" ] || fail "apt has no list of a Debian mirror. Run apt-get update, with Debian among apt's sources."
    [ -e "$keys" ] || fail "$keys is missing. Install the package debian-archive-keyring."
    mkdir -p "$cache"/apt/{lists,cache/archives}/partial
    printf "deb%s [signed-by=$keys] $mirror $release main\n" '' -src >"$cache/apt/sources.list"
    apt get update
    package=$(apt cache depends "$kernel" | awk '$1 == "Depends:" { print $2; exit }')
    cd "$cache"
    rm -rf ./*.deb ./*.tar.* bochs linux
    apt get download "$package"
    dpkg-deb -x "$package"_*.deb linux
    apt get source --tar-only bochs
    mkdir bochs
    tar -xf bochs_*.orig.tar.* -C bochs --strip-components=1
}

build() {
    cd "$cache/bochs"
    patch -p1 <"$kit/bochs.patch"
    nice ./configure CFLAGS=-O2 CXXFLAGS=-O2 --enable-cpu-level=6 --enable-x86-64 --enable-avx --enable-evex \
        --enable-all-optimizations --with-nogui --disable-plugins --disable-show-ips
    nice make -j "$(nproc)" bochs
    cd "$cache"
    gcc -O2 -static -o init "$kit/init.c"
    gcc -c -DROM -o rom.o "$kit/boot.S" && objcopy -O binary rom.o rom
    cp linux/boot/vmlinuz-* vmlinuz
    # The part in real mode is not needed; its length in sectors, less one, stands in byte 497.
    tail -c +$((($(od -An -tu1 -j 497 -N 1 vmlinuz) + 1) * 512 + 1)) vmlinuz >kernel
    mv bochs/bochs emulator
    rm -rf bochs linux
}

# An entry of the kernel's first file system, in the format "newc" of cpio(1).
entry() { # NAME MODE [FILE]
    local size=0
    [ -z "${3:-}" ] || size=$(stat -Lc %s "$3")
    inode=$((inode + 1))
    printf '070701'
    printf '%08X' "$inode" "0x$2" 0 0 1 0 "$size" 0 0 0 0 $((${#1} + 1)) 0
    printf '%s\0' "$1"
    pad $((110 + ${#1} + 1))
    [ -z "${3:-}" ] || { cat "$3" && pad "$size"; }
}
pad() { head -c $((-$1 & 3)) /dev/zero; }

directory() { # NAME, after the directories that it lies in
    [[ $1 != */* ]] || directory "${1%/*}"
    [[ $seen == *" $1 "* ]] || entry "$1" 41ff
    seen+="$1 "
}

file() { # PATH FILE
    local name=${1#/}
    [[ $name != */* ]] || directory "${name%/*}"
    entry "$name" 81ed "$2"
}

# The file system: `init`, what it is to run, the program and its libraries.
file_system() { # DIRECTORY-OF-PARTS PROGRAM FILE...
    local inode=0 seen=" " name library
    for name in proc sys dev tmp root "${PWD#/}"; do directory "$name"; done
    entry init 81ed "$cache/init"
    for name in arguments environment directory; do entry "$name" 81a4 "$1/$name"; done
    file "$2" "$1/program"
    for library in $(ldd "$2" 2>/dev/null | grep -o '/[^ ]*'); do file "$library" "$library"; done
    for name in "${@:3}"; do file "$(realpath -s "$name")" "$name"; done
    entry 'TRAILER!!!' 0
}

files=()
while [ "${1:-}" = --with ] && [ $# -ge 2 ]; do files+=("$2") && shift 2; done
[ $# -ge 1 ] && [[ $1 != -* ]] || fail "usage: $0 [--with FILE]... PROGRAM [ARGUMENT]..."
for name in "$1" "${files[@]}"; do [ -f "$name" ] || fail "$name is no file."; done
for tool in apt-get dpkg-deb gcc g++ make patch objcopy strip ldd flock; do
    command -v "$tool" >/dev/null || fail "$tool is missing. Install apt, gcc, g++, make, patch, binutils and libc6-dev."
done
mkdir -p "$cache"
version=$(cat "$kit"/* | sha256sum)
exec 9>"$cache/lock"
flock 9
if [ "$(cat "$cache/built" 2>/dev/null)" != "$version" ]; then
    echo "emulated-processor: fetching and building the emulator; $cache/log has the output" >&2
    # In the background, because `set -e` does not hold for what stands before `||`.
    (fetch; build) >"$cache/log" 2>&1 </dev/null &
    wait $! || fail "the emulator could not be built; $cache/log ends with:"$'\n'"$(tail -n 5 "$cache/log")"
    echo "$version" >"$cache/built"
fi
exec 9>&-

program=$(realpath -s "$1")
parts=$(mktemp -d)
trap 'kill ${emulator:-} 2>/dev/null || true; rm -rf "$parts"' EXIT
strip --strip-debug -o "$parts/program" "$program"
printf '%s\0' "$program" "${@:2}" >"$parts/arguments"
printf '%s\0' PATH=/bin HOME=/root >"$parts/environment"
env -0 | grep -zE '^(LOTTERY|RUST)_' >>"$parts/environment" || true
printf '%s\0' "$PWD" >"$parts/directory"
file_system "$parts" "$program" "${files[@]}" >"$parts/files"

# The clock counts instructions, 50 million a second, and the kernel is told so.
options="console=ttyS2 quiet acpi=off nokaslr mitigations=off no5lvl panic=-1 random.trust_cpu=on tsc=reliable"
options+=" tsc_early_khz=50000 cryptomgr.notests"
gcc -c -o "$parts/table.o" -DKERNEL="\"$cache/vmlinuz\"" -DFILES_AT=0x8000000 \
    -DFILES_SIZE="$(stat -c %s "$parts/files")" -DMEMORY="($memory << 20)" -DOPTIONS="\"$options\"" "$kit/boot.S"
objcopy -O binary "$parts/table.o" "$parts/table"
# As a BIOS sets it; without it the kernel copies memory wrongly.
echo "0x1a0 0 00000000 00000001 00000000 00000000 00000000 00000000 # fast string operations on" >"$parts/registers"
cat >"$parts/machine" <<END
config_interface: textconfig
display_library: nogui
cpu: model=sapphire_rapids, ips=50000000, reset_on_triple_fault=0, ignore_bad_msrs=1, msrs=$parts/registers
memory: guest=$memory, host=$memory
romimage: file=$cache/rom
vgaromimage: file=$cache/rom
optramimage1: file=$parts/table, address=0x10000
optramimage2: file=$cache/kernel, address=0x100000
optramimage3: file=$parts/files, address=0x8000000
com1: enabled=1, mode=file, dev=$parts/stdout
com2: enabled=1, mode=file, dev=$parts/stderr
com3: enabled=1, mode=file, dev=$parts/console
pci: enabled=0
log: $parts/log
panic: action=fatal
error: action=ignore
info: action=ignore
END
touch "$parts"/{stdout,stderr,console}
nice "$cache/emulator" -q -f "$parts/machine" </dev/null >"$parts/talk" 2>&1 &
emulator=$!
tail -c +1 -f --pid=$emulator "$parts/stdout" &
tail -c +1 -f --pid=$emulator "$parts/stderr" >&2 &
wait
status=$(sed -n 's/^status //p' "$parts/console")
[ -n "$status" ] || fail "the machine stopped early: $(tail -n 20 "$parts/console"; grep -a PANIC "$parts/log" || true)"
exit "$status"
