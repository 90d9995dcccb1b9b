"""A sweep file whose words are wrong: a clear message with file, line, key, rule and value; exit code 2; no traceback.

Nothing is started and nothing is made for it: no Ray, no folder in the storage.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.bad_input.own_files import LINES, SWEEP, Refusal, exit_code


def test_the_sweep_file_that_the_others_are_made_from_holds(
    home: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["raysweep", "check", str(home / "sweep.yaml")])
    assert exit_code() == 0
    assert "trials          4" in capsys.readouterr().out


def test_an_unknown_key_names_the_nearest(changed: Refusal) -> None:
    found = changed("examples: 6", "exampels: 6")
    assert found == "sweep.yaml:12: exampels: unknown key. Did you mean 'examples'?"


def test_a_value_of_the_wrong_type(changed: Refusal) -> None:
    assert changed("examples: 6", "examples: six") == "sweep.yaml:12: examples: must be a whole number (found 'six')"


def test_an_empty_choice(changed: Refusal) -> None:
    assert changed("[0.1, 0.01]", "[]") == "sweep.yaml:15: space.lr.choice: must not be empty (found [])"


@pytest.mark.parametrize(
    ("lr", "message"),
    [
        ("[0.1, 1e39]", "sweep.yaml:15: space.lr: must be at most 1e+38: rows are stepped in float32 (found 1e+39)"),
        ("[0.1, 0]", "sweep.yaml:15: space.lr: must be above 0 (found 0.0)"),
        ("\n    - 0.1\n    - -0.01", "sweep.yaml:17: space.lr: must be above 0 (found -0.01)"),
    ],
)
def test_a_learning_rate_that_is_not_above_zero(changed: Refusal, lr: str, message: str) -> None:
    assert changed("[0.1, 0.01]", lr) == message


def test_a_learning_rate_that_an_override_sets_to_zero(changed: Refusal) -> None:
    found = changed("name", "name", "--set", "space.lr.choice=[0]")
    assert found == "sweep.yaml with --set space.lr.choice=[0]: space.lr: must be above 0 (found 0)"


@pytest.mark.parametrize(
    ("steps", "message"),
    [
        ("{log: [100, 1000]}", "must be whole numbers: a choice or an int range (found [100.0, 1000.0])"),
        ("{uniform: [1.5, 9]}", "must be whole numbers: a choice or an int range (found [1.5, 9.0])"),
        ("{choice: [9, 9.5]}", "must be whole numbers (found 9.5)"),
        ("1.0e+300", "must be at most 9223372036854775807 (found 1e+300)"),
    ],
)
def test_steps_that_are_not_whole_numbers(changed: Refusal, steps: str, message: str) -> None:
    random = ("--set", "search.sampler=random", "--set", "budget.trials=2")
    found = changed("{choice: [9, 27]}", steps, *random)
    place, _, said = found.partition(": space.steps: ")
    assert place.startswith("sweep.yaml:17")
    assert said.startswith(message)
    assert ("Write {int: [100, 1000]}" in said) == ("log" in steps)


@pytest.mark.parametrize(
    ("old", "new", "line", "name"),
    [
        ("{choice: [9, 27]}", "{choice: [9], when: {lr: 0.1}}", 17, "steps"),
        ("prior_weight: 0.1", "prior_weight: {choice: [0.1], when: {lr: 0.1}}", 16, "prior_weight"),
    ],
)
def test_a_condition_on_a_hyper_parameter_that_is_always_needed(
    changed: Refusal, old: str, new: str, line: int, name: str
) -> None:
    rule = f"must be left out: am needs {name} in every configuration"
    assert changed(old, new) == f"sweep.yaml:{line}: space.{name}.when: {rule} (found {{'lr': 0.1}})"


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("baar", "target: must be one of the classes (found 'baar'). Did you mean 'bar'?"),
        ("3", "target: must be a class index from 0 to 2 (found 3). The classes are ring, bar, dot"),
        ("{layer: '0', unit: 6}", "target.unit: unit must lie between 0 and 5, as 0 has 6 units (found 6)"),
        (
            "{layer: conv, unit: 6}",
            "target.layer: layer must be one of the network's (found 'conv'). Layers: 0, 1, 2, 3",
        ),
    ],
)
def test_a_target_that_is_no_class_or_unit(changed: Refusal, target: str, message: str) -> None:
    assert changed("target: bar", f"target: {target}") == f"sweep.yaml:11: {message}"


GFI = """\
name: own
method:
  name: gfi
  layers: ["0", "1"]
  guides:
  - "1"
  - "3"
models: {classifier: nets:classifier}
data: images.npz
target: bar
examples: 6
space:
  layer: {choice: ["0", "1"]}
  guide: "1"
  steps: 9
objective: rate_distortion
"""


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("", "", "7: method.guides.1: must be a layer with maps, of more than one place: a picture over the image is "),
        (
            '- "3"',
            "- relu",
            "7: method.guides.1: layer must be one of the network's (found 'relu'). Layers: 0, 1, 2, 3",
        ),
        ('choice: ["0", "1"]', 'choice: ["0", "2"]', "13: space.layer: must be one of method.layers, 0, 1 (found '2')"),
    ],
)
def test_a_layer_that_is_not_there_or_has_no_maps(changed: Refusal, old: str, new: str, message: str) -> None:
    assert changed(SWEEP, GFI.replace(old, new) if old else GFI).startswith(f"sweep.yaml:{message}")


def test_more_examples_than_the_reference_has(changed: Refusal) -> None:
    found = changed("examples: 6", "examples: 61")
    rule = "N larger than the reference: the data have 60 examples to compare with"
    assert found == f"sweep.yaml:12: examples: {rule} (found 61)"


@pytest.mark.parametrize("uri", ["localhost:5000", "mlruns", "file:///mlruns", "htp://localhost", "sqlite://"])
def test_a_tracking_uri_that_mlflow_does_not_write_to(changed: Refusal, uri: str) -> None:
    found = changed(SWEEP, f"{SWEEP}mlflow: {uri}\n")
    rule = f"mlflow: must be the URI of an MLflow server or of a database (found '{uri}'). "
    assert found.startswith(f"sweep.yaml:{LINES + 1}: {rule}")


def test_all_that_is_wrong_is_said_at_once(changed: Refusal) -> None:
    found = changed("examples: 6", "examples: six\nseeed: 1", "--set", "space.steps.choice=[]")
    assert found.splitlines() == [
        "sweep.yaml with --set space.steps.choice=[]: space.steps.choice: must not be empty (found [])",
        "sweep.yaml:12: examples: must be a whole number (found 'six')",
        "sweep.yaml:13: seeed: unknown key. Did you mean 'seed'?",
    ]
