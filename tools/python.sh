# Sourced by the scripts beside it: finds a Python that the project supports, and makes or reuses its environment.

# Prints the first interpreter of Python 3.10 or later; prints what to install and fails where there is none.
find_python() {
  local candidate
  for candidate in python3 python3.13 python3.12 python3.11 python3.10 python; do
    if "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 10))' >/dev/null 2>&1; then
      echo "$candidate"
      return 0
    fi
  done
  echo "mmasched needs Python 3.10 or later and none was found: install it (Debian: apt-get install python3 python3-venv)." >&2
  return 1
}

# Prints the folder of the environment to use: the active one, else .venv, which is made where it is absent.
find_environment() {
  if [ -n "${VIRTUAL_ENV:-}" ]; then
    echo "$VIRTUAL_ENV"
    return 0
  fi
  if [ ! -x .venv/bin/python ]; then
    local python
    python=$(find_python) || return 1
    if ! "$python" -m venv .venv >&2; then
      echo "$python cannot make a virtual environment: install its venv module (Debian: apt-get install python3-venv)." >&2
      return 1
    fi
  fi
  echo "$PWD/.venv"
}

# install_project ENVIRONMENT EXTRAS: installs the checkout with its extras, unless nothing changed since the last time.
install_project() {
  local stamp="$1/mmasched-installed-${2//,/-}"
  if [ -e "$stamp" ] && [ "$stamp" -nt setup.cfg ] && [ "$stamp" -nt pyproject.toml ] && [ "$stamp" -nt setup.py ]; then
    return 0
  fi
  "$1/bin/python" -m pip install --quiet --disable-pip-version-check --editable ".[$2]" || return 1
  touch "$stamp"
}
