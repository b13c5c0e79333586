"""UnionSpace: the valid configs of several templates, as one space."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from mmasched.errors import BadInput, nearest
from mmasched.space.base import Space
from mmasched.space.config import Config
from mmasched.space.search_space import SearchSpace


class UnionSpace(Space):
    """Several templates' spaces with the interface of one.

    A row is the member's number, then that member's row, padded with zeros. A config is encoded as the one-hot template
    followed by one block per member, all zero but its own. Sampling is uniform over all valid configs, so a member
    counts by its size. Raises BadInput for no members or two of one template.
    """

    def __init__(self, members: Sequence[SearchSpace]):
        self.members = tuple(members)
        if not self.members:
            raise BadInput("a union of spaces needs at least one space")
        self._numbers: dict[str, int] = {}
        for number, member in enumerate(self.members):
            if self._numbers.setdefault(member.template, number) != number:
                raise BadInput(f"a union of spaces has template {member.template!r} twice: leave one out")
        self.size = sum(member.size for member in self.members)
        if self.size >= 1 << 62:
            raise BadInput(f"the union of spaces has {self.size} combinations; shorten its lists of values")
        self.width = 1 + max(member.width for member in self.members)
        self._blocks = np.cumsum([len(self.members), *(member.dim for member in self.members)]).tolist()
        self.dim = self._blocks[-1]
        self._first_keys = np.cumsum([0, *(member.size for member in self.members)]).tolist()

    def __repr__(self) -> str:
        return f"UnionSpace({', '.join(self._numbers)}; {self.size} combinations)"

    def _wrap(self, number: int, rows: np.ndarray) -> np.ndarray:
        wrapped = np.zeros((len(rows), self.width), np.int16)
        wrapped[:, 0] = number
        wrapped[:, 1 : 1 + rows.shape[1]] = rows
        return wrapped

    def _by_member(self, rows: np.ndarray) -> Iterator[tuple[int, SearchSpace, np.ndarray, np.ndarray]]:
        """(number, member, positions in `rows`, rows of the member) for every member that has some."""
        for number in np.unique(rows[:, 0]).tolist():
            member = self.members[number]
            chosen = np.flatnonzero(rows[:, 0] == number)
            yield number, member, chosen, rows[chosen, 1 : 1 + member.width]

    def raw_rows(self, rng: np.random.Generator, n: int) -> np.ndarray:
        rows = np.zeros((n, self.width), np.int16)
        rows[:, 0] = np.searchsorted(self._first_keys, rng.integers(self.size, size=n), side="right") - 1
        for number, member, chosen, _ in self._by_member(rows):
            rows[chosen] = self._wrap(number, member.raw_rows(rng, len(chosen)))
        return rows

    def valid_mask(self, rows: np.ndarray) -> np.ndarray:
        mask = np.zeros(len(rows), bool)
        for _, member, chosen, own in self._by_member(rows):
            mask[chosen] = member.valid_mask(own)
        return mask

    def iter_rows(self) -> Iterator[np.ndarray]:
        for number, member in enumerate(self.members):
            for rows in member.iter_rows():
                yield self._wrap(number, rows)

    def count_valid(self) -> int:
        return sum(member.count_valid() for member in self.members)

    def keys(self, rows: np.ndarray) -> np.ndarray:
        keys = np.zeros(len(rows), np.int64)
        for number, member, chosen, own in self._by_member(rows):
            keys[chosen] = self._first_keys[number] + member.keys(own)
        return keys

    def changed_rows(self, rows: np.ndarray, rng: np.random.Generator, local: float) -> np.ndarray:
        """The template counts as one knob more: at its turn the config jumps to a random one of another template."""
        changed = np.array(rows, np.int16)
        for number, member, chosen, own in self._by_member(rows):
            changed[chosen] = self._wrap(number, member.changed_rows(own, rng, local))
            if len(self.members) > 1:
                jumping = chosen[rng.integers(member.width + 1, size=len(chosen)) == 0]
                others = rng.integers(len(self.members) - 1, size=len(jumping))
                others += others >= number
                for other in np.unique(others).tolist():
                    landing = jumping[others == other]
                    targets = self.members[other].sample_rows(rng, len(landing))
                    changed[landing[: len(targets)]] = self._wrap(other, targets)
        return changed

    def adjacent_rows(self, row: np.ndarray, *, steps_only: bool) -> np.ndarray:
        member = self.members[row[0]]
        return self._wrap(int(row[0]), member.adjacent_rows(row[1 : 1 + member.width], steps_only=steps_only))

    def encode_rows(self, rows: np.ndarray) -> np.ndarray:
        encoded = np.zeros((len(rows), self.dim), np.float32)
        encoded[np.arange(len(rows)), rows[:, 0]] = 1
        for number, member, chosen, own in self._by_member(rows):
            encoded[chosen, self._blocks[number] : self._blocks[number + 1]] = member.encode_rows(own)
        return encoded

    def config(self, row: np.ndarray) -> Config:
        member = self.members[row[0]]
        return member.config(row[1 : 1 + member.width])

    def _number(self, config: Config) -> int:
        if config.template not in self._numbers:
            raise BadInput(f"this space has no template {config.template!r}; {nearest(config.template, self._numbers)}")
        return self._numbers[config.template]

    def row(self, config: Config) -> np.ndarray:
        number = self._number(config)
        return self._wrap(number, self.members[number].row(config)[None])[0]

    def violated(self, config: Config) -> list[str]:
        try:
            return self.members[self._number(config)].violated(config)
        except BadInput as error:
            return [str(error)]
