#!/usr/bin/env bash
# Lints the project and runs its tests: tools/test.sh [--extras LIST] [pytest arguments].
# Uses the active virtual environment, else .venv (made where absent), and installs what tests need (tools/system_packages.sh).
# Tests that cannot run here print why they were skipped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
source tools/python.sh

extras=test
case "${1:-}" in
  -h | --help)
    sed -n '2,4s/^# //p' tools/test.sh
    exit 0
    ;;
  --extras)
    extras="test,${2:?--extras needs a list such as compare,bench}"
    shift 2
    ;;
esac

bash tools/system_packages.sh
environment=$(find_environment)
install_project "$environment" "$extras"
"$environment/bin/python" -m ruff check .
exec "$environment/bin/python" -m pytest -q -rs "$@"
