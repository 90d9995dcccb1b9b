import itertools

import pytest

from raysweep.errors import InputError
from raysweep.search.space import parse_space

GRID_27 = {"lr": {"choice": [0.1, 0.01, 0.001]}, "prior": {"choice": [1, 2, 3]}, "steps": {"choice": [100, 500, 1000]}}
CONDITIONAL = {
    "weight": {"choice": [1, 2], "when": {"method": "rde"}},
    "method": {"choice": ["am", "rde"]},
    "lr": {"choice": [0.1, 0.2]},
}


@pytest.mark.parametrize(
    ("raw", "key", "words"),
    [
        ([], "space", "must be a mapping"),
        ({1: 2}, "space", "text as names"),
        ({"lr": {"unifrom": [0, 1]}}, "space.lr.unifrom", "Did you mean 'uniform'?"),
        ({"lr": {}}, "space.lr", "exactly one of"),
        ({"lr": {"when": {"lr": 1}}}, "space.lr", "exactly one of"),
        ({"lr": {"choice": [1], "int": [1, 2]}}, "space.lr", "exactly one of"),
        ({"lr": [1, 2]}, "space.lr", "Write {choice: [1, 2]}"),
        ({"lr": {"choice": 1}}, "space.lr.choice", "must be a list"),
        ({"lr": {"choice": []}}, "space.lr.choice", "must not be empty"),
        ({"lr": {"choice": [1, 2, 1.0]}}, "space.lr.choice", "twice (found 1.0)"),
        ({"lr": {"choice": [[1], [2]]}}, "space.lr.choice", "scalars only"),
        ({"lr": {"choice": [float("nan")]}}, "space.lr.choice", "finite"),
        ({"lr": float("inf")}, "space.lr", "finite"),
        ({"lr": {"choice": [0.1, 10**400]}}, "space.lr.choice", "must lie between"),
        ({"lr": {"int": [1, 2**63]}}, "space.lr.int", "must lie between"),
        ({"lr": {"choice": ["1e-3"]}}, "space.lr.choice", "Write 0.001"),
        ({"lr": {"uniform": [1, 1]}}, "space.lr.uniform", "low bound below"),
        ({"lr": {"uniform": [0, float("inf")]}}, "space.lr.uniform", "finite"),
        ({"lr": {"uniform": [0]}}, "space.lr.uniform", "two numbers"),
        ({"lr": {"uniform": [False, True]}}, "space.lr.uniform", "numbers as bounds"),
        ({"lr": {"log": [0, 1]}}, "space.lr.log", "above 0"),
        ({"lr": {"int": [0.5, 2]}}, "space.lr.int", "integers as bounds"),
        ({"a": {"choice": [1], "when": 3}}, "space.a.when", "must be a mapping"),
        ({"a": {"choice": [1], "when": {"methud": 1}}, "method": 1}, "space.a.when.methud", "'method'"),
        ({"a": {"choice": [1], "when": {"b": "rda"}}, "b": {"choice": ["rde"]}}, "space.a.when.b", "'rde'"),
        ({"a": {"choice": [1], "when": {"b": 1}}, "b": {"int": [0, 2]}}, "space.a.when.b", "not on a range"),
        ({"a": {"choice": [1], "when": {"a": 1}}}, "space.a", "depend on itself"),
        ({"a": {"choice": [1], "when": {"b": 1}}, "b": {"choice": [1], "when": {"a": 1}}}, "space.a", "itself"),
    ],
)
def test_bad_space_is_refused_with_its_key_and_rule(raw, key, words):
    with pytest.raises(InputError) as caught:
        parse_space(raw)
    assert caught.value.key == key
    assert words in str(caught.value)


def test_grid_runs_like_itertools_product_with_the_first_key_outermost():
    space = parse_space({**GRID_27, "seed": 5})
    expected = itertools.product([0.1, 0.01, 0.001], [1, 2, 3], [100, 500, 1000], [5])
    assert [tuple(config.values()) for config in space.grid()] == list(expected)
    assert space.size == 27


def test_grid_leaves_out_conditional_parameters_whose_condition_does_not_hold():
    space = parse_space(CONDITIONAL)
    assert [parameter.name for parameter in space.parameters] == ["method", "weight", "lr"]
    assert list(space.grid())[1:4] == [
        {"method": "am", "lr": 0.2},
        {"method": "rde", "weight": 1, "lr": 0.1},
        {"method": "rde", "weight": 1, "lr": 0.2},
    ]
    assert space.size == len(list(space.grid())) == 6
    assert all(space.contains(config) for config in space.grid())


def test_child_of_an_inactive_parent_is_inactive():
    child = {"choice": [1, 2], "when": {"weight": 1}}
    space = parse_space({**CONDITIONAL, "child": child})
    assert {"method": "am", "lr": 0.1} in list(space.grid())
    assert not space.contains({"method": "am", "lr": 0.1, "child": 1})


@pytest.mark.parametrize("body", [{"uniform": [0, 1]}, {"log": [1, 2]}, {"int": [1, 5]}])
def test_grid_refuses_a_range_and_suggests_a_choice(body):
    space = parse_space({"lr": body})
    with pytest.raises(InputError, match=r"space\.lr: must be a choice.*Write \{choice"):
        space.grid()
    with pytest.raises(InputError):
        _ = space.size


def test_contains_wants_every_active_parameter_in_its_domain_and_no_other():
    space = parse_space({"a": {"uniform": [0, 1]}, "b": {"int": [1, 3]}, "c": "x"})
    assert space.contains({"a": 1, "b": 3, "c": "x"})
    for wrong in [
        {"a": 2, "b": 3, "c": "x"},
        {"a": 1, "b": 2.5, "c": "x"},
        {"a": 1, "b": True, "c": "x"},
        {"a": 1, "b": 3, "c": "y"},
        {"a": 1, "b": 3},
        {"a": 1, "b": 3, "c": "x", "d": 0},
    ]:
        assert not space.contains(wrong)
        with pytest.raises(InputError, match="not a configuration"):
            space.canonical(wrong)


def test_canonical_orders_by_name_and_gives_each_value_its_parameters_type():
    space = parse_space({"z": {"uniform": [0, 2]}, "n": {"int": [1, 3]}, "c": {"choice": [1, 0.1]}, "f": True})
    canonical = space.canonical({"z": 1, "n": 2.0, "c": 1, "f": True})
    assert [(name, repr(value)) for name, value in canonical.items()] == [
        ("c", "1.0"),
        ("f", "True"),
        ("n", "2"),
        ("z", "1.0"),
    ]


def test_config_key_survives_widening_and_leaves_out_what_is_asked():
    narrow, wide = parse_space({"a": {"choice": [1, 10]}}), parse_space({"a": {"choice": [1, 10, 0.5]}})
    assert narrow.config_key({"a": 1}) == wide.config_key({"a": 1.0})
    space = parse_space(GRID_27)
    assert len({space.config_key(config) for config in space.grid()}) == 27
    assert len({space.config_key(config, without={"steps"}) for config in space.grid()}) == 9
