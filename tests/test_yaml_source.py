"""YAML read safely: numbers as they are meant, a line for every key, and every fault with its line."""

from __future__ import annotations

import math
from typing import Any

import pytest

from raysweep.errors import InputError
from raysweep.yaml_source import MAX_DEPTH, parse_scalar, parse_yaml


def refusal(text: str) -> str:
    with pytest.raises(InputError) as caught:
        parse_yaml(text, "f.yaml")
    return str(caught.value)


def test_every_key_and_item_has_its_line() -> None:
    data, lines = parse_yaml("# a comment\na: 1\nb:\n  c: [1,\n    2]\n  d:\n    - x\n    - y: 2\n")
    assert data == {"a": 1, "b": {"c": [1, 2], "d": ["x", {"y": 2}]}}
    assert lines == {
        (): 2,
        ("a",): 2,
        ("b",): 3,
        ("b", "c"): 4,
        ("b", "c", 0): 4,
        ("b", "c", 1): 5,
        ("b", "d"): 6,
        ("b", "d", 0): 7,
        ("b", "d", 1): 8,
        ("b", "d", 1, "y"): 8,
    }


@pytest.mark.parametrize("text", ["", "\n", "# only a comment\n", "---\n"])
def test_a_document_without_content_is_none(text: str) -> None:
    assert parse_yaml(text)[0] is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("-1E5", -1e5),
        ("+.5", 0.5),
        ("5.", 5.0),
        ("1_000", 1000),
        ("0x1F", 31),
        ("-.inf", -math.inf),
        ("017", 17.0),
        ("'7'", "7"),
        ("1:30", "1:30"),
        ("2020-01-01", "2020-01-01"),
        ("1.2.3", "1.2.3"),
        ("~", None),
        ("", None),
        ("true", True),
        ("[1, {a: b}]", [1, {"a": "b"}]),
        ("&x {a: 1}", {"a": 1}),
    ],
)
def test_values_are_what_a_person_takes_them_for(text: str, value: Any) -> None:
    found = parse_scalar(text)
    assert found == value
    assert type(found) is type(value)


def test_an_alias_has_the_value_and_the_lines_of_its_anchor_under_its_own_key() -> None:
    data, lines = parse_yaml("a: &x\n  b: 1\nc: *x\n")
    assert data["c"] == {"b": 1}
    assert (lines["c",], lines["c", "b"]) == (3, 2)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3", "f.yaml:3: a: stands twice, first in line 1"),
        ("a:\n  x: 1\n  x: 2", "f.yaml:3: a.x: stands twice, first in line 2"),
        ("a: &a {b: 1}\nc:\n  <<: *a", "f.yaml:3: c.<<: merge keys are not read; write the keys out"),
        ("a:\n  2.5: x", "f.yaml:2: a: keys must be text, not 2.5"),
        ("true: x", "f.yaml:1: keys must be text, not true"),
        ("? [a]\n: 1", "f.yaml:1: keys must be text, not a list or mapping"),
    ],
)
def test_keys_are_text_and_stand_once(text: str, message: str) -> None:
    assert refusal(text) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: [1, 2\nc: 3", "f.yaml:3: is not valid YAML: expected ',' or ']', but got ':'"),
        ("a: 1\nb: [1, 2", "f.yaml:2: is not valid YAML: it ends while parsing a flow sequence that starts here"),
        ("a: 'x\n\n\n", "f.yaml:1: is not valid YAML: it ends while scanning a quoted scalar that starts here"),
        ("a:\n\tb: 1", "f.yaml:2: is not valid YAML: a tab; indent with spaces"),
        ("a: b: c", "f.yaml:1: is not valid YAML: mapping values are not allowed here"),
        ("a: 1\n---\nb: 2", "f.yaml:2: is not valid YAML: expected a single document in the stream, but found another"),
        ("a: *nope", "f.yaml:1: is not valid YAML: found undefined alias 'nope'"),
        ("a: 1\nb: x\x07", "f.yaml:2: must be text, without the character #x0007"),
        ("a: !!int x", "f.yaml:1: is not valid YAML: 'x' is no int"),
        ("a: 9223372036854775808", "f.yaml:1: is not valid YAML: a whole number of more than 64 bits"),
        ("a: " + "9" * 5000, "f.yaml:1: is not valid YAML: '9999"),
    ],
)
def test_what_is_not_yaml_is_refused_with_its_line(text: str, message: str) -> None:
    assert refusal(text).startswith(message)


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system", "!!python/name:os.system", "!mine", "!!set", "!!binary", "!!timestamp"]
)
def test_tags_that_make_more_than_plain_data_are_refused(tag: str) -> None:
    assert "f.yaml:2: is not valid YAML: could not determine a constructor for the tag" in refusal(f"a: 1\nb: {tag} x")


@pytest.mark.parametrize("text", ["[" * 5000, "a: " + "[" * 40 + "]" * 40, "a: &x [*x]"])
def test_nesting_without_end_is_refused(text: str) -> None:
    assert f"must not be nested more than {MAX_DEPTH} deep" in refusal(text)


def test_a_few_lines_that_would_fill_the_memory_are_refused() -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert refusal("\n".join(lines)).endswith("must not have more than 100000 values")
