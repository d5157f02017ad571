#!/usr/bin/env bash
# Resolve pyproject.toml into the two locks. Pins that still fit are kept; with --upgrade none is.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

resolved=$(mktemp)
trap 'rm -f "$resolved"' EXIT
cp envs/requirements.lock "$resolved"

# the oldest Python and the platform that needs most; the hashes are those of every platform
python -m uv pip compile pyproject.toml --extra dev "$@" \
    --python-version 3.11 --python-platform x86_64-manylinux_2_28 \
    --generate-hashes --no-header --quiet --output-file "$resolved"

{
    cat <<'HEAD'
# Linux: torch with CUDA, which runs on machines without a GPU too. Written by `make lock`.
# Install: make, or python -m pip install --require-hashes -r envs/requirements.lock
HEAD
    grep -v '^#' "$resolved"
} > envs/requirements.lock.tmp

{
    cat <<'HEAD'
# The versions of requirements.lock without CUDA's packages. Written by `make lock`.
# macOS (14 or newer): make chooses this file by itself.
# Linux: torch without CUDA is not where the other packages are, so its hash is not here. Take the address of its
# CPU wheels from PyTorch's installation page; torch and torchvision are then installed from there first, in
# the versions below, and everything else is checked by hash as ever:
#     make figures LOCK=envs/requirements-cpu.lock TORCH_INDEX=<address>
HEAD
    grep -v '^#' "$resolved" | awk '/^[^ ]/ { kept = !/^(cuda|nvidia|triton)/ } kept'
} > envs/requirements-cpu.lock.tmp

mv envs/requirements.lock.tmp envs/requirements.lock
mv envs/requirements-cpu.lock.tmp envs/requirements-cpu.lock
