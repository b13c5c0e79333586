"""Stands in for mmasched.templates: 256 configs whose costs are known in closed form."""

from mmasched.space import Config, Flag, Ordered, SearchSpace

DEFAULT = {"m": 1, "n": 1, "k": 1, "pack": False}
POWERS = [1, 2, 4, 8, 16, 32, 64, 128]


def space_for(problem, hardware, threads=1):
    knobs = [Ordered("m", POWERS), Ordered("n", POWERS[:4]), Ordered("k", POWERS[:4]), Flag("pack")]
    return SearchSpace("t", knobs, {"fits": lambda problem, values, hardware: values["m"] * values["n"] <= 256})


def default_config(problem, hardware, threads=1):
    return Config("t", DEFAULT)


def starting_configs(problem, hardware, threads=1):
    return (default_config(problem, hardware, threads),)


def features(problem, config, hardware, threads=1):
    return [float(config["m"] * config["n"]), float(config["k"])]


def seconds(problem, config):
    """Fastest at m = 16, n = 4, k = 8, packed; the default is some 8 times slower."""
    distance = abs(config["m"].bit_length() - 5) + abs(config["n"].bit_length() - 3) + abs(config["k"].bit_length() - 4)
    return problem.macs * 1e-11 * (1 + 0.4 * distance + (0 if config["pack"] else 1.5))


def notes(problem, hardware):
    return ()
