"""What every space offers: all valid configs of a problem on a chip, to sample, walk, encode and enumerate.

Configs have two faces. `Config` is the one for people and records. For searches that look at thousands of them at
once a space also speaks *rows*: int16[n, width] arrays of knob value indices. Every operation on a config is its
operation on rows with n = 1.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from functools import cached_property

import numpy as np

from mmasched.errors import BadInput, Unsupported
from mmasched.space.config import Config

# Where fewer than this share of the raw combinations is valid, sampling draws from the list of valid ones instead.
RARE = 0.02
# The longest such list that is kept (and memory it takes: this many int16 rows).
MAX_LISTED = 2_000_000
# Spaces that seem to have more valid configs than this are not listed for sampling: blind draws are cheaper by then.
WORTH_LISTING = 100_000
# Spaces of no more raw combinations than this are listed at once.
SMALL = 1 << 15
# How many blind changes of a row a mutation tries, in rounds, before it looks through all single changes. Many at once
# cost hardly more than one: the time goes into calls, not into rows.
MUTATION_TRIES = (4, 8, 16)


class Space(ABC):
    """All valid configs of one problem on one chip. Sizes count configs; random draws use the generator passed in."""

    size: int
    """Raw combinations, valid or not."""
    width: int
    """Length of a row."""
    dim: int
    """Length of an encoded config."""

    @property
    def drawn_size(self) -> int:
        """Combinations that ``raw_rows`` draws from."""
        return self.size

    # --- what a kind of space implements, on rows ---

    @abstractmethod
    def raw_rows(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """n rows drawn uniformly from all raw combinations, int16[n, width]."""

    @abstractmethod
    def valid_mask(self, rows: np.ndarray) -> np.ndarray:
        """bool[n]: which rows meet all constraints."""

    @abstractmethod
    def iter_rows(self) -> Iterator[np.ndarray]:
        """All valid rows in chunks, in an order that never changes."""

    @abstractmethod
    def keys(self, rows: np.ndarray) -> np.ndarray:
        """A number for each row, int64[n] in [0, size): different rows have different keys."""

    @abstractmethod
    def changed_rows(self, rows: np.ndarray, rng: np.random.Generator, local: float) -> np.ndarray:
        """Each row with one knob at another value, valid or not."""

    @abstractmethod
    def adjacent_rows(self, row: np.ndarray, *, steps_only: bool) -> np.ndarray:
        """All raw rows one knob away from int16[width]: one step away, or at any other value; int16[m, width]."""

    @abstractmethod
    def encode_rows(self, rows: np.ndarray) -> np.ndarray:
        """float32[n, dim]."""

    @abstractmethod
    def config(self, row: np.ndarray) -> Config:
        """The config of one row."""

    @abstractmethod
    def row(self, config: Config) -> np.ndarray:
        """The row of one config, int16[width]. Raises BadInput for another template, other knobs or other values."""

    @abstractmethod
    def violated(self, config: Config) -> list[str]:
        """Names of the constraints that `config` breaks, in order; or one sentence when it is not of this space."""

    @abstractmethod
    def count_valid(self) -> int:
        """How many configs are valid."""

    # --- the same for all, on rows ---

    def valid_rows(self, limit: int | None = None) -> np.ndarray | None:
        """All valid rows, int16[n, width], read-only and kept; None when there are more than `limit`."""
        if self._listed is None:
            if limit is not None and limit < self._more_than:
                return None
            chunks, found = [np.zeros((0, self.width), np.int16)], 0
            for chunk in self.iter_rows():
                chunks.append(chunk)
                found += len(chunk)
                if limit is not None and found > limit:
                    self._more_than = found
                    return None
            self._listed = np.concatenate(chunks)
            self._listed.setflags(write=False)
        return self._listed if limit is None or len(self._listed) <= limit else None

    _listed: np.ndarray | None = None
    _more_than: int = 0

    @cached_property
    def _valid_share(self) -> float:
        """Roughly which share of the raw combinations is valid.

        Probed with a generator of its own, so that what a caller draws depends on its seed only.
        """
        return float(self.valid_mask(self.raw_rows(np.random.default_rng(0), 4096)).mean())

    @cached_property
    def _sampled_from(self) -> np.ndarray | None:
        """The list that sampling draws from, None when it draws blindly and rejects."""
        if self.size <= SMALL:
            return self.valid_rows()
        few = self._valid_share < RARE and self._valid_share * self.drawn_size <= WORTH_LISTING
        return self.valid_rows(MAX_LISTED) if few else None

    def sample_rows(self, rng: np.random.Generator, n: int) -> np.ndarray:
        """n rows drawn independently and uniformly from the valid ones, int16[n, width]; no rows when nothing is valid.

        Raises Unsupported when valid configs are too rare to be found and too many to be listed.
        """
        listed = self._sampled_from
        if listed is not None:
            return listed[rng.integers(len(listed), size=n)] if len(listed) else listed
        found, missing, drawn = [], n, 0
        while missing > 0:
            rows = self.raw_rows(rng, min(16 + int(1.3 * missing / max(self._valid_share, 1e-4)), 65536))
            drawn += len(rows)
            rows = rows[self.valid_mask(rows)][:missing]
            found.append(rows)
            missing -= len(rows)
            if drawn > 10_000_000 and missing == n:
                raise Unsupported(f"{self!r}: none of {drawn} draws was valid; shorten the lists of values")
        return np.concatenate(found) if found else np.zeros((0, self.width), np.int16)

    def mutate_rows(self, rows: np.ndarray, rng: np.random.Generator, local: float = 0.5) -> np.ndarray:
        """Each valid row with one knob changed such that it stays valid; int16[n, width].

        `local` is the probability that an ordered knob moves one step rather than anywhere. A row without such a
        neighbour jumps to a random valid one.
        """
        mutated = np.array(rows, np.int16)
        open_ = np.arange(len(rows))
        for tries in MUTATION_TRIES:
            if not len(open_):
                return mutated
            tried = np.repeat(rows[open_], tries, axis=0)
            changed = self.changed_rows(tried, rng, local)
            good = (self.valid_mask(changed) & (changed != tried).any(axis=1)).reshape(-1, tries)
            hit = np.flatnonzero(good.any(axis=1))
            mutated[open_[hit]] = changed[hit * tries + good[hit].argmax(axis=1)]
            open_ = np.delete(open_, hit)
        for i in open_:
            choices = self.adjacent_rows(rows[i], steps_only=False)
            choices = choices[self.valid_mask(choices)]
            mutated[i] = choices[rng.integers(len(choices))] if len(choices) else self.sample_rows(rng, 1)[0]
        return mutated

    def neighbour_rows(self, row: np.ndarray) -> np.ndarray:
        """All valid rows one step of one knob away, int16[m, width]."""
        rows = self.adjacent_rows(row, steps_only=True)
        return rows[self.valid_mask(rows)]

    def find_row(self, config: Config) -> np.ndarray | None:
        """The row of `config`, or None when it is not of this space."""
        try:
            return self.row(config)
        except BadInput:
            return None

    # --- the same on configs ---

    def sample(self, rng: np.random.Generator) -> Config:
        """A config drawn uniformly from the valid ones. Raises Unsupported when there is none."""
        rows = self.sample_rows(rng, 1)
        if not len(rows):
            raise Unsupported(f"{self!r} has no valid config for this problem on this hardware")
        return self.config(rows[0])

    def mutate(self, config: Config, rng: np.random.Generator, local: float = 0.5) -> Config:
        """`config` with one knob changed, valid again; see `mutate_rows`. Raises BadInput for a foreign config."""
        return self.config(self.mutate_rows(self.row(config)[None], rng, local)[0])

    def neighbours(self, config: Config) -> list[Config]:
        """All valid configs one step of one knob away: the next value if ordered, else any other."""
        return [self.config(row) for row in self.neighbour_rows(self.row(config))]

    def encode(self, config: Config) -> np.ndarray:
        """`config` as float32[dim] for a cost model. Raises BadInput for a config of another space."""
        return self.encode_rows(self.row(config)[None])[0]

    def is_valid(self, config: Config) -> bool:
        """Whether `config` is of this space and meets every constraint."""
        row = self.find_row(config)
        return row is not None and bool(self.valid_mask(row[None])[0])

    def enumerate(self) -> Iterator[Config]:
        """All valid configs, lazily, in an order that never changes."""
        for rows in self.iter_rows():
            yield from map(self.config, rows)
