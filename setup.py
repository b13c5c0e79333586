"""Build hook: the wheel carries the checkout's data folders as `mmasched/_data/`; everything else is in setup.cfg."""

from __future__ import annotations

from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

ROOT = Path(__file__).resolve().parent
DATA_FOLDERS = ("search_spaces", "tuning_logs")


class BuildWithData(build_py):
    """Copies the data folders beside the modules; an editable install reads them from the checkout instead."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        for source, target in self._data().items():
            self.mkpath(str(target.parent))
            self.copy_file(str(source), str(target))

    def get_outputs(self, include_bytecode: bool = True) -> list[str]:
        return super().get_outputs(include_bytecode) + [str(target) for target in self._data().values()]

    def get_source_files(self) -> list[str]:
        return super().get_source_files() + [str(source.relative_to(ROOT)) for source in self._data()]

    def _data(self) -> dict[Path, Path]:
        """Each data file of the checkout and where it goes; a folder is kept even while it is empty of data."""
        destination = Path(self.build_lib) / "mmasched" / "_data"
        return {
            file: destination / file.relative_to(ROOT)
            for folder in DATA_FOLDERS
            for file in sorted((ROOT / folder).rglob("*"))
            if file.is_file() and not file.name.endswith((".lock", "~"))
        }


setup(cmdclass={"build_py": BuildWithData})
