"""Search strategies by name. A new one is a module with a Strategy class and a line here."""

from __future__ import annotations

import importlib
from typing import Any

from mmasched.errors import BadInput, nearest
from mmasched.search.base import Option, Strategy
from mmasched.space import Space

# name -> module and class; imported when asked for, as the learning ones bring xgboost along.
_STRATEGIES = {
    "annealing": "annealing:Annealing",
    "annealing_tuned": "annealing:AnnealingTuned",
    "bayesian_gp": "bayesian:BayesianGp",
    "bayesian_tpe": "bayesian:BayesianTpe",
    "distinctive": "distinctive:Distinctive",
    "drafted": "drafted:Drafted",
    "droplet": "droplet:Droplet",
    "ensemble": "ensemble:Ensemble",
    "evolution": "evolution:Evolution",
    "gaussian": "gaussian:Gaussian",
    "genetic": "genetic:Genetic",
    "grid": "grid:Grid",
    "portfolio": "portfolio:Portfolio",
    "random": "random_search:Random",
}


def names() -> list[str]:
    """The names that `create` knows, sorted."""
    return sorted(_STRATEGIES)


def default() -> str:
    """The strategy that is used when none is asked for."""
    return "portfolio"


def strategy_class(name: str) -> type[Strategy]:
    """The class behind a name: its docstring explains the strategy, OPTIONS and batch_size are its settings.

    Raises BadInput for unknown names.
    """
    if name not in _STRATEGIES:
        raise BadInput(f"there is no search strategy {name!r}; {nearest(str(name), _STRATEGIES)}")
    module, _, attribute = _STRATEGIES[name].partition(":")
    return getattr(importlib.import_module(f"mmasched.search.{module}"), attribute)


def options(name: str) -> tuple[Option, ...]:
    """The options of a strategy, with defaults and explanations."""
    return strategy_class(name).OPTIONS


def create(name: str | None, space: Space, **arguments: Any) -> Strategy:
    """A new strategy over `space`; None means the default.

    `arguments` are those of `Strategy`: seed, features, prior, and the strategy's own options. Raises BadInput for
    unknown names and options.
    """
    name = default() if name is None else name
    return strategy_class(name)(space, **arguments)
