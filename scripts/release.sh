#!/usr/bin/env bash
# Builds the program and packs it, stripped, with its manual pages, completions, configurations and documentation:
#   scripts/release.sh [OUT]     default: target/release-archive
# prints the archive's path, and writes its SHA-256 beside it. FEATURES=cuda packs the program for GPUs.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-target/release-archive}
target=$(rustc -vV | sed -n 's/^host: //p')
cargo build --release --locked --bin lottery ${FEATURES:+--features "$FEATURES"} >&2
version=$(target/release/lottery --version | cut -d' ' -f2)
name=lottery-$version-$target${FEATURES:+-$FEATURES}
mkdir -p "$out"
rm -rf "${out:?}/$name"
mkdir -p "$out/$name/completions"
strip -o "$out/$name/lottery" target/release/lottery
cp -r LICENSE README.md docs configs "$out/$name/"
"$out/$name/lottery" man --out "$out/$name/man"
for shell in bash zsh fish elvish powershell; do
    "$out/$name/lottery" completions "$shell" > "$out/$name/completions/lottery.$shell"
done
tar -C "$out" --owner=0 --group=0 --sort=name -czf "$out/$name.tar.gz" "$name"
(cd "$out" && sha256sum "$name.tar.gz" > "$name.tar.gz.sha256")
echo "$out/$name.tar.gz"
