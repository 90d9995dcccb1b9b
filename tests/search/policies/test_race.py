"""Racing: who is dropped, and that it never depends on who came first."""

import math

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysweep.errors import InputError
from raysweep.search.domains import Fixed
from raysweep.search.policies import Measured, Stage, TrialView, make_policy
from tests.search.policies.test_policies import EXAMPLES, STEPS, Simulation, progress

COUNTS = (7, 14, 28)


def race(concurrency, **options):
    return make_policy("race", STEPS, concurrency, EXAMPLES, **options)


def measured(value, *replicates):
    return Measured(value, min(replicates), max(replicates), replicates)


def decide_all(policy, results, count=7, exhausted=True):
    views = {n: TrialView(n, 1000, {Stage(1000, count): one}) for n, one in enumerate(results)}
    return "".join(policy.decide(n, Stage(1000, count), views, exhausted)[0] for n in views)


def test_a_trial_makes_all_its_steps_on_ever_more_examples():
    policy = race(8)
    assert policy.milestones(500) == (*(Stage(500, count) for count in COUNTS), Stage(500))
    few = make_policy("race", Fixed((9,)), 8, 5)
    assert few.milestones(9) == (Stage(9),)


def test_who_is_worse_than_the_leader_in_almost_all_resamples_is_dropped():
    leader = measured(1, *range(20))
    always = measured(2, *(k + 0.1 for k in range(20)))
    in_18 = measured(2, *(k + 0.1 if k < 18 else k for k in range(20)))
    in_17 = measured(2, *(k + 0.1 if k < 17 else k for k in range(20)))
    assert decide_all(race(4, confidence=0.9), [always, leader, in_18, in_17]) == "scsc"
    assert decide_all(race(4, confidence=0.95), [always, leader, in_18, in_17]) == "sccc"
    assert decide_all(race(4), [always, leader, in_18, in_17]) == "scss"


def test_resamples_are_compared_in_pairs_so_that_overlapping_intervals_are_told_apart():
    wide = range(0, 1000, 100)
    assert decide_all(race(2), [measured(450, *wide), measured(451, *(k + 1 for k in wide))]) == "cs"
    assert decide_all(race(2), [measured(450, *wide), measured(451, *(k + 1 for k in reversed(wide)))]) == "cc"


def test_more_is_better_when_maximising():
    low, high = measured(1, 1, 1, 1), measured(2, 2, 2, 2)
    assert decide_all(race(2, maximise=True), [low, high]) == "sc"
    assert decide_all(race(2), [low, high]) == "cs"


def test_equals_all_stay_and_of_those_without_a_number_none_leads():
    lost, infinite = measured(math.nan, math.nan, math.nan), measured(math.inf, math.inf, math.inf)
    assert decide_all(race(3), [measured(1, 1, 1)] * 3) == "ccc"
    assert decide_all(race(3), [lost, measured(2, 1, 3), infinite]) == "scs"
    assert decide_all(race(2), [lost, infinite]) == "cc"


@pytest.mark.parametrize("confidence", [0.5, 1.0, -1.0])
def test_confidence_must_leave_room_for_doubt(confidence):
    with pytest.raises(InputError, match=rf"stop\.confidence: must lie between 0\.5 and 1 \(found {confidence}\)"):
        race(2, confidence=confidence)


def test_configurations_of_other_step_counts_race_at_the_same_number_of_examples():
    views = {
        0: TrialView(0, 100, {Stage(100, 7): measured(1, 0, 2)}),
        1: TrialView(1, 1000, {Stage(1000, 7): measured(9, 8, 10)}),
    }
    policy = race(2)
    assert [policy.decide(n, Stage(views[n].target, 7), views, True) for n in views] == ["continue", "stop"]


