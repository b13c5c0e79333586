"""The leaders of a table, measured again in several worker processes: what one process says is not enough.

Where a process's memory lies, and what else the machine did in those seconds, moves all samples of a config alike, by
up to 5%: the more samples one process takes, the surer it is of its own luck. So the leaders are visited: built anew in
a new process, in a new order, and timed in turn with each other. A cost is the median of its visits' medians, its
error what those scatter.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from _table_journal import NEAR, SETTLED, speakers

from mmasched.measure.table import Entry
from mmasched.measure.timing import standard_error
from mmasched.measure.twins import CODE
from mmasched.space import Config

# So many of lowest cost are the leaders. Whoever leads does so by luck as well; how much that is shows in many only.
LEADERS = 48
# Visits go on until each leader within NEAR of the best had so many and its error is small enough, or there were most.
VISITS, MOST_VISITS = 6, 60
# Rounds of all leaders in turn at each visit.
ROUNDS = 40

Visit = Mapping[Config, Sequence[float]]
"""The samples of each leader, in seconds as scaled by the anchor."""


@dataclass(frozen=True)
class Final:
    """What visits say of a config: cost in seconds, its relative standard error, all samples, number of visits."""

    cost: float
    error: float
    times: tuple[float, ...]
    visits: int


def finals(entries: Iterable[Entry], visits: Sequence[Visit]) -> dict[Config, Final]:
    """The final of every config that was visited.

    Logarithms of medians are a part of the config, a part of the visit (all were slow, or the anchor was) and the rest,
    told from each other by Tukey's median polish (Exploratory Data Analysis, 1977), as some are far off. What was
    confirmed before counts as a visit too meanwhile, and for the cost as long as there was only one since: whoever
    leads does so by luck as well. Parts of visits are relative to what was confirmed before, so that costs of configs
    that were visited and of others compare.
    """
    before = {entry.config: entry for entry in entries if entry.ok and entry.confirmed}
    visits = [visit for visit in visits if any(config in before for config in visit)]
    columns = [{config: entry.times for config, entry in before.items()}, *visits]
    configs = list(dict.fromkeys(config for visit in visits for config in visit if config in before))
    if not configs:
        return {}
    medians = np.array([[np.log(np.median(v[c])) if c in v else np.nan for v in columns] for c in configs])
    of_visit = np.zeros(len(columns))
    for _ in range(20):
        of_config = np.nanmedian(medians - of_visit, axis=1)
        of_visit = np.nanmedian(medians - of_config[:, None], axis=0)
        of_visit -= of_visit[0]
    found = {}
    for config, own in zip(configs, medians - of_visit, strict=True):
        times = [np.asarray(v[config]) / np.exp(part) for v, part in zip(columns, of_visit) if config in v]
        count = len(times) - 1
        counted = np.exp(own[~np.isnan(own)][count > 1 :]).tolist()
        samples = tuple(np.concatenate(times[count > 1 :]).tolist())
        found[config] = Final(statistics.median(counted), standard_error(counted), samples, count)
    return found


def to_visit(entries: Iterable[Entry], visits: Sequence[Visit]) -> list[Config]:
    """The leaders, best first, until the costs of the best are sure; one of those with the same code."""
    entries = list(entries)
    known = finals(entries, visits)

    def cost(entry: Entry) -> float:
        return known[entry.config].cost if entry.config in known else entry.cost

    leaders = speakers(sorted((e for e in entries if e.ok and e.confirmed), key=cost))[:LEADERS]
    near = [entry for entry in leaders if cost(entry) <= (1 + NEAR) * cost(leaders[0])]
    done = len(visits) >= MOST_VISITS or all(_sure(known.get(entry.config)) for entry in near)
    return [] if done else [entry.config for entry in leaders]


def _sure(final: Final | None) -> bool:
    return final is not None and final.visits >= VISITS and final.error < SETTLED


def with_finals(entries: Iterable[Entry], visits: Sequence[Visit]) -> list[Entry]:
    """The entries, those with visits enough (or with the code of one that has) at what their finals say."""
    entries = list(entries)
    known = {config: final for config, final in finals(entries, visits).items() if final.visits >= VISITS}
    by_code = {e.resources[CODE]: known[e.config] for e in entries if e.config in known and CODE in e.resources}
    found = []
    for entry in entries:
        final = known.get(entry.config) or by_code.get(entry.resources.get(CODE))
        if final is not None and entry.ok:
            entry = replace(entry, cost=final.cost, times=final.times, error=final.error, confirmed=True)
        found.append(entry)
    return found


def visited_often(entries: Iterable[Entry], visits: Sequence[Visit]) -> list[Entry]:
    """Those of the entries that had visits enough for their errors to mean something."""
    often = Counter(config for visit in visits for config in visit)
    return [entry for entry in entries if entry.ok and often[entry.config] >= VISITS]
