"""Make a bundle for a host without network: mmasched, TVM and what else it needs, compressed, in parts of a given size.

    python tools/bundle.py --out out/bundle --part-mib 40                     # everything, for Python 3.12
    python tools/bundle.py --out out/bundle --have numpy,scipy,onnx --with cudnn,cutlass
    python tools/bundle.py --out out/runtime --runtime-only --kernels FOLDER   # a few MB: run kernels, compile nothing

On the host: python unpack.py --into FOLDER (see there; parts may come one at a time). Wheels for that Python are
downloaded, unpacked, stripped of what is not needed to run, and packed together as one xz stream (x86 filter, large
dictionary), which halves what wheels take.
"""

from __future__ import annotations

import argparse
import configparser
import hashlib
import json
import lzma
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
SCHEMA = 1
# Tags of manylinux by which pip finds wheels; it matches each exactly.
GLIBC = (39, 36, 35, 34, 31, 28, 27, 24, 17)
OPTIONAL = {"cudnn": "nvidia-cudnn-frontend", "cutlass": "nvidia-cutlass"}
RUNTIME = ("apache-tvm", "apache-tvm-ffi", "ml-dtypes", "numpy", "typing-extensions", "filelock", "psutil")
# Never needed to run: headers, static libraries, tests; CUTLASS is used as headers alone.
DROPPED = re.compile(
    r"^(tvm/3rdparty/|tvm/include/|tvm_ffi/include/|.*/tests?/|.*\.pyi$|.*\.a$|.*__pycache__/"
    r"|cutlass_library/(?!source/include/)|cutlass_cppgen/|pycute/|scipy/.*/tests/|sklearn/.*/tests/|onnx/backend/test/)"
)
DROPPED_FROM_RUNTIME = re.compile(r"^(tvm/lib/libtvm_compiler|.*\.dist-info/RECORD$)")


class BundleError(Exception):
    """One sentence for the user."""


def main() -> int:
    """Parse and make the bundle; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the parts go")
    parser.add_argument("--part-mib", type=float, default=40, metavar="N", help="size of a part (default: 40)")
    parser.add_argument("--python", default="3.12", metavar="X.Y", help="the host's Python (default: 3.12)")
    parser.add_argument("--have", default="", metavar="NAME,...", help="packages that the host has: left out")
    parser.add_argument("--have-file", type=Path, metavar="FILE", help="the same, as `pip list` or `pip freeze` there")
    parser.add_argument("--with", dest="extra", default="", metavar="NAME,...", help=f"{', '.join(OPTIONAL)}")
    parser.add_argument("--runtime-only", action="store_true", help="without the compiler")
    parser.add_argument("--kernels", type=Path, action="append", default=[], metavar="PATH", help="files to take along")
    parser.add_argument("--wheels", type=Path, metavar="FOLDER", help="take wheels from there; download nothing")
    parser.add_argument("--preset", type=int, default=9, metavar="N", help="of xz, 0 to 9 (default: 9)")
    arguments = parser.parse_args()
    try:
        manifest = make(arguments)
    except BundleError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for part in manifest["parts"]:
        print(f"{part['name']}: {part['bytes'] / 2**20:.1f} MiB")
    total = sum(part["bytes"] for part in manifest["parts"]) / 2**20
    print(f"{total:.1f} MiB in {len(manifest['parts'])} parts, {manifest['unpacked'] / 2**20:.0f} MiB unpacked: "
          f"{arguments.out}; there: python unpack.py --into FOLDER")  # fmt: skip
    return 0


def make(arguments: argparse.Namespace) -> dict[str, Any]:
    """Download, unpack, strip and pack; returns the manifest. Raises BundleError."""
    if arguments.part_mib <= 0:
        raise BundleError(f"--part-mib is {arguments.part_mib}: give a size above 0")
    extra = [name for name in arguments.extra.split(",") if name]
    for name in extra:
        if name not in OPTIONAL:
            raise BundleError(f"--with {name} is unknown: give some of {', '.join(OPTIONAL)}")
    for path in arguments.kernels:
        if not path.exists():
            raise BundleError(f"--kernels {path} does not exist")
    have = {normal(name) for name in arguments.have.split(",") if name} | listed(arguments.have_file)
    with tempfile.TemporaryDirectory(prefix="bundle-") as folder:
        wheels = arguments.wheels or Path(folder) / "wheels"
        if arguments.wheels is None:
            download(wheels, arguments.python, requirements(arguments.runtime_only), False)
            download(wheels, arguments.python, [OPTIONAL[name] for name in extra], True)
        site, versions = Path(folder) / "site", {}
        for wheel in sorted(wheels.glob("*.whl")):
            name, version = wheel.name.split("-")[:2]
            if normal(name) in have or (arguments.runtime_only and normal(name) not in RUNTIME):
                continue
            versions[normal(name)] = version
            unpack(wheel, site, arguments.runtime_only)
        if "apache-tvm" not in versions and "apache-tvm" not in have:
            raise BundleError(f"{wheels} has no wheel of apache-tvm: download it, or say --have apache-tvm")
        own(site)
        for path in arguments.kernels:
            target = site / "kernels" / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            (shutil.copytree if path.is_dir() else shutil.copyfile)(path, target)
        return pack(site, arguments, versions)


def normal(name: str) -> str:
    """apache-tvm for apache_tvm, as PEP 503 says."""
    return re.sub(r"[-_.]+", "-", name.strip()).lower()


def listed(path: Path | None) -> set[str]:
    """The packages of a `pip list` or `pip freeze`."""
    if path is None:
        return set()
    if not path.is_file():
        raise BundleError(f"--have-file {path} does not exist")
    return {normal(re.split(r"[\s=@]", line.strip())[0]) for line in path.read_text().splitlines() if line.strip()}


def requirements(runtime_only: bool) -> list[str]:
    """What setup.cfg asks for; for a runtime-only bundle, what running kernels needs of it."""
    setup = configparser.ConfigParser()
    setup.read(ROOT / "setup.cfg")
    lines = [line for line in setup["options"]["install_requires"].splitlines() if line and not line.startswith("#")]
    if runtime_only:
        lines = [line for line in lines if normal(re.split(r"[<>=;\s]", line)[0]) in RUNTIME]
    return lines


def download(folder: Path, python: str, wanted: list[str], alone: bool) -> None:
    """Wheels for the host's Python and what they need (not with `alone`), by pip."""
    if not wanted:
        return
    platforms = [word for minor in GLIBC for word in ("--platform", f"manylinux_2_{minor}_x86_64")]
    platforms += ["--platform", "manylinux2014_x86_64", "--platform", "manylinux1_x86_64"]
    command = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "-d", str(folder),
               "--only-binary=:all:", "--implementation", "cp", "--python-version", python, *platforms]  # fmt: skip
    done = subprocess.run([*command, *(["--no-deps"] if alone else []), *wanted], capture_output=True, text=True)
    if done.returncode != 0:
        faults = [line for line in done.stderr.splitlines() if line.startswith("ERROR")]
        raise BundleError(f"pip cannot download for Python {python}: {(faults or ['no word'])[-1]}")


