#!/usr/bin/env bash
# As much of NVIDIA's CUDA toolkit 13.0 as `cargo build --features cuda` needs (nvcc and headers, x86-64 Linux), from
# NVIDIA's own packages on PyPI: 105 MB to download, 245 MB on disk. Their licence is in DIR/licences.
#
#     export CUDA_HOME=$(scripts/cuda-toolkit.sh [DIR])
#
# DIR is target/cuda-toolkit if not named; a second call finds it there. Needs python3 with pip, and to compile with it a
# C++ compiler. Exit status 77: it cannot be had here; why is said on stderr.
set -euo pipefail
dir=${1:-$(cd "$(dirname "$0")/.." && pwd)/target/cuda-toolkit}

unable() {
    echo "no CUDA toolkit: $*" >&2
    exit 77
}

# 13.0 is the oldest whose nvcc is packaged; drivers from 580 on run what it compiles.
packages=$(
    cat << 'PACKAGES'
nvidia-cuda-nvcc==13.0.88 --hash=sha256:56fe502eb77625a12f25172caa3cdddb4e4c8ba2c8c17dba44b164761b380f03
nvidia-nvvm==13.0.88 --hash=sha256:c5f41ffeb6466944a026dfa5317d7d85355c119bbec279205d22f1869d1054e0
nvidia-cuda-crt==13.0.88 --hash=sha256:2c8043c7c9e02492716426e9919fc78d2c5b3b2a7a768a88e952676b08aa55a4
nvidia-cuda-cccl==13.0.85 --hash=sha256:e0da7ad981f3a8aff08241b5bfc1af868742a63e2762f53a5171c492ef242649
nvidia-cuda-runtime==13.0.96 --hash=sha256:7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548
PACKAGES
)

if [ "$(cat "$dir/packages" 2> /dev/null)" != "$packages" ]; then
    [ ! -e "$dir" ] || [ -e "$dir/packages" ] || unable "$dir is there and is none that this script made; name another folder"
    [ "$(uname -sm)" = "Linux x86_64" ] || unable "these packages are for Linux x86_64; install CUDA 12 or 13 and set CUDA_HOME"
    command -v python3 > /dev/null || unable "there is no python3; on Debian, apt-get install python3-pip"
    mkdir -p "$(dirname "$dir")"
    work=$(mktemp -d "$dir.XXXXXX")
    trap 'rm -rf "$work"' EXIT
    pip=(python3 -m pip)
    if ! "${pip[@]}" --version > /dev/null 2>&1; then
        python3 -m venv "$work/venv" > /dev/null ||
            unable "this python3 has no pip; on Debian, apt-get install python3-pip"
        pip=("$work/venv/bin/pip")
    fi
    echo "$packages" > "$work/wanted"
    "${pip[@]}" download --quiet --disable-pip-version-check --no-deps --only-binary=:all: --require-hashes \
        --dest "$work/wheels" --requirement "$work/wanted" >&2 || unable "its packages cannot be downloaded"
    for wheel in "$work"/wheels/*.whl; do
        python3 -m zipfile -e "$wheel" "$work/unpacked"
    done
    cuda=$work/unpacked/nvidia/cu13
    chmod +x "$cuda"/bin/* "$cuda"/nvvm/bin/*
    ln -s lib "$cuda/lib64"
    mkdir "$cuda/licences"
    for licence in "$work"/unpacked/*.dist-info/licenses/License.txt; do
        name=${licence#"$work"/unpacked/}
        mv "$licence" "$cuda/licences/${name%%.dist-info/*}.txt"
    done
    echo "$packages" > "$cuda/packages"
    # Another call may have been quicker; a link or a move over a folder would go into it.
    rm -rf "$dir"
    mv -T "$cuda" "$dir"
fi
cd "$dir" && pwd
