#!/usr/bin/env bash
# Make .venv: the pinned packages and this package; then `spikerelay setup`. A second run does nothing.
#   setup.sh [further Nextflow releases ...]
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
venv=.venv
versions=capsule_versions.env

need() { # name, how to install it
    command -v "$1" >/dev/null 2>&1 || { echo "setup: $1 is missing; install it with: $2" >&2; exit 1; }
}
need git "sudo apt-get install git"

find_python() {
    for candidate in ${PYTHON:-} python3.12 python3.11 python3.13 python3; do
        if "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
            command -v "$candidate"
            return
        fi
    done
    echo "setup: Python 3.11, 3.12 or 3.13 is missing; install it with: sudo apt-get install python3.11 python3.11-venv" >&2
    exit 1
}

# What the installation depends on; when it is unchanged, nothing is installed.
stamp=$(cat "$versions" pyproject.toml pipeline/setup/setup.sh | sha256sum | cut -d' ' -f1)
if [ "$(cat $venv/installed 2>/dev/null)" != "$stamp" ]; then
    python=$(find_python)
    echo "setup: installing into $venv with $("$python" --version)"
    # A virtual environment of another Python or a half-made one is made anew.
    [ -x $venv/bin/python ] && $venv/bin/python -c '' 2>/dev/null || rm -rf $venv
    constraints=$(mktemp)
    trap 'rm -f "$constraints"' EXIT
    pipeline/setup/pins.sh >"$constraints"
    extra=$(sed -n 's/^EXTRA_INSTALLS="\(.*\)"$/\1/p' "$versions")
    # shellcheck disable=SC2086 # EXTRA_INSTALLS is a list of words
    if command -v uv >/dev/null 2>&1; then
        [ -d $venv ] || uv venv --quiet --python "$python" $venv
        uv pip install --quiet --python $venv/bin/python --constraint "$constraints" -e '.[dev]' $extra
        uv pip install --quiet --python $venv/bin/python --constraint "$constraints" --no-deps spikewrap
    else
        if [ ! -d $venv ] && ! "$python" -m venv $venv; then
            rm -rf $venv
            echo "setup: this Python cannot make a virtual environment; install it with: sudo apt-get install python3-venv" >&2
            exit 1
        fi
        $venv/bin/python -m pip install --quiet --constraint "$constraints" -e '.[dev]' $extra
        $venv/bin/python -m pip install --quiet --constraint "$constraints" --no-deps spikewrap
    fi
    echo "$stamp" >$venv/installed
fi

$venv/bin/python -m capsules setup "$@"
