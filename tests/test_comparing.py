"""A sweep that compares methods: one study, in which each trial is of one of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from raysweep.document import Document
from raysweep.errors import InputError, SweepConflict
from raysweep.explain import explain
from raysweep.forecast import planned
from raysweep.outcome import SweepResult
from raysweep.preflight import check_space, located, workload_spec
from raysweep.sweep import run
from raysweep.sweepfile import SweepFile, check_sweep, load_sweep
from raysweep.winner import write_best, write_finalists, write_sweep_report

COMPARING: dict[str, Any] = {
    "name": "comparing",
    "method": {
        "choice": {
            "gradient": {"name": "sensitivity", "components": "patches"},
            "lrp": {"composite": "epsilon_alpha_beta", "components": "patches"},
            "rde": {"components": "patches", "fill": "inpainter"},
        }
    },
    "models": {"classifier": "zoo://fashion/classifier", "inpainter": "zoo://fashion/inpainter"},
    "data": "zoo://fashion/test",
    "target": {"each": "predicted"},
    "examples": 6,
    "space": {
        "lrp": {"alpha": {"choice": [1, 2]}, "epsilon": 0.1},
        "rde": {"lr": 0.1, "sparsity_weight": 0.1, "steps": {"choice": [2, 4]}},
    },
    "objective": "rate_distortion",
    "hosts": {"cpus": 1},
    "slots": 6,
    "precision": "float32",
}


def checked(**changed: Any) -> SweepFile:
    """What is said of the sweep with some keys changed, as far as its own file and its space go."""
    file = check_sweep(Document({**COMPARING, **changed}), Path())
    for one in file.of_methods.values():
        with located(one):
            check_space(one.single)
    return file


def test_of_a_list_of_methods_only_what_is_wrong_is_told_and_not_the_space_below_them() -> None:
    with pytest.raises(InputError) as caught:
        checked(method={"choice": ["lrp", "sensitivty"]}, space={"lrp": {"alpha": 2}})
    found = "method.choice.sensitivty.name: no such choice (found 'sensitivty'). Did you mean 'sensitivity'?"
    assert str(caught.value) == found


def test_each_method_has_its_own_part_of_the_space_and_the_networks_that_it_works_with() -> None:
    parts = checked().of_methods
    assert {name: one.single.space for name, one in parts.items()} == {
        "gradient": {},
        "lrp": COMPARING["space"]["lrp"],
        "rde": COMPARING["space"]["rde"],
    }
    assert {name: workload_spec(one).inpainter is not None for name, one in parts.items()} == {
        "gradient": False,
        "lrp": False,
        "rde": True,
    }


def test_conditions_say_as_well_which_method_a_hyper_parameter_is_of() -> None:
    conditioned = {
        "alpha": {"choice": [1, 2], "when": {"method": "lrp"}},
        "epsilon": {"choice": [0.1], "when": {"method": "lrp"}},
        "rde": COMPARING["space"]["rde"],
    }
    own, stated = checked().sweep.parsed_space, checked(space=conditioned).sweep.parsed_space
    assert list(own.grid()) == list(stated.grid())


def test_a_list_calls_each_method_as_it_is_called() -> None:
    sweep = checked(
        method={"choice": ["sensitivity", {"name": "lrp"}]},
        space={"lrp": {"alpha": 1}},
        models={"classifier": "zoo://fashion/classifier"},
    ).sweep
    assert sweep.methods == ("sensitivity", "lrp")
    assert list(sweep.parsed_space.grid()) == [{"method": "sensitivity"}, {"method": "lrp", "alpha": 1}]


def test_what_is_planned_is_the_sum_over_the_methods() -> None:
    assert planned(checked().sweep) == {
        "trials": 5,
        "row_steps_unshared": 6 * (1 + 2 + 2 + 4),
        "row_steps": 6 * (1 + 2 + 4),
    }


ONLY_LRP: dict[str, Any] = {"space": {"lrp": COMPARING["space"]["lrp"]}}
ALONE: dict[str, Any] = {"models": {"classifier": "zoo://fashion/classifier"}, **ONLY_LRP}


@pytest.mark.parametrize(
    ("changed", "key", "words"),
    [
        ({"method": {"choice": {"lrp": "lrq"}}, **ONLY_LRP}, "method.choice.lrp", "Did you mean 'lrp'?"),
        ({"method": {"choice": {"lrp": {"compositee": "a"}}}, **ONLY_LRP}, "method.choice.lrp.compositee", "composite"),
        ({"method": {"choice": {"lrp": {"blur": 0}}}, **ONLY_LRP}, "method.choice.lrp.blur", "must be above 0"),
        ({"method": {"choice": []}, "space": {}}, "method.choice", "must not be empty"),
        ({"method": {"choice": ["lrp", "lrp"]}, "space": {}}, "method.choice", "a method twice"),
        ({"method": {"choice": ["lrp", "probegan"]}, **ALONE}, "method.choice.probegan", "a sweep of its own"),
        ({"method": {"choice": ["lrp", "am"]}, **ALONE}, "models.generator", "must be given"),
        ({"method": {"choice": ["lrp"]}, **ONLY_LRP}, "models.inpainter", "no use with any of the methods"),
        ({"method": {"choice": {"lrp": {"patch": 3}}}, **ALONE}, "method.choice.lrp.patch", "components: patches"),
        ({"space": {"lpr": {"alpha": 1}}}, "space.lpr", "Did you mean 'lrp'?"),
        ({"space": {**COMPARING["space"], "lrp": {"alpha": 0.5}}}, "space.lrp.alpha", "at least 1"),
        ({"space": {**COMPARING["space"], "lrp": {"alpha": [1]}}}, "space.lrp.alpha", "Write {choice: [1]}"),
        ({"space": {**COMPARING["space"], "lrp": 3}}, "space.lrp", "must be a mapping"),
        ({"space": {**COMPARING["space"], "alpha": 1}}, "space.lrp.alpha", "twice, here and as space.alpha"),
        ({"space": {**COMPARING["space"], "steps": 1}}, "space.rde.steps", "twice, here and as space.steps"),
        ({"space": {"alpha": 1}}, "space.alpha", "no hyper-parameter of sensitivity"),
        ({"space": {**COMPARING["space"], "method": "lrp"}}, "space.method", "must be left out"),
        ({"space": {**COMPARING["space"], "rde": {"lr": 0.1}}}, "space.rde.sparsity_weight", "must be given"),
        ({"stop": {"scheduler": "asha"}}, "stop.scheduler", "none or race where methods have steps of their own"),
        ({"search": {"sampler": "gp"}, "budget": {"trials": 3}}, "search.sampler", "Use tpe"),
    ],
)
def test_what_does_not_hold_is_named_where_the_file_has_it(changed: dict[str, Any], key: str, words: str) -> None:
    with pytest.raises(InputError) as refused:
        checked(**changed)
    assert (refused.value.key, words in str(refused.value)) == (key, True), str(refused.value)


def test_an_error_has_the_line_of_the_methods_own_key(tmp_path: Path) -> None:
    text = yaml.safe_dump({**COMPARING, "space": {**COMPARING["space"], "lrp": {"alpha": 0.5}}})
    (tmp_path / "s.yaml").write_text(text)
    file = load_sweep(tmp_path / "s.yaml")
    with pytest.raises(InputError) as refused, located(file.of_methods["lrp"]):
        check_space(file.of_methods["lrp"].single)
    assert text.splitlines()[(refused.value.line or 0) - 1].strip() == "alpha: 0.5"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of two methods, that a third has joined."""
    folder = tmp_path_factory.mktemp("comparing")
    (folder / "sweep.yaml").write_text(yaml.safe_dump(COMPARING))
    two = {name: COMPARING["method"]["choice"][name] for name in ("gradient", "lrp")}
    overrides = [f"method={{choice: {two}}}", "models={classifier: zoo://fashion/classifier}"]
    run(folder / "sweep.yaml", storage=folder, overrides=[*overrides, f"space={{lrp: {COMPARING['space']['lrp']}}}"])
    run(folder / "sweep.yaml", storage=folder)
    return folder


