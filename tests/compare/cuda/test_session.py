"""Several contestants over several problems, with contestants that need no GPU; and the command's result file."""

import json
from dataclasses import dataclass
from typing import ClassVar

import pytest

from mmasched.cli.compare_cuda import plot_ratios, read_lines, show
from mmasched.compare.base import Peer, Prepared
from mmasched.compare.cuda import session
from mmasched.compare.cuda.symmetric import symmetric
from mmasched.errors import BadInput, MmaschedError
from mmasched.problem import Conv2d, Requantize, reference

PROBLEM = symmetric(Conv2d(1, 5, 5, 8, 8, 1, requantize=Requantize([0.01] * 8)))
OTHER = symmetric(Conv2d(1, 6, 6, 8, 8, 1, requantize=Requantize([0.01] * 8)))


@dataclass(frozen=True)
class Fake(Peer):
    name: ClassVar[str] = "fake"

    def unsupported(self, problem):
        return None if problem.height == 5 else "it is not 5 high"

    def load(self, problem, operands, threads):
        return Prepared(lambda: None, lambda: None)


class Process:
    """Stands in for a contestant's process."""

    started: ClassVar[list[str]] = []

    def __init__(self, peer, python=None, cores=None):
        self.peer, self.name, self.version, self.note = peer, peer.name, "1", "kernel"
        self.started.append(peer.name)

    def prepare(self, problem, operands, threads):
        if isinstance(self.peer, Dies):
            raise MmaschedError("the process of dies died: CUDA_ERROR_ILLEGAL_ADDRESS")
        self.problem, self.operands = problem, operands
        self.peer.prepare(problem, operands, threads)

    def run(self):
        return reference(self.problem, **self.operands)

    def time(self, calls):
        return 1e-5 * calls

    def close(self):
        self.started.append(f"{self.name} ended")


@dataclass(frozen=True)
class Dies(Fake):
    name: ClassVar[str] = "dies"


@pytest.fixture
def found(monkeypatch):
    monkeypatch.setattr(session, "Contestant", Process)
    monkeypatch.setattr(session, "SETTLE_SECONDS", 0)
    Process.started.clear()
    with session.GpuSession([Fake(), Dies()], rounds=2) as running:
        return [running.compare(problem) for problem in (PROBLEM, OTHER)]


def test_processes_are_kept_and_started_anew_after_a_crash(found) -> None:
    first, second = found
    assert [row.name for row in first.rows] == ["fake"] and str(first.rows[0].agreement) == "exact"
    assert first.rows[0].seconds == pytest.approx(1e-5) and "ILLEGAL_ADDRESS" in dict(first.absent)["dies"]
    assert "not 5 high" in dict(second.absent)["fake"]
    assert Process.started == ["fake", "dies", "dies ended", "dies", "dies ended", "fake ended"]


def test_lines_come_back_and_are_not_measured_again(found, tmp_path) -> None:
    line = json.loads(json.dumps(session.as_line(found[0], 3, "Board")))
    again = session.from_line(line)
    assert again.problem.key == PROBLEM.key and again.rows == found[0].rows and again.absent == found[0].absent
    left = list(session.remaining([(PROBLEM, 3), (OTHER, 1)], [line]))
    assert left == [(OTHER, 1)]
    path = tmp_path / "results.jsonl"
    path.write_text(json.dumps(line) + "\n" + '{"torn": ')
    assert read_lines(path) == [line] and path.read_text() == json.dumps(line) + "\n"
    path.write_text("nonsense\n")
    with pytest.raises(BadInput, match="results.jsonl:1 is no comparison"):
        read_lines(path)
    assert read_lines(None) == [] and read_lines(tmp_path / "absent") == []


def test_the_table_has_ratios_and_reasons(found, tmp_path, capsys) -> None:
    line = session.as_line(found[0], 3, "Board")
    row = dict(line["rows"][0])
    line["rows"] = [{**row, "name": "mmasched", "seconds": 5e-6}, {**row, "remark": "less work"}]
    shown = [(session.from_line(line), 3)]
    show(shown, ["mmasched", "fake", "dies"], "Board")
    printed = capsys.readouterr().out
    assert "2.00x" in printed and "ILLEGAL_ADDRESS" in printed and "fake: less work" in printed
    pytest.importorskip("matplotlib")
    plot_ratios(shown, ["mmasched", "fake", "dies"], tmp_path / "ratios.png")
    assert (tmp_path / "ratios.png").read_bytes()[:4] == b"\x89PNG"
