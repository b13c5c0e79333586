"""Put a bundle together on a host without network, from parts that may come one at a time; needs Python alone.

    python unpack.py --into FOLDER [PART ...]

Parts are kept in FOLDER until the last one is there, wherever it comes from: call it again with the next ones. Then all
are checked against bundle.json, and unpacked into FOLDER/site; the line to put it on Python's path is printed.
"""

import argparse
import hashlib
import json
import lzma
import shutil
import sys
import tarfile
from pathlib import Path


class Parts:
    """The parts of a stream as one file to read, in order."""

    def __init__(self, paths):
        self._paths = list(paths)
        self._file = None

    def read(self, size):
        while True:
            if self._file is None:
                if not self._paths:
                    return b""
                self._file = self._paths.pop(0).open("rb")
            data = self._file.read(size)
            if data:
                return data
            self._file.close()
            self._file = None


def main():
    """Returns the exit status: 0 unpacked, 3 parts are still missing, 1 a part is damaged."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--into", type=Path, required=True, metavar="FOLDER")
    parser.add_argument("parts", nargs="*", type=Path, metavar="PART", help="default: those beside this file")
    arguments = parser.parse_args()
    here = Path(__file__).resolve().parent
    manifest = json.loads((here / "bundle.json").read_text(encoding="utf-8"))
    store = arguments.into / "parts"
    site = arguments.into / "site"
    done = arguments.into / "done.json"
    if done.is_file() and json.loads(done.read_text(encoding="utf-8")) == manifest["parts"]:
        return ready(site)
    store.mkdir(parents=True, exist_ok=True)
    names = [part["name"] for part in manifest["parts"]]
    given = arguments.parts or [here / name for name in names if (here / name).is_file()]
    for path in given:
        if path.name not in names:
            return fail(f"{path} is no part of this bundle ({', '.join(names)})")
        if path.resolve() != (store / path.name).resolve():
            shutil.copyfile(path, store / path.name)
    for part in manifest["parts"]:
        path = store / part["name"]
        if path.is_file() and digest(path) != part["sha256"]:
            path.unlink()
            return fail(f"{part['name']} is damaged: bring it again")
    missing = [name for name in names if not (store / name).is_file()]
    if missing:
        print(f"{len(names) - len(missing)} of {len(names)} parts are here; missing: {', '.join(missing)}")
        return 3
    partial = arguments.into / "site.partial"
    shutil.rmtree(partial, ignore_errors=True)
    with lzma.open(Parts(store / name for name in names)) as stream, tarfile.open(fileobj=stream, mode="r|") as archive:
        if hasattr(tarfile, "data_filter"):
            archive.extractall(partial, filter="data")
        else:
            archive.extractall(partial)
    shutil.rmtree(site, ignore_errors=True)
    partial.replace(site)
    done.write_text(json.dumps(manifest["parts"]), encoding="utf-8")
    shutil.rmtree(store)
    return ready(site)


def digest(path):
    """SHA-256 of a file, in hexadecimal."""
    total = hashlib.sha256()
    with path.open("rb") as file:
        while data := file.read(1 << 20):
            total.update(data)
    return total.hexdigest()


def ready(site):
    """Say how to use it."""
    print(f"export PYTHONPATH={site.resolve()}")
    return 0


def fail(text):
    """Say what is wrong."""
    print(f"error: {text}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
