"""What a search tries next: whole batches of its strategy, the same ones again after an interruption."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from itertools import groupby

from mmasched.log import Record, standing
from mmasched.search import Observation, Strategy
from mmasched.space import Config, Space

_PROPOSE_ATTEMPTS = 20

IsOwn = Callable[[Record], bool]
Observed = Callable[[Record], Observation]


class Proposals:
    """The default schedule, then its rivals, then what the strategy proposes, batch by batch.

    A batch is proposed whole, whatever budget is left, and the strategy learns of it when all of it was tried: what it
    proposes then depends neither on where a budget ended nor on where a run was interrupted. batch: how many configs
    to ask for at a time.
    """

    def __init__(
        self, make_strategy: Callable[[], Strategy], space: Space, starts: Sequence[Config], parallel: int
    ) -> None:
        self._make_strategy, self._space, self._parallel = make_strategy, space, parallel
        self._starts = [config for config in starts if space.is_valid(config)]
        self._start_afresh()

    @property
    def batch(self) -> int:
        """How many configs the strategy is asked for at a time: as it likes, but enough to keep the runner busy."""
        return max(self.strategy.batch_size, self._parallel)

    def next(self) -> list[Config]:
        """What is left to try of the batch, or a new one; empty when the space has no new config."""
        if not self._batch:
            self._batch = self._new_batch()
        return self._batch

    def tell(self, observation: Observation) -> None:
        """Notes what became of one of the batch; the strategy is told when it was the last one."""
        self._tried.add(observation.config)
        self._batch.remove(observation.config)
        self._unobserved.append(observation)
        if not self._batch:
            self.strategy.observe(self._unobserved)
            self._unobserved = []

    def resume(self, records: Sequence[Record], is_own: IsOwn, observed: Observed) -> None:
        """Takes records up, in the order of the log.

        The strategy proposes its own ones again and is told what became of them, in batches as it was before. Where it
        proposes others (the log was made by another version, say) it just learns what all records say.
        """
        if not self._live_again(records, is_own, observed):
            self._start_afresh()
            self._learn(records, observed)

    def _start_afresh(self) -> None:
        self.strategy = self._make_strategy()
        self._tried: set[Config] = set()
        self._batch: list[Config] = []
        self._unobserved: list[Observation] = []

    def _live_again(self, records: Sequence[Record], is_own: IsOwn, observed: Observed) -> bool:
        for own, group in groupby(records, is_own):
            if not own:
                self._learn(group, observed)
                continue
            for record in group:
                observation = observed(record)
                if observation.config in self._tried:
                    continue  # A finalist measured again: no news to the search that it ended, and none now.
                if observation.config not in self.next():
                    return False
                self.tell(observation)
        return True

    def _learn(self, records: Iterable[Record], observed: Observed) -> None:
        observations = [observed(record) for record in standing(records).values()]
        self._tried.update(observation.config for observation in observations)
        self._batch = [config for config in self._batch if config not in self._tried]
        self.strategy.observe(observations)

    def _new_batch(self) -> list[Config]:
        starts = [config for config in self._starts if config not in self._tried]
        if starts:
            # The default alone, so that the strategy knows it before it proposes; then every template once: a small
            # space would hardly be met among large ones.
            return starts[:1] if starts[0] == self._starts[0] else starts
        for _ in range(_PROPOSE_ATTEMPTS):
            proposed = self.strategy.propose(self.batch)
            fresh = [config for config in proposed if config not in self._tried]
            if fresh or not proposed:
                return fresh
        return []