def test_a_cohort_waits_for_its_members_and_for_those_before_it_to_come_as_far():
    stage, policy = Stage(1000, 7), race(2)
    report = {stage: measured(5, 4, 6)}
    late = {2: TrialView(2, 1000, report), 3: TrialView(3, 1000, report)}
    away = {0: TrialView(0, 1000), 1: TrialView(1, 1000, ended=True)}
    assert policy.decide(2, stage, {**away, **late}, False) == "wait"
    there = {**away, 0: TrialView(0, 1000, {stage: measured(1, 0, 2)})}
    assert policy.decide(2, stage, {**there, 2: late[2]}, False) == "wait"
    assert policy.decide(2, stage, {**there, **late}, False) == "stop"


def test_whom_an_earlier_cohort_dropped_later_still_leads_where_it_came():
    stage, policy = Stage(1000, 7), race(1)
    views = {
        0: TrialView(0, 1000, {stage: measured(1, 0, 2)}, ended=True),
        1: TrialView(1, 1000, {stage: measured(5, 4, 6)}),
    }
    assert policy.decide(1, stage, views, True) == "stop"


def race_by_hand(trials, concurrency, maximise):
    """Where each trial ends, one cohort after another and count by count."""
    sign = -1 if maximise else 1
    last, seen = {}, {count: {} for count in COUNTS}

    def cost(value):
        return sign * value if math.isfinite(value) else math.inf

    for start in range(0, len(trials), concurrency):
        racing = list(range(len(trials)))[start : start + concurrency]
        for count in (*COUNTS, None):
            stages = {n: Stage(trials[n]["target"], count) for n in racing}
            racing = [n for n in racing if progress(stages[n]) < (trials[n]["fails_at"] or math.inf)]
            last |= {n: stages[n] for n in racing}
            if count is None or not racing:
                continue
            seen[count] |= {n: trials[n]["curve"](stages[n]) for n in racing}
            lead = seen[count][min(seen[count], key=lambda n: (cost(seen[count][n].value), n))]
            for n in list(racing):
                pairs = list(zip(seen[count][n].replicates, lead.replicates, strict=True))
                if sum(cost(mine) > cost(best) for mine, best in pairs) >= 0.85 * len(pairs):
                    racing.remove(n)
    return last


def trial(target, level, fails_at, shake):
    def curve(stage):
        examples = stage.examples or EXAMPLES
        value = level + 1 / target
        return measured(value, *(value + shake * math.sin(7 * k * level + k) / examples for k in range(10)))

    return {"target": target, "fails_at": fails_at, "curve": curve}


racers = st.lists(
    st.builds(
        trial,
        st.sampled_from([100, 500, 1000]),
        st.sampled_from([0.0, 0.5, 0.5, 0.6, 1.0, 2.0, math.nan]),
        st.sampled_from([None, None, None, None, 1, 200, 1000]),
        st.sampled_from([0.0, 1.0, 3.0, 20.0]),
    ),
    min_size=1,
    max_size=30,
)


@settings(max_examples=200)
@given(racers, st.integers(1, 9), st.booleans(), st.booleans(), st.integers(0, 99))
def test_any_order_of_arrival_agrees_with_a_slow_cohort_by_cohort_reference(
    trials, concurrency, maximise, adaptive, order
):
    policy = race(concurrency, maximise=maximise)
    lag = concurrency if adaptive else None
    _, stages = Simulation(policy, trials, concurrency, order, lag).run()
    reached = {number: found[-1] for number, found in stages.items() if found}
    assert reached == race_by_hand(trials, concurrency, maximise)


@settings(max_examples=100)
@given(racers, st.integers(1, 9), st.integers(0, 99))
def test_somebody_of_the_first_cohort_always_finishes_unless_all_fail(trials, concurrency, order):
    for one in trials:
        one["fails_at"] = None
    _, stages = Simulation(race(concurrency), trials, concurrency, order).run()
    assert any(stages[number][-1].examples is None for number in range(min(concurrency, len(trials))))


@pytest.mark.parametrize("count", COUNTS)
def test_only_the_counts_of_the_race_decide(count):
    results = [measured(1, 0, 2), measured(9, 8, 10)]
    assert decide_all(race(2), results, count=count) == "cs"
    assert decide_all(race(2), results, count=9) == "cc"
