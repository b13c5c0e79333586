"""Config: the values of every knob of one template."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mmasched.errors import BadInput

Value = int | str | bool


class Config(Mapping):
    """A frozen, hashable assignment of a value to every knob of one template.

    Equality and hash ignore the order of the knobs. Values are ints, strings or booleans, so that a config can be
    written as JSON and read back unchanged; anything else raises BadInput.

    >>> config = Config("x86_gemm", {"tile_m": 4, "pack": True})
    >>> config["tile_m"], config == Config.from_dict("x86_gemm", {"pack": True, "tile_m": 4})
    (4, True)
    """

    __slots__ = ("_hash", "_values", "template")

    template: str

    def __init__(self, template: str, values: Mapping[str, Value]):
        if not isinstance(template, str) or not template:
            raise BadInput(f"a config's template is a name, not {template!r}")
        for name, value in values.items():
            if not isinstance(name, str):
                raise BadInput(f"a knob's name is a string, not {name!r}")
            if type(value) not in (int, str, bool):
                raise BadInput(f"knob {name!r} of {template} has value {value!r}: use an int, a string or a boolean")
        self._set(template, dict(values))

    def _set(self, template: str, values: dict[str, Value]) -> None:
        object.__setattr__(self, "template", template)
        object.__setattr__(self, "_values", values)
        object.__setattr__(self, "_hash", None)

    @classmethod
    def trusted(cls, template: str, values: dict[str, Value]) -> Config:
        """A config from values that are known to be good. The dict now belongs to the config. For spaces."""
        config = cls.__new__(cls)
        config._set(template, values)
        return config

    @classmethod
    def from_dict(cls, template: str, values: Mapping[str, Value]) -> Config:
        """The config that `as_dict` described. Raises BadInput for values other than ints, strings and booleans."""
        return cls(template, values)

    def as_dict(self) -> dict[str, Value]:
        """A new dict from knob name to value, ready for JSON."""
        return dict(self._values)

    def __getitem__(self, knob: str) -> Value:
        return self._values[knob]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Config):
            return NotImplemented
        return self.template == other.template and self._values == other._values

    def __hash__(self) -> int:
        if self._hash is None:
            object.__setattr__(self, "_hash", hash((self.template, frozenset(self._values.items()))))
        return self._hash

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a config is frozen: make a new one instead of setting {name!r}")

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"a config is frozen: {name!r} cannot be deleted")

    def __reduce__(self):
        return (Config.trusted, (self.template, self.as_dict()))

    def __repr__(self) -> str:
        return f"Config({self.template!r}, {self._values!r})"
