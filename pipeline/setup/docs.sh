#!/usr/bin/env bash
# Make .docs/venv, which builds the site and nothing else. A second run does nothing.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
venv=.docs/venv
stamp=$(cat capsule_versions.env pipeline/setup/docs.sh | sha256sum | cut -d' ' -f1)
[ "$(cat $venv/installed 2>/dev/null)" != "$stamp" ] || exit 0
rm -rf $venv
"${PYTHON:-python3}" -m venv $venv
$venv/bin/python -m pip install --quiet --constraint <(pipeline/setup/pins.sh) mkdocs-material
echo "$stamp" >$venv/installed
