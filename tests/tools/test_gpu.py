"""What the GPU scripts share."""

import json
import sys
import time

import _gpu
import pytest

from mmasched.errors import BadInput


def test_lines_are_kept_and_found_again(tmp_path) -> None:
    path = tmp_path / "folder" / "lines.jsonl"
    lines = _gpu.Lines(path)
    assert "a" not in lines
    lines.add("a", rate=1.5)
    lines.add("b", rate=2.5)
    again = _gpu.Lines(path)
    assert "a" in again and "c" not in again and [row["rate"] for row in again.rows] == [1.5, 2.5]


def test_a_torn_last_line_is_dropped(tmp_path) -> None:
    path = tmp_path / "lines.jsonl"
    _gpu.Lines(path).add("a")
    path.write_text(path.read_text() + '{"id": "b", "ra')
    assert [row["id"] for row in _gpu.Lines(path).rows] == ["a"]
    _gpu.Lines(path).add("c")
    assert [json.loads(line)["id"] for line in path.read_text().splitlines()] == ["a", "c"]


@pytest.mark.parametrize("line", ["nonsense\n", '{"no": "id"}\n', "7\n"])
def test_another_file_is_refused(tmp_path, line) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_text(line)
    with pytest.raises(BadInput, match="lines.jsonl:1"):
        _gpu.Lines(path)


def test_deadline() -> None:
    assert not _gpu.Deadline(None).passed() and not _gpu.Deadline(60).passed() and _gpu.Deadline(0).passed()


def test_a_board_without_its_library_is_silent() -> None:
    board = _gpu.Board("0000:00:00.0", library="libabsent.so.1")
    assert board.read() == {} and board.watching(lambda: 5) == (5, {})


def test_watching_takes_medians(monkeypatch) -> None:
    board = _gpu.Board("0000:00:00.0", library="libabsent.so.1")
    board._nvml = object()
    readings = iter([{"watts": 100.0, "limits": 1}, {"watts": 300.0, "limits": 4}, {"watts": 200.0, "limits": 0}])
    last = {"watts": 200.0, "limits": 0}
    monkeypatch.setattr(board, "read", lambda: next(readings, last))
    result, state = board.watching(lambda: time.sleep(0.1), every=0.005)
    assert result is None and state == {"watts": 200.0, "limits": 5}


def test_markdown() -> None:
    assert _gpu.markdown(["a", "bb"], [["x", "1"], ["yyy", "2.5"]]).splitlines() == [
        "| a   |  bb |", "| --- | --: |", "| x   |   1 |", "| yyy | 2.5 |"]  # fmt: skip


def test_the_checkout_itself_is_the_package() -> None:
    assert str(_gpu.ROOT) in sys.path and (_gpu.ROOT / "mmasched").is_dir()