@pytest.fixture(scope="module")
def result(folder: Path) -> SweepResult:
    return SweepResult.load("comparing", folder)


def test_a_method_that_joins_leaves_what_is_known_of_the_others(result: SweepResult) -> None:
    trials = list(result.ledger.trials.values())
    assert [trial.config["method"] for trial in trials] == ["gradient", "lrp", "lrp", "rde", "rde"]
    assert [trial.state for trial in trials] == ["done"] * 5
    starts = [trial.started for trial in trials]
    assert None not in starts
    assert max(starts[:3]) < min(starts[3:])  # type: ignore[type-var]


def test_every_method_scores_as_in_a_sweep_of_its_own(result: SweepResult, folder: Path) -> None:
    for name, trial in result.best_of_each("method").items():
        assert trial.result is not None
        (alone := folder / f"{name}.yaml").write_text(
            yaml.safe_dump({
                **COMPARING,
                "method": {"name": "sensitivity", **COMPARING["method"]["choice"][name]} if name == "gradient"
                else {"name": name, **COMPARING["method"]["choice"][name]},
                "models": COMPARING["models"] if name == "rde" else {"classifier": "zoo://fashion/classifier"},
                "space": {key: value for key, value in trial.config.items() if key != "method"},
            })
        )  # fmt: skip
        found = explain(alone, examples=6)["rate_distortion"]
        assert float(np.mean(found)) == trial.result.objectives["rate_distortion"].value


