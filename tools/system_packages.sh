#!/usr/bin/env bash
# Installs with apt what tests for Arm and CUDA need beyond Python: tools/system_packages.sh.
# Does nothing where all is there, and only says so where this user may not install: such tests then skip.
set -uo pipefail

case "${1:-}" in
  -h | --help)
    sed -n '2,3s/^# //p' "${BASH_SOURCE[0]}"
    exit 0
    ;;
esac

# Prints the packages whose programs are missing. llvm-mca-19 is the version whose models the documented costs are from.
missing_packages() {
  command -v g++ >/dev/null || echo g++
  command -v qemu-aarch64 >/dev/null || echo qemu-user
  command -v aarch64-linux-gnu-gcc >/dev/null || echo gcc-aarch64-linux-gnu libc6-dev-arm64-cross
  command -v llvm-mca-19 >/dev/null || echo llvm-19
}

mapfile -t packages < <(missing_packages | tr ' ' '\n')
[ ${#packages[@]} -gt 0 ] || exit 0

become=()
if ! command -v apt-get >/dev/null; then
  echo "tests that need ${packages[*]} will skip: there is no apt-get to install these with." >&2
  exit 0
elif [ "$(id -u)" != 0 ]; then
  become=(sudo -n)
  if ! sudo -n true 2>/dev/null; then
    echo "tests that need ${packages[*]} will skip: install these with apt-get." >&2
    exit 0
  fi
fi

echo "installing ${packages[*]}" >&2
install=("${become[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -o DPkg::Lock::Timeout=120)
if ! { "${install[@]}" update && "${install[@]}" install -y --no-install-recommends "${packages[@]}"; } >/dev/null; then
  echo "apt-get could not install ${packages[*]}: tests that need these will skip." >&2
fi
exit 0
