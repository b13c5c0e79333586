import pytest

from mmasched.compare.rotation import rotate


class Fake:
    """Takes a fixed time per call and notes every burst in a common diary."""

    def __init__(self, name: str, seconds: float, diary: list[tuple[str, int]]):
        self.name, self.seconds, self.diary = name, seconds, diary

    def time(self, calls: int) -> float:
        self.diary.append((self.name, calls))
        return calls * self.seconds


def test_medians_and_bursts() -> None:
    diary: list[tuple[str, int]] = []
    fast, slow = Fake("fast", 1e-6, diary), Fake("slow", 1e-2, diary)
    timings = rotate([fast, slow], rounds=3, burst_seconds=1e-3, settle_seconds=0)
    assert [timing.seconds for timing in timings] == pytest.approx([1e-6, 1e-2])
    assert all(timing.best <= timing.seconds and len(timing.times) == 3 for timing in timings)
    bursts = [calls for name, calls in diary[-12:] if name == "fast"]
    assert max(bursts) == pytest.approx(1000, rel=0.3)


def test_the_order_shifts_each_round() -> None:
    diary: list[tuple[str, int]] = []
    contestants = [Fake(name, 1.0, diary) for name in "abc"]
    rotate(contestants, rounds=3, burst_seconds=1e-3, settle_seconds=0)
    turns = [name for name, _ in diary[-18::2]]
    assert turns == list("abcbcacab")


def test_nothing_to_measure() -> None:
    assert rotate([], rounds=3) == []
    with pytest.raises(ValueError, match="rounds"):
        rotate([], rounds=0)
