import math
import random
import warnings

import pytest

from raysweep.errors import InputError
from raysweep.search.outcomes import Outcome
from raysweep.search.samplers import ADAPTIVE
from raysweep.search.space import parse_space
from raysweep.search.suggest import Finished, Suggestions, Waiting

RANGES = parse_space(
    {"lr": {"log": [1.0e-4, 1]}, "width": {"int": [1, 9]}, "momentum": {"uniform": [0, 1]}, "fixed": 5}
)
MIXED = parse_space({"lr": {"log": [1.0e-4, 1]}, "prior": {"choice": ["none", 1.0, True]}})
CONDITIONAL = parse_space({**{"method": {"choice": ["am", "rde"]}, "lr": {"uniform": [0, 1]}},
                           "weight": {"log": [0.1, 1], "when": {"method": "rde"}}})  # fmt: skip
CASES = [
    ("grid", parse_space({"a": {"choice": list(range(6))}, "b": {"choice": list(range(6))}}), 1, 36),
    ("random", CONDITIONAL, 1, 36),
    ("tpe", RANGES, 1, 36),
    ("tpe", CONDITIONAL, 1, 36),
    ("tpe", CONDITIONAL, 2, 36),
    ("tpe", MIXED, 2, 36),
    ("gp", MIXED, 1, 13),
    ("gp", RANGES, 2, 10),
    ("cmaes", RANGES, 1, 60),
    ("nsga2", RANGES, 2, 70),
    ("nsga2", CONDITIONAL, 1, 70),
]
NAMES = [f"{sampler}-{objectives}-{i}" for i, (sampler, _, objectives, _) in enumerate(CASES)]


def make(sampler, space, objectives, trials, concurrency=3, **kwargs):
    directions = ["minimise", "maximise"][:objectives]
    return Suggestions(space, sampler, 7, concurrency, directions, trials=trials, startup=5, **kwargs)


def score(config, number, objectives=1):
    """An outcome that is a function of the configuration: most are done, some pruned, some failed."""
    if number % 7 == 3:
        return Outcome(None)
    lr = config.get("lr", 0.5)
    values = (abs(math.log10(lr + 1e-9) + 2) + 0.1 * config.get("width", 2), lr)[:objectives]
    return Outcome(values, pruned_at=100 if number % 5 == 1 else None)


def drive(suggestions, objectives, configs=None, order=0, stop=None):
    """Simulate a sweep whose trials end in an order drawn from `order`; returns configurations and outcomes."""
    shuffle, configs, results = random.Random(order), list(configs or []), {}
    running = []
    while stop is None or len(configs) < stop:
        suggestion = suggestions.next(results)
        if isinstance(suggestion, dict):
            running.append(len(configs))
            configs.append(suggestion)
        if isinstance(suggestion, Finished):
            return configs, results
        if isinstance(suggestion, Waiting) or shuffle.random() < 0.5:
            assert running, "nothing runs, yet the search waits"
            ended = running.pop(shuffle.randrange(len(running)))
            results[ended] = score(configs[ended], ended, objectives)
    return configs, results


@pytest.mark.parametrize(("sampler", "space", "objectives", "trials"), CASES, ids=NAMES)
def test_same_configurations_whatever_the_order_of_completion(sampler, space, objectives, trials):
    first, _ = drive(make(sampler, space, objectives, trials), objectives, order=1)
    second, _ = drive(make(sampler, space, objectives, trials), objectives, order=2)
    assert first == second
    assert len(first) == trials
    assert all(space.contains(config) for config in first)


