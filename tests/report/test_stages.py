"""Numbered stages and what they took."""

from mmasched.report import stages


def test_headings_and_times(monkeypatch, capsys):
    clock = iter([0.0, 2.5, 4.0])
    monkeypatch.setattr(stages.time, "monotonic", lambda: next(clock))
    tour = stages.Stages(2)
    tour.begin("first", "doing this")
    tour.begin("second", "doing that")
    tour.end()
    assert capsys.readouterr().out == "[1/2] doing this\n[2/2] doing that\n"
    assert tour.seconds == {"first": 2.5, "second": 1.5}
