import pytest

from mmasched import data
from mmasched.errors import BadInput, Missing


def test_checkout_folders_are_found():
    for folder in data.FOLDERS:
        found = data.data_dir(folder)
        assert found.is_dir() and found.name == folder


def test_unknown_folder_names_the_nearest():
    with pytest.raises(BadInput, match="search_spaces"):
        data.data_dir("search_space")


def test_packaged_data_come_before_the_checkout(tmp_path, monkeypatch):
    package = tmp_path / "mmasched"
    (tmp_path / "tuning_logs").mkdir()
    package.mkdir()
    monkeypatch.setattr(data, "__file__", str(package / "data.py"))
    assert data.data_dir("tuning_logs") == tmp_path / "tuning_logs"
    (package / "_data" / "tuning_logs").mkdir(parents=True)
    assert data.data_dir("tuning_logs") == package / "_data" / "tuning_logs"
    with pytest.raises(Missing, match="search_spaces"):
        data.data_dir("search_spaces")
