"""Policies under a simulated scheduler: trials advance, and are journaled, in any order at all."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysweep.errors import InputError
from raysweep.search.domains import Fixed, parse_domain
from raysweep.search.policies import Measured, NoStopping, Stage, TrialView, make_policy

STEPS = parse_domain({"choice": [100, 500, 1000]}, "space.steps")


EXAMPLES = 50


class Simulation:
    """A scheduler with c slots; `pick` says which of the trials that could move does so next."""

    def __init__(self, policy, trials, concurrency, order, lag=None):
        self.policy, self.trials, self.concurrency, self.lag = policy, trials, concurrency, lag
        self.table, self.decisions, self.pick = {}, {}, random.Random(order)
        self.waiting = {}

    def run(self):
        while len(self.table) < len(self.trials) or any(not view.ended for view in self.table.values()):
            moves = self._moves()
            assert moves, f"deadlock: {self.table}"
            kind, number = self.pick.choice(moves)
            self._admit(number) if kind == "admit" else self._advance(number)
            for waiting in list(self.waiting):
                self._decide(waiting)
        return self.decisions, {number: list(view.milestones) for number, view in self.table.items()}

    def _moves(self):
        live = [number for number, view in self.table.items() if not view.ended]
        moves = [("advance", number) for number in live if number not in self.waiting]
        upcoming = len(self.table)
        suggested = self.lag is None or all(self.table[n].ended for n in range(upcoming - self.lag))
        if upcoming < len(self.trials) and len(live) < self.concurrency and suggested:
            moves.append(("admit", upcoming))
        return moves

    def _admit(self, number):
        self.table[number] = TrialView(number, self.trials[number]["target"])

    def _advance(self, number):
        view, trial = self.table[number], self.trials[number]
        stage = next(s for s in self.policy.milestones(view.target) if s not in view.milestones)
        if trial["fails_at"] is not None and progress(stage) >= trial["fails_at"]:
            self.table[number] = TrialView(number, view.target, view.milestones, ended=True)
            return
        milestones = {**view.milestones, stage: trial["curve"](stage)}
        self.table[number] = TrialView(number, view.target, milestones, ended=stage == Stage(view.target))
        if stage != Stage(view.target):
            self.waiting[number] = stage
            self._decide(number)

    def _decide(self, number):
        stage, view = self.waiting[number], self.table[number]
        decision = self.policy.decide(number, stage, self.table, len(self.table) == len(self.trials))
        if decision == "wait":
            return
        del self.waiting[number]
        self.decisions[number, stage] = decision
        if decision == "stop":
            self.table[number] = TrialView(number, view.target, view.milestones, ended=True)


def progress(stage):
    """From 0 to 1000: by steps, or, of a trial that races, by its share of the examples."""
    return stage.step if stage.examples is None else 1000 * stage.examples / EXAMPLES


def measured(value, width=0.0):
    """Its replicates lie evenly over its interval."""
    return Measured(value, value - width, value + width, tuple(value + width * (k - 4.5) / 4.5 for k in range(10)))


def trial(target, level, fails_at=None, width=1.0):
    """Its value comes down to `level`, its interval becomes narrower with the examples."""

    def curve(stage):
        examples = stage.examples or EXAMPLES
        return measured(level + 1 / stage.step + width / examples, width / math.sqrt(examples))

    return {"target": target, "fails_at": fails_at, "curve": curve}


trials = st.lists(
    st.builds(
        trial,
        st.sampled_from([100, 500, 1000]),
        st.sampled_from([0.0, 0.5, 0.5, 1.0, 2.0, math.nan, math.inf]),
        st.sampled_from([None, None, None, 1, 400, 1000]),
        st.sampled_from([0.0, 1.0, 3.0]),
    ),
    min_size=1,
    max_size=30,
)
schedulers = st.sampled_from(
    [
        ("none", {}),
        ("asha", {"eta": 2}),
        ("asha", {"min_steps": 7}),
        ("median", {"every": 50}),
        ("race", {}),
        ("race", {"min_examples": 2}),
    ]
)


@settings(max_examples=150)
@given(trials, st.integers(1, 9), schedulers, st.booleans(), st.booleans(), st.integers(0, 99), st.integers(0, 99))
def test_any_order_ends_without_deadlock_and_with_the_same_decisions(
    trials, concurrency, scheduler, maximise, adaptive, one, other
):
    name, options = scheduler
    policy = make_policy(name, STEPS, concurrency, EXAMPLES, maximise=maximise, **options)
    lag = concurrency if adaptive else None
    first = Simulation(policy, trials, concurrency, one, lag).run()
    assert first == Simulation(policy, trials, concurrency, other, lag).run()


def halve_by_hand(trials, rungs, concurrency, eta, maximise):
    """How far each trial gets, one cohort after another and rung by rung."""
    reached = dict.fromkeys(range(len(trials)), 0)
    for start in range(0, len(trials), concurrency):
        alive = list(range(len(trials)))[start : start + concurrency]
        for step in sorted({*rungs, 100, 500, 1000}):
            here = [n for n in alive if trials[n]["target"] == step or (step in rungs and trials[n]["target"] > step)]
            dead = [n for n in here if trials[n]["fails_at"] is not None and trials[n]["fails_at"] <= step]
            ranking = []
            for n in set(here) - set(dead):
                reached[n] = step
                value = trials[n]["curve"](Stage(step)).value
                ranking.append(((-value if maximise else value) if math.isfinite(value) else math.inf, n))
            ranking = [n for _, n in sorted(ranking)]
            able = [n for n in ranking if trials[n]["target"] > step]
            lucky = {*ranking[: len(ranking) // eta], *able[:1]} & set(able)
            alive = [n for n in alive if n not in here or n in lucky]
    return reached


@settings(max_examples=100)
@given(trials, st.integers(1, 9), st.sampled_from([2, 3, 4]), st.booleans(), st.integers(0, 99))
def test_asha_agrees_with_a_slow_rung_by_rung_reference(trials, concurrency, eta, maximise, order):
    policy = make_policy("asha", STEPS, concurrency, EXAMPLES, eta=eta, maximise=maximise)
    _, stages = Simulation(policy, trials, concurrency, order).run()
    reached = {number: max((stage.step for stage in found), default=0) for number, found in stages.items()}
    assert reached == halve_by_hand(trials, policy.rungs, concurrency, eta, maximise)


def table(*values, target=1000, step=100):
    return {number: TrialView(number, target, {Stage(step): measured(value)}) for number, value in enumerate(values)}


def decide_all(policy, views, exhausted=True, step=100):
    return "".join(policy.decide(number, Stage(step), views, exhausted)[0] for number in sorted(views))


def test_asha_keeps_the_best_third_and_breaks_ties_by_number():
    policy = make_policy("asha", STEPS, 6, EXAMPLES)
    assert decide_all(policy, table(3, 1, 1, 1, math.nan, math.inf)) == "sccsss"
    policy = make_policy("asha", STEPS, 6, EXAMPLES, maximise=True)
    assert decide_all(policy, table(3, 1, 1, 2, math.nan, math.inf)) == "csscss"


def test_asha_always_lets_the_best_that_has_steps_left_go_on():
    policy, views = make_policy("asha", STEPS, 3, EXAMPLES), table(1, 3, 2)
    views[0] = TrialView(0, 100, {Stage(100): measured(1.0)}, ended=True)
    assert decide_all(policy, views) == "csc"
    assert decide_all(policy, table(math.nan, math.nan)) == "cs"


@pytest.mark.parametrize("name", ["asha", "median"])
def test_a_cohort_member_not_yet_admitted_is_waited_for_unless_there_is_none_to_come(name):
    policy = make_policy(name, STEPS, 3, EXAMPLES, **({"grace": 0} if name == "median" else {}))
    assert decide_all(policy, table(1, 2), exhausted=False) == "ww"
    assert decide_all(policy, table(1, 2), exhausted=True) == "cs"


def test_members_that_ended_before_the_rung_or_belong_to_another_cohort_do_not_count():
    policy = make_policy("asha", STEPS, 2, EXAMPLES)
    views = {**table(5.0, 6.0), 2: TrialView(2, 1000), 3: TrialView(3, 1000, {Stage(100): measured(0.0)})}
    assert [policy.decide(n, Stage(100), views, False) for n in (0, 1, 3)] == ["continue", "stop", "wait"]
    views[2] = TrialView(2, 1000, ended=True)
    assert policy.decide(3, Stage(100), views, False) == "continue"


def test_the_grid_of_27_keeps_whole_trajectories():
    views = {n: TrialView(n, (100, 500, 1000)[n % 3], {Stage(100): measured(float(n // 3))}) for n in range(27)}
    policy = make_policy("asha", STEPS, 27, EXAMPLES)
    kept = [n for n in views if n % 3 and policy.decide(n, Stage(100), views, True) == "continue"]
    assert kept == [1, 2, 4, 5, 7, 8]


def test_median_stops_the_worse_half_after_its_grace():
    policy = make_policy("median", STEPS, 5, EXAMPLES, grace=1)
    assert policy.milestones(1000) == (Stage(100), Stage(500), Stage(1000))
    assert policy.milestones(500) == (Stage(100), Stage(500))
    assert decide_all(policy, table(1, 2, 3, 4, math.nan)) == "ccccc"
    assert decide_all(policy, table(1, 2, 3, 4, math.nan, step=500), step=500) == "cccss"
    maximise = make_policy("median", STEPS, 5, EXAMPLES, maximise=True)
    assert decide_all(maximise, table(1, 2, 3, 4, math.nan, step=500), step=500) == "scccs"


def test_milestones_end_with_the_target_and_hold_the_rungs_below_it():
    policy = make_policy("asha", Fixed((1000,)), 4, EXAMPLES, min_steps=100)
    assert [stage.step for stage in policy.milestones(1000)] == [100, 300, 900, 1000]
    assert policy.milestones(300) == (Stage(100), Stage(300))
    assert NoStopping().milestones(700) == (Stage(700),)


def test_unknown_scheduler_is_refused_with_the_nearest_name():
    with pytest.raises(InputError, match="Did you mean 'asha'"):
        make_policy("ashe", STEPS, 2, EXAMPLES)
    with pytest.raises(InputError, match=r"stop\.grace"):
        make_policy("median", STEPS, 2, EXAMPLES, grace=-1)