def test_the_winner_is_a_sweep_of_its_method_alone(result: SweepResult, tmp_path: Path) -> None:
    best = result.best
    assert best is not None
    sweep = load_sweep(write_best(result, tmp_path / "best.yaml")).single
    assert {"method": best.config["method"], **sweep.space} == best.config


def test_the_best_of_each_are_a_sweep_that_compares_them(result: SweepResult, tmp_path: Path) -> None:
    finalists = load_sweep(write_finalists(result, tmp_path / "finalists.yaml")).sweep
    assert list(finalists.parsed_space.grid()) == [trial.config for trial in result.best_of_each("method").values()]
    chances = [row["probability_best"] for row in result.each_json("method")]
    assert sum(chances) == pytest.approx(1)


def test_the_report_has_the_best_of_each_method(result: SweepResult) -> None:
    page = write_sweep_report(result).read_text(encoding="utf-8")
    assert page.count("explanations by ") == 3


def test_a_method_may_join_and_not_leave(folder: Path) -> None:
    two = {name: COMPARING["method"]["choice"][name] for name in ("gradient", "lrp")}
    changed = [f"method={{choice: {two}}}", "models={classifier: zoo://fashion/classifier}"]
    with pytest.raises(SweepConflict, match="must keep rde, of which the sweep 'comparing' has trials") as refused:
        run(folder / "sweep.yaml", storage=folder, overrides=[*changed, "space={lrp: {alpha: 1, epsilon: 0.1}}"])
    assert refused.value.key == "method.choice"


@pytest.mark.parametrize(
    ("changed", "key", "said"),
    [
        ("method.choice.lrp.bias=ignore", "method.choice.lrp.bias", "was started with (absorb) (found 'ignore')"),
        ("models.classifier=zoo://fashion/regular", "models.classifier", ": other weights, args, or the code of its m"),
        ("data=zoo://fashion/seen", "data", "started with: other samples, labels or classes. Give"),
        ("seed=1", "seed", "was started with (0) (found 1). Give the sweep another name"),
    ],
)
def test_a_method_that_changed_is_another_sweep(folder: Path, changed: str, key: str, said: str) -> None:
    with pytest.raises(SweepConflict) as refused:
        run(folder / "sweep.yaml", storage=folder, overrides=[changed])
    assert refused.value.key == key
    assert said in str(refused.value)
