"""Search spaces: knobs, constraints, and the valid configs that they span for one problem on one chip."""

from mmasched.space.base import Space
from mmasched.space.config import Config
from mmasched.space.constraint import Constraint, constraint
from mmasched.space.files import load_space, space_dir
from mmasched.space.knob import Choice, Flag, Knob, Ordered
from mmasched.space.search_space import SearchSpace
from mmasched.space.union import UnionSpace

__all__ = [
    "Choice",
    "Config",
    "Constraint",
    "Flag",
    "Knob",
    "Ordered",
    "SearchSpace",
    "Space",
    "UnionSpace",
    "constraint",
    "load_space",
    "space_dir",
]
