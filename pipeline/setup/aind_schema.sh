#!/usr/bin/env bash
# Make .aind/venv, in which the tests read AIND's metadata with aind-data-schema. A second run does nothing.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
venv=.aind/venv
stamp=$(cat pipeline/setup/aind_schema.txt pipeline/setup/aind_schema.sh | sha256sum | cut -d' ' -f1)
[ "$(cat $venv/installed 2>/dev/null)" != "$stamp" ] || exit 0
rm -rf $venv && mkdir -p .aind
python=${PYTHON:-$(command -v .venv/bin/python || echo python3)}
if command -v uv >/dev/null 2>&1; then
    uv venv --quiet --python "$python" $venv
    uv pip install --quiet --python $venv/bin/python --requirement pipeline/setup/aind_schema.txt
else
    "$python" -m venv $venv
    $venv/bin/python -m pip install --quiet --requirement pipeline/setup/aind_schema.txt
fi
echo "$stamp" >$venv/installed
