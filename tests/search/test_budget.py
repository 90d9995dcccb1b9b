import pytest
from hypothesis import given
from hypothesis import strategies as st

from raysweep.errors import InputError
from raysweep.search.budget import Budget, Covered, Used


def test_no_limit_is_never_exhausted():
    assert Budget().exhausted(Used(10**9, 1e9, 10**15)) is None


@pytest.mark.parametrize(
    ("used", "limit"),
    [(Used(3, 1.0, 5), None), (Used(4), "trials"), (Used(seconds=2.0), "seconds"), (Used(row_steps=11), "row_steps")],
)
def test_budget_names_the_limit_that_is_reached(used, limit):
    assert Budget(trials=4, seconds=2, row_steps=10).exhausted(used) == limit


@pytest.mark.parametrize("limit", [{"trials": 0}, {"seconds": -1.0}, {"seconds": float("nan")}, {"row_steps": 0}])
def test_a_limit_of_nothing_is_refused(limit):
    with pytest.raises(InputError, match=rf"budget\.{next(iter(limit))}: must be above 0"):
        Budget(**limit)


@given(st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), max_size=8))
def test_row_steps_that_milestones_share_are_counted_once(milestones):
    covered, made = Covered(), set()
    for steps, examples in milestones:
        before = len(made)
        made |= {(step, example) for step in range(steps) for example in range(examples)}
        assert covered.add(steps, examples) == len(made) - before
    assert covered.row_steps == len(made)
