"""What is compared: strategies with options, by the names that tables of results use."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from mmasched import search
from mmasched.errors import BadInput, nearest
from mmasched.tune.session import parse_strategy


@dataclass(frozen=True)
class Variant:
    """A strategy with options; trials and seeds are upper bounds for slow ones, None for none.

    batch: configs proposed at a time, None for the strategy's own.
    """

    name: str
    strategy: str
    options: Mapping[str, Any] = field(default_factory=dict)
    trials: int | None = None
    seeds: int | None = None
    batch: int | None = None


# Published settings, and where a baseline has knobs worth turning, the settings among which its best is chosen.
BASELINES = (
    Variant("random", "random"),
    Variant("grid", "grid", seeds=1),
    Variant("annealing", "annealing"),
    Variant("annealing_tuned", "annealing_tuned"),
    Variant("evolution", "evolution"),
    Variant("evolution_tuned", "evolution", {"plan_size": 16, "analytic": True, "warmup": 16, "population": 128}),
    Variant("droplet", "droplet"),
    Variant("droplet_random", "droplet", {"start": "random"}),
    Variant("genetic", "genetic"),
    Variant("genetic_8", "genetic", {"population": 8}),
    Variant("tpe", "bayesian_tpe"),
    Variant("gp", "bayesian_gp", trials=128, seeds=10),
    Variant("distinctive", "distinctive"),
)
DEFAULT = Variant("default", search.default())
# The default's two models alone and in other shares; parts of either left out or changed. What is listed below
# "trees without the draft" changes those.
ABLATION = (
    Variant("draft alone", "drafted"),
    Variant("process alone", "gaussian"),
    Variant("trees alone", "ensemble", {"draft": True}),
    Variant("two picks by the process", "portfolio", {"smooth": 2}),
    Variant("two picks by trees", "portfolio", {"trees": 2}),
    Variant("batch of 1", "portfolio", batch=1),
    Variant("batch of 8", "portfolio", batch=8),
    Variant("batch of 16", "portfolio", batch=16),
    Variant("batch of 64", "portfolio", batch=64),
    Variant("process without the draft", "gaussian", {"draft": False}),
    Variant("process, no random picks", "gaussian", {"epsilon": 0.0}),
    Variant("process, more random picks", "gaussian", {"epsilon": 0.1}),
    Variant("process, losses told apart longer", "gaussian", {"squash": 1.5}),
    Variant("process, losses told apart shorter", "gaussian", {"squash": 0.3}),
    Variant("trees without the draft", "ensemble"),
    Variant("one tree model", "ensemble", {"members": 1, "retrained": 1}),
    Variant("mean of trees", "ensemble", {"mean_share": 1.0}),
    Variant("ranking loss", "ensemble", {"objective": "ranking"}),
    Variant("optimism", "ensemble", {"acquisition": "optimism"}),
    Variant("expected improvement", "ensemble", {"acquisition": "improvement"}),
    Variant("facility location", "ensemble", {"diversity": "facility"}),
    Variant("determinantal", "ensemble", {"diversity": "determinantal"}),
    Variant("descent", "ensemble", {"descent": 0.25}),
    Variant("failure prediction", "ensemble", {"likely_failure": 0.8}),
    Variant("failures apart", "ensemble", {"likely_failure": 0.8, "failures": "nothing"}),
)
# Does choosing distinctive candidates pay? The same search without it, at several batch sizes.
BATCHES = (4, 8, 16, 64)
DISTINCTIVE = tuple(
    Variant(f"{name} at {batch}", "distinctive", options, batch=batch)
    for batch in BATCHES
    for name, options in (("distinctive", {}), ("plain", {"distinct": False}))
)
# Five forms of diversity, each beside the same search without it; the group "paper" has the sixth. "greedy" takes the
# favourites of one mean of trees.
_GREEDY = {"mean_share": 1.0, "epsilon": 0.0}
_FORMS = {
    "greedy": _GREEDY,
    "random share": {**_GREEDY, "epsilon": 0.1},
    "thompson": {"mean_share": 0.0, "epsilon": 0.0},
    "facility location": {**_GREEDY, "diversity": "facility"},
    "determinantal": {**_GREEDY, "diversity": "determinantal"},
}
DIVERSITY = (
    *(Variant(f"{form} at {batch}", "ensemble", options, batch=batch)
      for batch in BATCHES for form, options in _FORMS.items()),
    *(Variant(f"{name} at {batch}", "annealing_tuned", {"plan_size": batch, "ratio": ratio})
      for batch in BATCHES for name, ratio in (("annealing's best", 1.0), ("annealing, knob values", 2.0))),
)  # fmt: skip
GROUPS = {
    "baselines": BASELINES,
    "all": (DEFAULT, *BASELINES),
    "ablation": (DEFAULT, *ABLATION),
    "paper": DISTINCTIVE,
    "diversity": DIVERSITY,
}


def variants(names: list[str]) -> list[Variant]:
    """What names of groups, variants or strategies with options (NAME:OPTION=VALUE,...) stand for.

    Raises BadInput for a name that is none of these.
    """
    known = {variant.name: variant for group in GROUPS.values() for variant in group}
    found: dict[str, Variant] = {}
    for name in names:
        if name in GROUPS:
            found |= {variant.name: variant for variant in GROUPS[name]}
        elif name in known:
            found[name] = known[name]
        else:
            strategy, options = parse_strategy(name)
            if strategy not in search.names():
                hint = nearest(strategy, [*GROUPS, *known, *search.names()])
                raise BadInput(f"there is no strategy or group {name!r}; {hint}")
            found[name] = Variant(name, strategy, options)
    return list(found.values())
