#!/usr/bin/env bash
# The pinned packages of capsule_versions.env, as pip's constraints.
set -euo pipefail
cd -- "$(dirname -- "${BASH_SOURCE[0]}")/../.."
sed -n 's/^\([A-Z0-9_]*\)=\([0-9][^"]*\)$/\1==\2/p' capsule_versions.env | grep -vE '^(NEXTFLOW|CONTAINER_TAG)=='
