import pytest

from raysweep.errors import InputError
from raysweep.search.domains import parse_domain
from raysweep.search.policies.ladder import counts, reports, rungs


@pytest.mark.parametrize(
    ("steps", "min_steps", "eta", "expected"),
    [
        ({"choice": [100, 500, 1000]}, None, 3, (100, 500)),
        ({"choice": [1000, 500, 100]}, 50, 3, (100, 500)),
        ({"choice": [1000, 2000]}, 100, 3, (100, 300, 1000)),
        (1000, 100, 3, (100, 300, 900)),
        (1000, None, 3, (37, 111, 333, 999)),
        (1000, None, 4, (15, 60, 240, 960)),
        ({"choice": [1000]}, 100, 3, (100, 300, 900)),
        ({"int": [10, 100]}, None, 2, (10, 20, 40, 80)),
        (1, None, 3, ()),
        (0, None, 3, ()),
    ],
)
def test_rungs_are_geometric_and_move_up_to_a_choice_that_is_near(steps, min_steps, eta, expected):
    assert rungs(parse_domain(steps, "space.steps"), min_steps, eta) == expected


@pytest.mark.parametrize(
    ("steps", "every", "expected"),
    [
        ({"choice": [100, 500, 1000]}, None, (100, 500, 1000)),
        ({"choice": [100, 500, 1000]}, 400, (100, 400, 500, 800, 1000)),
        (50, None, (5, 10, 15, 20, 25, 30, 35, 40, 45, 50)),
        ({"int": [1, 30]}, 10, (10, 20, 30)),
    ],
)
def test_reports_are_the_choices_and_the_multiples(steps, every, expected):
    assert reports(parse_domain(steps, "space.steps"), every) == expected


@pytest.mark.parametrize(
    ("steps", "settings", "key"),
    [
        (1000, {"min_steps": 0, "eta": 3}, "stop.min_steps"),
        (1000, {"min_steps": 1000, "eta": 3}, "stop.min_steps"),
        (1000, {"min_steps": 10, "eta": 1}, "stop.eta"),
        ({"uniform": [1, 9]}, {"min_steps": None, "eta": 2}, "space.steps"),
        ({"choice": [1, 2.5]}, {"min_steps": None, "eta": 2}, "space.steps"),
        ("many", {"min_steps": None, "eta": 2}, "space.steps"),
    ],
)
def test_settings_that_leave_no_rung_are_refused(steps, settings, key):
    with pytest.raises(InputError) as caught:
        rungs(parse_domain(steps, "space.steps"), **settings)
    assert caught.value.key == key


def test_median_cannot_report_every_zero_steps():
    with pytest.raises(InputError, match=r"stop\.every"):
        reports(parse_domain(100, "space.steps"), 0)


def test_median_cannot_report_so_often_that_the_reports_fill_the_memory():
    with pytest.raises(
        InputError, match=r"stop\.every: must make at most 10000 reports of 1000000000 steps \(found 1\)"
    ):
        reports(parse_domain(10**9, "space.steps"), 1)


@pytest.mark.parametrize(
    ("examples", "min_examples", "expected"),
    [
        (50, None, (7, 14, 28)),
        (10, None, (5,)),
        (6, None, (5,)),
        (16, None, (5, 10)),
        (1000, None, (125, 250, 500)),
        (5, None, ()),
        (2, None, ()),
        (50, 2, (2, 4, 8, 16, 32)),
        (50, 10, (10, 20)),
        (50, 49, (49,)),
        (3, 2, (2,)),
    ],
)
def test_counts_of_examples_double(examples, min_examples, expected):
    assert counts(examples, min_examples) == expected


@pytest.mark.parametrize("min_examples", [1, 50, 51])
def test_a_race_must_start_with_some_of_the_examples(min_examples):
    rule = rf"stop\.min_examples: must be 2 or more and below 50, the examples \(found {min_examples}\)"
    with pytest.raises(InputError, match=rule):
        counts(50, min_examples)


def test_counts_always_ascend():
    for examples in range(2, 70):
        for lowest in (None, *range(2, examples)):
            found = (*counts(examples, lowest), examples)
            assert list(found) == sorted(set(found)), (examples, lowest)