@pytest.mark.parametrize(("sampler", "space", "objectives", "trials"), CASES, ids=NAMES)
def test_a_killed_search_asked_again_in_order_continues_exactly(sampler, space, objectives, trials):
    whole, _ = drive(make(sampler, space, objectives, trials), objectives)
    for killed in (1, trials // 2 + 1, trials - 1):
        before, results = drive(make(sampler, space, objectives, trials), objectives, order=5, stop=killed)
        assert before == whole[:killed]
        again = make(sampler, space, objectives, trials)
        assert [again.next(results) for _ in before] == before
        after, late = list(before), dict(results)
        while not isinstance(suggestion := again.next(late), Finished):
            if isinstance(suggestion, Waiting):
                late.update({n: score(after[n], n, objectives) for n in suggestion.numbers})
            else:
                after.append(suggestion)
        assert after == whole


@pytest.mark.parametrize(("sampler", "space", "objectives", "trials"), CASES, ids=NAMES)
def test_a_larger_budget_continues_the_same_sequence(sampler, space, objectives, trials):
    small, _ = drive(make(sampler, space, objectives, trials // 2), objectives)
    large, _ = drive(make(sampler, space, objectives, trials), objectives, order=3)
    assert large[: len(small)] == small
    assert len(small) == trials // 2


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes", "nsga2"])
def test_adaptive_samplers_depend_on_results(sampler):
    trials = {"gp": 16, "nsga2": 70}.get(sampler, 40)
    honest, _ = drive(make(sampler, RANGES, 1, trials), 1)
    suggestions, results, flipped = make(sampler, RANGES, 1, trials), {}, []
    while not isinstance(suggestion := suggestions.next(results), Finished):
        if isinstance(suggestion, Waiting):
            results.update({n: Outcome((-flipped[n]["lr"],)) for n in suggestion.numbers})
        else:
            flipped.append(suggestion)
    assert honest[:4] == flipped[:4]
    assert honest != flipped


@pytest.mark.parametrize("sampler", ADAPTIVE)
def test_adaptive_suggestion_n_waits_for_exactly_the_results_before_n_minus_c(sampler):
    suggestions = make(sampler, RANGES, 1, None, concurrency=4)
    results = {}
    assert all(isinstance(suggestions.next(results), dict) for _ in range(4))
    assert suggestions.needs == range(0)
    assert isinstance(suggestions.next(results), dict)
    for n in range(5, 9):
        assert suggestions.next({**results, 99: Outcome((0.0,))}) == Waiting((n - 5,))
        results[n - 5] = Outcome((float(n),))
        assert isinstance(suggestions.next(results), dict)


def test_a_result_told_early_changes_nothing_before_its_turn():
    lean, rich = make("tpe", RANGES, 1, 40), make("tpe", RANGES, 1, 40)
    known = {n: Outcome((1.0 / (n + 1),)) for n in range(40)}
    for n in range(40):
        exact = {m: known[m] for m in range(max(0, n - 3))}
        assert lean.next(exact) == rich.next(known)


@pytest.mark.parametrize("sampler", ["grid", "random"])
def test_grid_and_random_never_wait(sampler):
    space = parse_space({"a": {"choice": [1, 2, 3, 4, 5, 6]}})
    suggestions = make(sampler, space, 1, 6, concurrency=1)
    assert all(isinstance(suggestions.next({}), dict) for _ in range(6))
    assert suggestions.next({}) == Finished()


def test_seeds_give_different_sequences_and_trials_different_configurations():
    one, two = (Suggestions(RANGES, "random", seed, 2) for seed in (0, 1))
    a, b = ([str(s.next({})) for _ in range(20)] for s in (one, two))
    assert len({*a, *b}) == 40


@pytest.mark.parametrize(
    ("sampler", "space", "objectives", "words"),
    [
        ("anneal", RANGES, 1, "is no sampler"),
        ("tbe", RANGES, 1, "Did you mean 'tpe'"),
        ("grid", RANGES, 1, "must be a choice for a grid"),
        ("cmaes", MIXED, 1, "cmaes cannot serve choices"),
        ("cmaes", parse_space({"a": {"int": [0, 3]}, "b": 2}), 1, "two ranges"),
        ("cmaes", CONDITIONAL, 1, "conditional"),
        ("cmaes", RANGES, 2, "Use nsga2"),
        ("gp", CONDITIONAL, 1, "conditional"),
    ],
)
def test_a_sampler_that_cannot_serve_a_space_is_refused(sampler, space, objectives, words):
    with pytest.raises(InputError, match=words):
        make(sampler, space, objectives, 10)


def test_extended_grid_yields_only_what_is_not_known():
    old, new = parse_space({"a": {"choice": [1, 2]}}), parse_space({"a": {"choice": [1, 2, 0.5]}, "b": 1})
    wider = parse_space({"a": {"choice": [2, 0.5, 1]}})
    known = [old.config_key(config) for config in old.grid()]
    suggestions = Suggestions(wider, "grid", 0, 2, first=2, known=known)
    assert suggestions.next({}) == {"a": 0.5}
    assert suggestions.number == 3
    assert suggestions.next({}) == Finished()
    assert Suggestions(new, "grid", 0, 2, known=known).next({}) == {"a": 1.0, "b": 1}


@pytest.mark.parametrize("sampler", ["tpe", "gp", "cmaes", "nsga2"])
def test_old_results_steer_a_new_study_from_its_first_suggestion(sampler):
    space = parse_space({"x": {"uniform": [0, 1]}, "y": {"uniform": [0, 1]}})

    def distance(config):
        return math.hypot(config["x"] - 0.35, config["y"] - 0.55)

    def suggest(warm):
        suggestions = Suggestions(space, sampler, 0, 8, first=40, warm=warm)
        return [suggestions.next({}) for _ in range(8)]

    draw = random.Random(0)
    configs = [{"x": draw.random(), "y": draw.random()} for _ in range(40)]
    warm = [(config, Outcome((distance(config) ** 2,))) for config in configs]
    seen = suggest(warm)
    assert sum(map(distance, seen)) < 0.8 * sum(map(distance, suggest([])))
    outside = [({"x": 3.0, "y": 0.5}, Outcome((-9.0,))), ({"x": 0.5}, Outcome((-9.0,)))]
    unusable = [({"x": 0.9, "y": 0.1}, Outcome(value)) for value in (None, (math.nan,), (-9.0, -9.0))]
    assert suggest(warm + outside + unusable) == seen


def test_tpe_finds_the_optimum_of_a_smooth_function_better_than_random():
    def best(sampler):
        _, results = drive(make(sampler, RANGES, 1, 80), 1)
        return sorted(o.values[0] for o in results.values() if not o.failed)[2]

    assert best("tpe") < best("random")


def test_nothing_is_printed_and_no_warning_filter_or_log_level_is_left_changed(capfd):
    import optuna

    level, filters = optuna.logging.get_verbosity(), list(warnings.filters)
    drive(make("tpe", CONDITIONAL, 2, 12), 2)
    assert capfd.readouterr() == ("", "")
    assert (optuna.logging.get_verbosity(), list(warnings.filters)) == (level, filters)
