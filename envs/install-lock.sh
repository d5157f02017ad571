#!/bin/sh
# Install a lock into the Python that comes first in PATH. Every file is checked by its hash: setuptools goes
# first and builds what comes as source, since pip would fetch a build environment of its own unchecked.
set -eu
lock=$1
first=$(mktemp)
trap 'rm -f "$first"' EXIT
awk '/^[^ #]/ { kept = /^setuptools==/ } kept' "$lock" > "$first"

export PIP_USE_PEP517=1  # pip 23.0 would run setup.py instead
install() { python -m pip --quiet --no-input --disable-pip-version-check install --require-hashes "$@"; }
install -r "$first"
install --no-build-isolation -r "$lock"
