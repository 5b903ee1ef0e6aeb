#!/usr/bin/env bash
# Make .docs/venv, which builds the manual's site and nothing else. A second run does nothing.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
venv=.docs/venv
stamp=$(cat capsule_versions.env pipeline/setup/docs.sh | sha256sum | cut -d' ' -f1)
[ "$(cat $venv/installed 2>/dev/null)" != "$stamp" ] || exit 0
rm -rf $venv && mkdir -p .docs
pipeline/setup/pins.sh >.docs/pins
python=${PYTHON:-$(command -v .venv/bin/python || echo python3)}
if command -v uv >/dev/null 2>&1; then
    uv venv --quiet --python "$python" $venv
    uv pip install --quiet --python $venv/bin/python --constraint .docs/pins mkdocs-material mkdocstrings-python ruff
else
    "$python" -m venv $venv
    $venv/bin/python -m pip install --quiet --constraint .docs/pins mkdocs-material mkdocstrings-python ruff
fi
echo "$stamp" >$venv/installed
