"""A recorded table stands in for measuring: same contract, same outcomes, no waiting."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from mmasched.errors import BadInput
from mmasched.log import Log, Record, config_key, matching, standing
from mmasched.measure.outcome import Outcome
from mmasched.measure.recorded_space import RecordedSpace
from mmasched.measure.records import to_outcome
from mmasched.measure.runner import OnOutcome, Runner
from mmasched.problem import Conv2d
from mmasched.space import Config, Space


class ReplayRunner(Runner):
    """Answers from the log at ``path``; costs keep the kind, chip and threads that they were recorded with.

    target, chip, threads choose among the records; each may be left out when the log has only one. Of a config that was
    tried several times the record counts that ``log.standing`` believes. A config that is not in the table ends as
    "constraint". Raises Missing when there is no such file and BadInput when nothing or too much matches.
    """

    noisy = False

    def __init__(
        self, path: str | Path, target: str | None = None, chip: str | None = None, threads: int | None = None
    ) -> None:
        self.path = Path(path)
        records = matching(Log(path, must_exist=True).records(), None, target, chip, threads)
        self.target = self._only("target", [record.target for record in records])
        self.chip = self._only("chip", [record.chip for record in records])
        self.threads = self._only("threads", [record.threads for record in records])
        self.kind = self._only("kind", [record.kind for record in records])
        by_problem: dict[str, list[Record]] = {}
        for record in records:
            by_problem.setdefault(record.problem, []).append(record)
        self._tables = {problem: standing(group) for problem, group in by_problem.items()}

    @property
    def problems(self) -> list[str]:
        """Keys of the problems that the table has."""
        return list(self._tables)

    def configs(self, problem: Conv2d) -> list[Config]:
        """The recorded configs of a problem. Raises BadInput when the table does not have the problem."""
        table = self._table(problem)
        return [Config.from_dict(record.template, record.config) for record in table.values()]

    def restrict(self, problem: Conv2d, space: Space) -> Space:
        """Only what was recorded."""
        return RecordedSpace(space, self.configs(problem))

    def run(self, problem: Conv2d, configs: Sequence[Config], *, progress: OnOutcome | None = None) -> list[Outcome]:
        """See Runner. Raises BadInput when the table does not have the problem."""
        outcomes = [self._outcome(problem, config) for config in configs]
        for outcome in outcomes if progress is not None else ():
            progress(outcome)
        return outcomes

    def confirm(self, problem: Conv2d, configs: Sequence[Config], rounds: int) -> list[Outcome]:
        """The recorded outcomes again: a table has nothing more to say."""
        return self.run(problem, configs)

    def _outcome(self, problem: Conv2d, config: Config) -> Outcome:
        record = self._table(problem).get(config_key(config.template, config.as_dict()))
        if record is None:
            detail = f"not recorded in {self.path}"
            return Outcome("constraint", config, problem, detail, self.kind, threads=self.threads, target=self.target)
        return to_outcome(record, problem)

    def _table(self, problem: Conv2d) -> dict[tuple[str, str], Record]:
        if problem.key not in self._tables:
            raise BadInput(f"{self.path} has no records of {problem.key}: it has {', '.join(self._tables)}")
        return self._tables[problem.key]

    def _only(self, name: str, values: list) -> object:
        distinct = sorted(set(values))
        if len(distinct) == 1:
            return distinct[0]
        if not distinct:
            raise BadInput(f"{self.path} has no records of that target, chip and thread count to replay")
        listed = ", ".join(map(str, distinct))
        raise BadInput(f"{self.path} has records of several {name} values ({listed}): choose one")
