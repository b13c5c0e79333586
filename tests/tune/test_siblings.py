"""What a search may learn from other problems, and what it may not."""

import math
from dataclasses import replace

from mmasched.errors import Unsupported
from mmasched.hardware import from_catalog
from mmasched.log import Record
from mmasched.problem import Conv2d
from mmasched.tune.siblings import FEWEST_RECORDS, distance, prior_for, same_family, same_operands
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


def costing(templates, factor, problem, threads=1):
    """Records whose every second config costs so many times the others, so that samples tell whose they are."""
    known = records(templates, problem)
    return [replace(r, threads=threads, cost=(1.0, factor)[i % 2]) for i, r in enumerate(known)]


def teachers(samples):
    """The factors of the siblings that samples come from, in their order."""
    assert len(samples) % FEWEST_RECORDS == 0
    return [round(math.exp(sample.relative_log_cost)) for sample in samples[1::FEWEST_RECORDS]]


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
        assert same_operands(conv(), conv(**changes)) == bool(changes.keys() & {"kernel", "stride"})
    assert distance(conv(), conv()) == 0
    assert distance(conv(), conv(16)) == distance(conv(16), conv()) == 2
    assert distance(conv(), conv(in_channels=32)) == 1
    assert distance(conv(), conv(), (4, 1)) == distance(conv(), conv(), (1, 4)) == 2


def test_siblings_teach_relative_costs(templates):
    samples = prior(conv(), records(templates, conv(16)))
    assert len(samples) == FEWEST_RECORDS
    assert min(sample.relative_log_cost for sample in samples) == 0
    assert all(len(sample.inputs) == templates.space_for(None, None).dim + 2 for sample in samples)


def test_only_what_has_the_same_operands_on_this_chip_and_is_of_this_kind_counts(templates):
    sibling = conv(16)
    assert prior(conv(), records(templates, conv())) == []
    assert prior(conv(), records(templates, sibling, FEWEST_RECORDS - 1)) == []
    assert prior(conv(), records(templates, conv(16, input_signed=True))) == []
    assert prior(conv(), [replace(r, chip="other") for r in records(templates, sibling)]) == []
    assert prior(conv(), [replace(r, problem="another operator") for r in records(templates, sibling)]) == []
    modelled = records(templates, sibling, kind="modelled")
    assert prior(conv(), modelled) == [] and len(prior(conv(), modelled, kind="modelled")) == FEWEST_RECORDS


def test_the_nearest_three_are_asked(templates):
    groups = [records(templates, conv(size)) for size in (128, 16, 64, 10, 32)]
    assert len(prior(conv(), *groups)) == 3 * FEWEST_RECORDS


def test_other_numbers_of_threads_teach_too_the_same_problem_first(templates):
    same, shape = costing(templates, 2, conv(), 2), costing(templates, 3, conv(16), 2)
    farther = [costing(templates, 4, conv(size)) for size in (32, 64)]
    assert teachers(prior(conv(), *farther, shape, same)) == [2, 3, 4]


def test_other_families_fill_up_what_the_own_lacks(templates):
    near, nearer = costing(templates, 2, conv(32, stride=2)), costing(templates, 3, conv(kernel=1, padding=0))
    family = [costing(templates, cost, conv(size)) for cost, size in ((4, 128), (5, 64), (6, 32))]
    assert teachers(prior(conv(), near, nearer)) == [3, 2]
    assert teachers(prior(conv(), near, nearer, *family[:2])) == [5, 4, 3]
    assert teachers(prior(conv(), near, nearer, *family)) == [6, 5, 4]


def test_a_problem_that_no_template_serves_any_more_teaches_nothing(templates, monkeypatch):
    known = templates.space_for

    def space_for(problem, hardware, threads=1):
        if problem and problem.stride == (2, 2):
            raise Unsupported("no template serves it")
        return known(problem, hardware, threads)

    gone = records(templates, conv(32, stride=2))
    monkeypatch.setattr(templates, "space_for", space_for)
    assert prior(conv(), gone) == []
    assert teachers(prior(conv(), gone, costing(templates, 2, conv(16)))) == [2]


def test_features_of_another_number_of_threads_are_those_of_its_own(templates, monkeypatch):
    asked = []

    def features(problem, config, hardware, threads):
        asked.append(threads)
        return [0.0]

    monkeypatch.setattr(templates, "features", features)
    prior(conv(), [replace(r, threads=4) for r in records(templates, conv())])
    assert set(asked) == {4}
