"""What a search may learn from other problems, and what it may not."""

import math
from dataclasses import replace

from mmasched.hardware import from_catalog
from mmasched.log import Record
from mmasched.problem import Conv2d
from mmasched.tune.siblings import FEWEST_RECORDS, distance, prior_for, same_family
from mmasched.tune.subject import Machine, Subject

HARDWARE = from_catalog("x86/avx2")
MACHINE = Machine(HARDWARE, "x86/avx2", "chip", 1)


def conv(size=8, **changes):
    return Conv2d(**{"batch": 1, "height": size, "width": size, "in_channels": 16, "out_channels": 16, "kernel": 3,
                     "padding": 1, "output_bits": 32, **changes})  # fmt: skip


def records(templates, problem, number=FEWEST_RECORDS, **changes):
    space = templates.space_for(problem, HARDWARE)
    configs = [config for _, config in zip(range(number), space.enumerate())]
    return [
        Record(problem.key, "x86/avx2", "chip", 1, "t", config.as_dict(), "correct",
               **{"cost": templates.seconds(problem, config), **changes})
        for config in configs
    ]  # fmt: skip


def prior(problem, *groups, kind="measured"):
    return prior_for(Subject.of(problem, MACHINE), [record for group in groups for record in group], kind)


def test_families():
    assert same_family(conv(), conv(16, in_channels=64))
    for changes in (
        {"kernel": 1, "padding": 0},
        {"stride": 2},
        {"groups": 16},
        {"weight_bits": 4},
        {"input_signed": True},
    ):
        assert not same_family(conv(), conv(**changes))
    assert distance(conv(), conv()) == 0
    assert distance(conv(), conv(16)) == distance(conv(16), conv()) == 2
    assert distance(conv(), conv(in_channels=32)) == 1
    assert distance(conv(), conv(), (4, 1)) == distance(conv(), conv(), (1, 4)) == 2


def test_siblings_teach_relative_costs(templates):
    samples = prior(conv(), records(templates, conv(16)))
    assert len(samples) == FEWEST_RECORDS
    assert min(sample.relative_log_cost for sample in samples) == 0
    assert all(len(sample.inputs) == templates.space_for(None, None).dim + 2 for sample in samples)


def test_only_the_family_on_this_chip_and_of_this_kind_counts(templates):
    sibling = conv(16)
    assert prior(conv(), records(templates, conv())) == []
    assert prior(conv(), records(templates, sibling, FEWEST_RECORDS - 1)) == []
    assert prior(conv(), records(templates, conv(16, stride=2))) == []
    assert prior(conv(), [replace(r, chip="other") for r in records(templates, sibling)]) == []
    assert prior(conv(), [replace(r, problem="another operator") for r in records(templates, sibling)]) == []
    modelled = records(templates, sibling, kind="modelled")
    assert prior(conv(), modelled) == [] and len(prior(conv(), modelled, kind="modelled")) == FEWEST_RECORDS


def test_the_nearest_three_are_asked(templates):
    groups = [records(templates, conv(size)) for size in (128, 16, 64, 10, 32)]
    assert len(prior(conv(), *groups)) == 3 * FEWEST_RECORDS


def test_other_numbers_of_threads_teach_too_the_same_problem_first(templates):
    def costing(factor, problem, threads):
        """Every second config costs so many times the others, so that samples tell whose they are."""
        return [
            replace(r, threads=threads, cost=(1.0, factor)[i % 2]) for i, r in enumerate(records(templates, problem))
        ]

    same, shape = costing(2, conv(), 2), costing(3, conv(16), 2)
    farther = [costing(4, conv(size), 1) for size in (32, 64)]
    samples = prior(conv(), *farther, shape, same)
    assert len(samples) == 3 * FEWEST_RECORDS
    taught = [round(math.exp(sample.relative_log_cost)) for sample in samples[1::2]]
    assert taught == [each for each in (2, 3, 4) for _ in range(FEWEST_RECORDS // 2)]


def test_features_of_another_number_of_threads_are_those_of_its_own(templates, monkeypatch):
    asked = []
    monkeypatch.setattr(templates, "features", lambda problem, config, hardware, threads: asked.append(threads) or [0.0])
    prior(conv(), [replace(r, threads=4) for r in records(templates, conv())])
    assert set(asked) == {4}
