#!/usr/bin/env bash
# From a clean machine to a tuned and compiled network: makes .venv, installs mmasched, runs tools/quickstart.py.
# Needs Python 3.10 or later and a C compiler; arguments go to tools/quickstart.py.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tools/python.sh

if ! command -v cc >/dev/null && ! command -v gcc >/dev/null && ! command -v clang >/dev/null; then
  echo "mmasched links what it compiles with a C compiler and none was found: install one (Debian: apt-get install gcc libc6-dev)." >&2
  exit 1
fi
environment=$(find_environment)
echo "Installing mmasched into $environment (the first time this downloads about 200 MB) ..."
install_project "$environment" quickstart
exec "$environment/bin/python" tools/quickstart.py "$@"
