#!/usr/bin/env bash
# What reads AIND's sessions, whose traces are compressed by WavPack: its library, and the pinned codec for zarr.
# pip builds the codec from source. With the library's headers but without the program `wavpack`, the build takes
# binaries for Ubuntu, which need another glibc: both packages are needed.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
venv=.venv
if $venv/bin/python -c 'import numcodecs; numcodecs.get_codec({"id": "wavpack"})' 2>/dev/null; then
    echo "setup: WavPack is installed"
    exit 0
fi
if ! command -v wavpack >/dev/null || ! [ -e /usr/include/wavpack/wavpack.h ]; then
    { [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null &&
        apt-get -qq update && apt-get -qqy install wavpack libwavpack-dev >/dev/null; } ||
        { echo "setup: WavPack is missing; install it with: sudo apt-get install wavpack libwavpack-dev" >&2; exit 1; }
fi
constraints=$(mktemp)
trap 'rm -f "$constraints"' EXIT
pipeline/setup/pins.sh >"$constraints"
if command -v uv >/dev/null 2>&1; then
    uv pip install --quiet --python $venv/bin/python --constraint "$constraints" wavpack-numcodecs
else
    $venv/bin/python -m pip install --quiet --constraint "$constraints" wavpack-numcodecs
fi
$venv/bin/python -c 'import numcodecs; numcodecs.get_codec({"id": "wavpack"})'
echo "setup: WavPack is installed"
