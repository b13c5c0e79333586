#!/usr/bin/env bash
# Makes a folder with a 64-bit Arm Python and aarch64 wheels that runs under qemu-user: tools/arm64_root.sh FOLDER [PACKAGE ...]
# Without packages: the peers of tools/bench_arm.py. Needs a Debian with Python 3.11 or newer, apt-get, pip and qemu-user;
# packages are unpacked beside the system's, which is left alone.
set -euo pipefail

case "${1:--h}" in
  -h | --help)
    sed -n '2,4s/^# //p' "$0"
    exit 0
    ;;
esac
folder=$(mkdir -p "$1" && cd "$1" && pwd)
shift
# The newest release of onnxruntime that starts under qemu 7.2.
packages=("${@:-}")
[ -n "${packages[0]}" ] || packages=(ncnn numpy onnxruntime==1.23.2 flatbuffers protobuf packaging)

state=$folder/apt
mkdir -p "$folder/root" "$state/lists/partial" "$state/cache/archives/partial"
: >"$state/status"
options=(-q -o APT::Architecture=arm64 -o APT::Architectures=arm64 -o "Dir::State=$state" -o "Dir::State::status=$state/status"
  -o "Dir::Cache=$state/cache" -o Debug::NoLocking=1 -o APT::Sandbox::User=root)
if [ ! -e "$folder/root/usr/bin/python3" ]; then
  apt-get "${options[@]}" update
  apt-get "${options[@]}" -y --no-install-recommends --download-only install \
    python3-minimal libpython3-stdlib libstdc++6 libgomp1 zlib1g
  for package in "$state"/cache/archives/*.deb; do
    dpkg -x "$package" "$folder/root"
  done
  rm -r "$state"
fi

version=$(basename "$(readlink -f "$folder/root/usr/bin/python3")")
platforms=()
for tag in manylinux_2_17_aarch64 manylinux2014_aarch64 manylinux_2_27_aarch64 manylinux_2_28_aarch64 manylinux_2_34_aarch64; do
  platforms+=(--platform "$tag")
done
python3 -m pip install -q --upgrade --target "$folder/site" "${platforms[@]}" --implementation cp \
  --python-version "${version#python}" --only-binary=:all: --no-deps "${packages[@]}"

# The emulated Python starts processes by this name, which stands for emulator and interpreter.
cat >"$folder/python" <<SCRIPT
#!/bin/sh
PYTHONHOME='$folder/root/usr' PYTHONPATH='$folder/site' exec qemu-aarch64 -L '$folder/root' -0 '$folder/python' \\
  '$folder/root/usr/bin/$version' "\$@"
SCRIPT
chmod +x "$folder/python"
"$folder/python" -c 'import platform; print("Python", platform.python_version(), "on", platform.machine())'