def unpack(wheel: Path, site: Path, runtime_only: bool) -> None:
    """A wheel's files as pip would lay them, less what is not needed."""
    with zipfile.ZipFile(wheel) as archive:
        for info in archive.infolist():
            name = re.sub(r"^[^/]+\.data/(purelib|platlib)/", "", info.filename)
            if info.is_dir() or DROPPED.match(name) or (runtime_only and DROPPED_FROM_RUNTIME.match(name)):
                continue
            if re.match(r"^[^/]+\.data/", name):  # Scripts and headers.
                continue
            target = (site / name).resolve()
            if not target.is_relative_to(site.resolve()):
                raise BundleError(f"{wheel.name} has a file outside its folder: {info.filename}")
            target.parent.mkdir(parents=True, exist_ok=True)
            with archive.open(info) as source, target.open("wb") as file:
                shutil.copyfileobj(source, file)


def own(site: Path) -> None:
    """The package itself with its data folders where an installed one has them."""
    ignored = shutil.ignore_patterns("__pycache__", "*.lock")
    shutil.copytree(ROOT / "mmasched", site / "mmasched", ignore=ignored)
    for name in ("search_spaces", "tuning_logs"):
        shutil.copytree(ROOT / name, site / "mmasched" / "_data" / name, ignore=ignored)


def members(site: Path) -> Iterator[tarfile.TarInfo]:
    """Every file by suffix and name, so that alike bytes lie near each other; nothing of this machine in them."""
    paths = [path for path in site.rglob("*") if path.is_file()]
    for path in sorted(paths, key=lambda path: (path.suffix, path.name, str(path))):
        info = tarfile.TarInfo(str(path.relative_to(site)))
        info.size, info.mode = path.stat().st_size, 0o755 if path.stat().st_mode & 0o111 else 0o644
        yield info


class Split:
    """A file to write that becomes several of at most `size` bytes."""

    def __init__(self, folder: Path, stem: str, size: int):
        self._folder, self._stem, self._size = folder, stem, size
        self.paths: list[Path] = []
        self._file: Any = None
        self._left = 0

    def write(self, data: bytes) -> int:
        written = len(data)
        while data:
            if self._left == 0:
                self.close()
                self.paths.append(self._folder / f"{self._stem}.{len(self.paths):02d}")
                self._file, self._left = self.paths[-1].open("wb"), self._size
            part, data = data[: self._left], data[self._left :]
            self._file.write(part)
            self._left -= len(part)
        return written

    def close(self) -> None:
        """End the last part."""
        if self._file is not None:
            self._file.close()
            self._file = None


def pack(site: Path, arguments: argparse.Namespace, versions: dict[str, str]) -> dict[str, Any]:
    """Write the parts, bundle.json and unpack.py; returns the manifest."""
    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("bundle.tar.xz.*"):
        old.unlink()
    preset = arguments.preset | (lzma.PRESET_EXTREME if arguments.preset == 9 else 0)
    size = {"dict_size": 1 << 28} if arguments.preset == 9 else {}
    filters = [{"id": lzma.FILTER_X86}, {"id": lzma.FILTER_LZMA2, "preset": preset, **size}]
    split = Split(out, "bundle.tar.xz", max(1, int(arguments.part_mib * 2**20)))
    unpacked = 0
    stream = lzma.LZMAFile(split, "wb", filters=filters)
    with stream, tarfile.open(fileobj=stream, mode="w|", format=tarfile.PAX_FORMAT) as archive:
        for info in members(site):
            unpacked += info.size
            with (site / info.name).open("rb") as file:
                archive.addfile(info, file)
    split.close()
    parts = [{"name": path.name, "bytes": path.stat().st_size,
              "sha256": hashlib.sha256(path.read_bytes()).hexdigest()} for path in split.paths]  # fmt: skip
    manifest = {"schema": SCHEMA, "python": arguments.python, "runtime_only": arguments.runtime_only, "parts": parts,
                "packages": versions, "unpacked": unpacked}  # fmt: skip
    (out / "bundle.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")
    shutil.copyfile(Path(__file__).with_name("_bundle_unpack.py"), out / "unpack.py")
    return manifest


if __name__ == "__main__":
    sys.exit(main())
