"""A sweep file as written: --set changes it, and an error finds its key, its line or the --set that gave its value."""

from __future__ import annotations

from typing import Any

import pytest

from raysweep.document import Document
from raysweep.errors import InputError
from raysweep.yaml_source import parse_yaml

TEXT = """\
name: mine
method: am
models:
  generator: {source: "a:b", args: {width: 3}}
space:
  lr:
    choice:
      - 0.1
      - 0
objective:
  - kid
  - {name: fid, layer: x}
"""


def document(text: str = TEXT) -> Document:
    raw, lines = parse_yaml(text, "f.yaml")
    return Document(raw, "f.yaml", lines)


def located(key: str | None, *overrides: str, text: str = TEXT, **value: Any) -> str:
    made = document(text)
    for override in overrides:
        made.override(override)
    return str(made.located(InputError("is wrong", key=key, **value)))


@pytest.mark.parametrize(
    ("override", "path", "value"),
    [
        ("name=other", ("name",), "other"),
        ("examples=10", ("examples",), 10),
        ("space.lr.choice=[1e-3, 1]", ("space", "lr", "choice"), [0.001, 1]),
        ("space.lr.choice.1=0.5", ("space", "lr", "choice", 1), 0.5),
        ("space.lr={log: [0.1, 1]}", ("space", "lr"), {"log": [0.1, 1]}),
        ("budget.trials=3", ("budget", "trials"), 3),
        ("search.from=other", ("search", "from"), "other"),
        ("objective.1.layer=a=b", ("objective", 1, "layer"), "a=b"),
    ],
)
def test_an_override_sets_one_key_and_makes_the_mappings_above_it(override: str, path: tuple, value: Any) -> None:
    made = document()
    made.override(override)
    found: Any = made.raw
    for part in path:
        found = found[part]
    assert found == value


def test_an_override_leaves_the_keys_beside_it() -> None:
    made = document()
    made.override("models.generator.args.depth=2")
    assert made.raw["models"]["generator"] == {"source": "a:b", "args": {"width": 3, "depth": 2}}


def test_null_leaves_a_key_out() -> None:
    made = document()
    made.override("space.lr=null")
    made.override("method=")
    assert "lr" not in made.raw["space"]
    assert "method" not in made.raw
    assert document().raw["space"]["lr"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("spacee.lr=null", "--set: 'spacee' is not in the file, so it cannot be left out .*Did you mean 'space'"),
        ("space.lrr=null", "--set: 'space.lrr' is not in the file, so it cannot be left out .*Did you mean 'lr'"),
        ("models.judge.weights=null", "--set: 'models.judge' is not in the file"),
    ],
)
def test_what_is_not_there_cannot_be_left_out(override: str, message: str) -> None:
    made = document()
    before = str(made.raw)
    with pytest.raises(InputError, match=message):
        made.override(override)
    assert str(made.raw) == before


def test_null_is_a_value_for_a_callable_and_in_a_list() -> None:
    made = document()
    made.override("models.generator.args.width=null")
    made.override("objective.0=null")
    assert made.raw["models"]["generator"]["args"] == {"width": None}
    assert made.raw["objective"][0] is None


def test_an_override_leaves_an_alias_of_the_same_mapping_as_it_was() -> None:
    made = document("one: &x {a: 1}\ntwo: *x\n")
    made.override("one.a=2")
    assert made.raw == {"one": {"a": 2}, "two": {"a": 1}}


def test_the_last_of_two_overrides_of_a_key_holds() -> None:
    made = document()
    made.override("name=one")
    made.override("name=two")
    assert made.raw["name"] == "two"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seed", "--set: must read key=value (found 'seed'). For example --set seed=1"),
        ("=1", "--set: must read key=value (found '=1')"),
        ("a..b=1", "--set: must read key=value (found 'a..b=1')"),
        ("seed=[1", "--set: the value is not valid YAML: it ends while parsing a flow sequence that starts here"),
        ("name.x=1", "--set: 'name' is no mapping, so no key below it can be set (found 'name.x=1')"),
        ("objective.2=kid", "--set: must name an item from 0 to 1, not '2' (found 'objective.2=kid')"),
        ("objective.x=kid", "--set: must name an item from 0 to 1, not 'x' (found 'objective.x=kid')"),
    ],
)
def test_an_override_that_cannot_be_set_is_refused(override: str, message: str) -> None:
    with pytest.raises(InputError) as caught:
        document().override(override)
    assert str(caught.value).startswith(message)


def test_what_stands_below_a_shorthand_is_refused_with_how_to_write_it() -> None:
    with pytest.raises(InputError) as caught:
        document().override("method.prior=squared_norm")
    assert str(caught.value).endswith("Set it whole: --set 'method={prior: squared_norm}'")


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("name", "f.yaml:1: name"),
        ("space.lr.choice", "f.yaml:7: space.lr.choice"),
        ("models.generator.args.width", "f.yaml:4: models.generator.args.width"),
        ("models.judge", "f.yaml:3: models.judge"),
        ("budget", "f.yaml:1: budget"),
        ("objective.1.layer", "f.yaml:12: objective.1.layer"),
        (None, "f.yaml:1"),
    ],
)
def test_an_error_gets_the_line_of_its_key_or_of_the_mapping_that_lacks_it(key: str | None, place: str) -> None:
    assert located(key) == f"{place}: is wrong"


@pytest.mark.parametrize(
    ("key", "place"),
    [
        ("method.name", "f.yaml:2: method"),
        ("objective.0.name", "f.yaml:11: objective.0"),
        ("objective.1.name", "f.yaml:12: objective.1.name"),
    ],
)
def test_a_key_that_a_shorthand_leaves_out_is_left_out_of_the_message(key: str, place: str) -> None:
    assert located(key) == f"{place}: is wrong"


def test_the_index_of_an_objective_that_stands_alone_is_left_out_of_the_message() -> None:
    assert (
        located("objective.0.layer", text="objective: {name: kid, layer: x}") == "f.yaml:1: objective.layer: is wrong"
    )
    assert located("objective.0.name", text="a: 1\nobjective: kid") == "f.yaml:2: objective: is wrong"


@pytest.mark.parametrize("key", ["space.lr.choice", "space.lr"])
def test_an_error_about_a_value_of_a_list_gets_the_line_of_that_value(key: str) -> None:
    assert located(key, value=0) == f"f.yaml:9: {key}: is wrong (found 0)"
    assert located(key, value=0.1) == f"f.yaml:8: {key}: is wrong (found 0.1)"


@pytest.mark.parametrize(
    "override", ["space.lr.choice=[0.2, 3]", "space.lr={choice: [3]}", "space={lr: 3}", "space.lr.choice.1=3"]
)
def test_an_error_about_what_was_set_names_the_override_instead_of_a_line(override: str) -> None:
    assert located("space.lr", override, value=3) == f"f.yaml with --set {override}: space.lr: is wrong (found 3)"


def test_an_error_about_a_mapping_that_an_override_made_names_the_override() -> None:
    assert located("spaec", "spaec.lr.choice=[3]") == "f.yaml with --set spaec.lr.choice=[3]: spaec: is wrong"


def test_an_override_beside_the_wrong_value_is_not_blamed() -> None:
    assert located("space.lr", "space.lr.choice.0=3", value=0).startswith("f.yaml:9: ")
    assert located("name", "examples=3") == "f.yaml:1: name: is wrong"


def test_an_error_that_knows_its_place_keeps_it() -> None:
    error = InputError("is wrong", key="name", file="other.yaml", line=7)
    assert str(document().located(error)) == "other.yaml:7: name: is wrong"
