#!/usr/bin/env bash
# Set up inside an image (pipeline/Dockerfile), by uv, with a Python of its own: a base's may be one that the pinned
# packages are not made for. Tasks run as the user who started them, who may read nothing in /root.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
export UV_PYTHON_INSTALL_DIR=/opt/python
python -m pip install --no-cache-dir uv
uv python install 3.11
PYTHON=$(uv python find 3.11) pipeline/setup/setup.sh
uv cache clean
chmod -R a+rX /opt
