"""Racing: who is dropped, and that it never depends on who came first."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysweep.search.domains import Fixed
from raysweep.search.policies import Measured, Stage, TrialView, make_policy
from tests.search.policies.test_policies import EXAMPLES, STEPS, Simulation, progress

COUNTS = (7, 13, 25)


def race(concurrency, **options):
    return make_policy("race", STEPS, concurrency, EXAMPLES, **options)


def decide_all(policy, measured, count=7, exhausted=True):
    views = {n: TrialView(n, 1000, {Stage(1000, count): Measured(*one)}) for n, one in enumerate(measured)}
    return "".join(policy.decide(n, Stage(1000, count), views, exhausted)[0] for n in views)


def test_a_trial_makes_all_its_steps_on_ever_more_examples():
    policy = race(8)
    assert policy.milestones(500) == (Stage(500, 7), Stage(500, 13), Stage(500, 25), Stage(500))
    few = make_policy("race", Fixed((9,)), 8, 4)
    assert few.milestones(9) == (Stage(9),)


def test_who_lies_wholly_above_the_leader_is_dropped():
    intervals = [(5, 4, 6), (1, 0, 4), (9, 4.5, 12), (4.1, 4, 9)]
    assert decide_all(race(4), intervals) == "ccsc"


def test_who_lies_wholly_below_the_leader_is_dropped_when_more_is_better():
    assert decide_all(race(4, maximise=True), [(5, 4, 5.9), (9, 6, 12), (1, 0, 2), (6, 1, 6)]) == "scsc"


def test_equals_all_stay_and_of_those_without_a_number_none_leads():
    assert decide_all(race(3), [(1, 1, 1)] * 3) == "ccc"
    assert decide_all(race(3), [(math.nan,) * 3, (2, 1, 3), (math.inf,) * 3]) == "scs"
    assert decide_all(race(2), [(math.nan,) * 3, (math.inf,) * 3]) == "cc"
    assert decide_all(race(2), [(1, -math.inf, 2), (3, -math.inf, 4)]) == "cc"


def test_configurations_of_other_step_counts_race_at_the_same_number_of_examples():
    views = {
        0: TrialView(0, 100, {Stage(100, 7): Measured(1, 0, 2)}),
        1: TrialView(1, 1000, {Stage(1000, 7): Measured(9, 8, 10)}),
    }
    policy = race(2)
    assert [policy.decide(n, Stage(views[n].target, 7), views, True) for n in views] == ["continue", "stop"]


def test_a_cohort_waits_for_its_members_and_for_the_cohorts_before_it():
    stage, policy = Stage(1000, 7), race(2)
    report = {stage: Measured(5, 4, 6)}
    late = {2: TrialView(2, 1000, report), 3: TrialView(3, 1000, report)}
    running = {0: TrialView(0, 1000, {stage: Measured(1, 0, 2)}), 1: TrialView(1, 1000, ended=True)}
    assert policy.decide(2, stage, {**running, **late}, False) == "wait"
    done = {stage: Measured(1, 0, 2), Stage(1000): Measured(1, 0.5, 1.5)}
    finished = {**running, 0: TrialView(0, 1000, done, ended=True)}
    assert policy.decide(2, stage, {**finished, 2: late[2]}, False) == "wait"
    assert policy.decide(2, stage, {**finished, **late}, False) == "stop"


def test_whom_an_earlier_cohort_dropped_leads_nobody():
    stage, policy = Stage(1000, 7), race(1)
    views = {
        0: TrialView(0, 1000, {stage: Measured(1, 0, 2)}, ended=True),
        1: TrialView(1, 1000, {stage: Measured(5, 4, 6)}),
    }
    assert policy.decide(1, stage, views, True) == "continue"


def race_by_hand(trials, concurrency, maximise):
    """Where each trial ends, one cohort after another and count by count."""
    sign = -1 if maximise else 1
    last, finished = {}, []
    for start in range(0, len(trials), concurrency):
        racing = list(range(len(trials)))[start : start + concurrency]
        for count in (*COUNTS, None):
            stages = {n: Stage(trials[n]["target"], count) for n in racing}
            alive = [n for n in racing if progress(stages[n]) < (trials[n]["fails_at"] or math.inf)]
            last |= {n: stages[n] for n in alive}
            racing = alive
            if count is None or not alive:
                continue
            results = {n: trials[n]["curve"](Stage(trials[n]["target"], count)) for n in alive + finished}
            finite = {n: one for n, one in results.items() if math.isfinite(one.value)}
            if not finite:
                continue
            lead = finite[min(finite, key=lambda n: (sign * finite[n].value, n))]
            bar = max(sign * lead.low, sign * lead.high)
            racing = [n for n in alive if n in finite and min(sign * finite[n].low, sign * finite[n].high) <= bar]
        finished += racing
    return last


def trial(target, level, fails_at, width):
    def curve(stage):
        examples = stage.examples or EXAMPLES
        value, half = level + width / examples + 1 / target, width / math.sqrt(examples)
        return Measured(value, value - half, value + half)

    return {"target": target, "fails_at": fails_at, "curve": curve}


racers = st.lists(
    st.builds(
        trial,
        st.sampled_from([100, 500, 1000]),
        st.sampled_from([0.0, 0.5, 0.5, 1.0, 2.0, math.nan, math.inf]),
        st.sampled_from([None, None, None, None, 1, 200, 1000]),
        st.sampled_from([0.0, 1.0, 3.0]),
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=200, deadline=None)
@given(racers, st.integers(1, 9), st.booleans(), st.booleans(), st.integers(0, 99))
def test_any_order_of_arrival_agrees_with_a_slow_cohort_by_cohort_reference(
    trials, concurrency, maximise, adaptive, order
):
    policy = race(concurrency, maximise=maximise)
    lag = concurrency if adaptive else None
    _, stages = Simulation(policy, trials, concurrency, order, lag).run()
    reached = {number: found[-1] for number, found in stages.items() if found}
    assert reached == race_by_hand(trials, concurrency, maximise)


@settings(max_examples=100, deadline=None)
@given(racers, st.integers(1, 9), st.integers(0, 99))
def test_somebody_of_every_cohort_or_before_it_always_finishes_unless_all_fail(trials, concurrency, order):
    for one in trials:
        one["fails_at"] = None
    _, stages = Simulation(race(concurrency), trials, concurrency, order).run()
    assert any(found[-1].examples is None for found in stages.values())


@pytest.mark.parametrize("count", COUNTS)
def test_only_the_counts_of_the_race_decide(count):
    assert decide_all(race(2), [(1, 0, 2), (9, 8, 10)], count=count) == "cs"
    assert decide_all(race(2), [(1, 0, 2), (9, 8, 10)], count=8) == "cc"
