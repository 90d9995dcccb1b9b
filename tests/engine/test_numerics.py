"""Choosing precision and lane size: bfloat16 only where it goes the way of float32, and only what is clearly faster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from raysweep.engine import numerics
from raysweep.engine.numerics import MARGIN, Agreement, _fastest, agree, choose, seconds_per_row_step
from raysweep.engine.workload import Workload
from raysweep.methods import METHODS, Method, Rows
from raysweep.methods.method import Bound, State, Turn
from raysweep.methods.probegan import ProbeGan
from raysweep.models.model import ModelSource
from tests.engine.specs import FASHION

CPU = torch.device("cpu")
NETS = """
import torch
from torch import nn

class Picky(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        if x.dtype == torch.bfloat16:
            raise TypeError("not in bfloat16")
        return torch.stack([(self.scale * x).flatten(1).mean(1), x.flatten(1).sum(1)], 1)

class Cancelling(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x):
        large = self.scale * x.flatten(1) + 1000
        return torch.stack([(large - 1000).square().sum(1), x.flatten(1).sum(1)], 1)

def generator():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 64), nn.Sigmoid(), nn.Unflatten(1, (1, 8, 8)))

def smooth():
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 32), nn.Tanh(), nn.Linear(32, 2))

picky, cancelling = Picky, Cancelling
"""
Make = Callable[[str], Workload]


@pytest.fixture
def make(tmp_path: Path) -> Make:
    """A workload of a small generator and the named classifier."""
    (tmp_path / "nets_n.py").write_text(NETS)
    x = np.random.default_rng(0).random((20, 1, 8, 8), dtype=np.float32)
    np.savez(tmp_path / "images.npz", x=x, y=np.arange(20) % 2)

    def build(classifier: str) -> Workload:
        spec = replace(
            FASHION,
            generator=ModelSource("nets_n:generator"),
            classifier=ModelSource(f"nets_n:{classifier}"),
            data="images.npz",
            target=0,
            examples=4,
            precision="auto",
            folder=str(tmp_path),
        )
        return Workload(spec)

    return build


def agreement(workload: Workload) -> Agreement:
    return agree(lambda precision: workload.methods(1, CPU, precision), workload.spec.seed, CPU)


def test_bfloat16_agrees_where_rounding_does_not_matter(make: Make) -> None:
    found = agreement(make("smooth"))
    assert found.holds
    assert found.cosine > 0.99


def test_bfloat16_does_not_agree_where_a_network_cancels_or_refuses_it(make: Make) -> None:
    assert not agreement(make("cancelling")).holds
    assert agreement(make("picky")) == Agreement(-1.0, float("inf"))


def pursuit(workload: Workload) -> Workload:
    """Matching pursuit over patches on the same classifier."""
    masks = {"per": "example", "components": "patches", "patch": 2, "fill": "constant", "fill_value": 0.0}
    return Workload(replace(workload.spec, method="rde_pursuit", generator=None, options=masks, objectives=()))


def test_a_pursuit_agrees_by_its_candidates(make: Make) -> None:
    found = agreement(pursuit(make("smooth")))
    assert found.holds
    assert "candidates agree to a cosine" in str(found)
    assert not agreement(pursuit(make("cancelling"))).holds
    assert not agreement(pursuit(make("picky"))).holds
    choice = choose(pursuit(make("smooth")), CPU, 1, "auto", {4: 1.0})
    assert {precision for precision, _ in choice.seconds} == {"float32", "bfloat16"}


def test_what_does_not_agree_is_not_chosen_whatever_its_speed(make: Make) -> None:
    choice = choose(make("cancelling"), CPU, 1, "auto", {4: 1.0})
    assert (choice.precision, choice.slots) == ("float32", 4)
    assert set(choice.seconds) == {("float32", 4)}
    assert "not bfloat16" in str(choice)


def test_what_the_sweep_file_gives_is_kept(make: Make) -> None:
    choice = choose(make("smooth"), CPU, 2, "float64", {5: 1.0})
    assert (choice.precision, choice.slots, choice.agreement) == ("float64", 5, None)


def test_both_precisions_are_timed_at_several_sizes_and_said(make: Make) -> None:
    choice = choose(make("smooth"), CPU, 2, "auto", {8: 1.0, 4: 1.0})
    assert {precision for precision, _ in choice.seconds} == {"float32", "bfloat16"}
    assert len({slots for _, slots in choice.seconds}) > 1
    assert (choice.precision, choice.slots) in choice.seconds
    assert choice.plain()["text"].startswith(f"numerics: {choice.precision}, lanes of {choice.slots} rows")


def test_of_the_other_precision_it_is_said_in_which_lanes_it_was_timed() -> None:
    agreement = numerics.Agreement(0.999, 0.01)
    seconds = {("float32", 16): 3e-4, ("bfloat16", 16): 2e-4, ("bfloat16", 8): 4e-4}
    assert str(numerics.Choice("bfloat16", 8, seconds, agreement)).startswith(
        "numerics: bfloat16, lanes of 8 rows (400 µs a row-step where lanes are full, float32 300 µs in lanes of 16);"
    )
    assert "full, float32 300 µs);" in str(numerics.Choice("bfloat16", 16, seconds, agreement))


@pytest.mark.parametrize(
    ("seconds", "chosen"),
    [
        ({("float32", 16): 1.0, ("float32", 8): MARGIN + 0.01}, ("float32", 16)),
        ({("float32", 16): 1.0, ("float32", 8): MARGIN - 0.01}, ("float32", 8)),
        ({("float32", 16): 1.0, ("bfloat16", 16): 0.5, ("bfloat16", 8): 0.49}, ("bfloat16", 16)),
        ({("float32", 16): 1.0, ("bfloat16", 16): 0.95, ("float32", 8): 0.4}, ("float32", 8)),
        ({("float32", 16): 1.0, ("float32", 8): 0.5, ("float32", 32): 0.3}, ("float32", 32)),
    ],
)
def test_the_usual_numerics_stand_unless_others_are_clearly_faster(
    seconds: dict[tuple[str, int], float], chosen: tuple[str, int]
) -> None:
    assert _fastest(seconds, {8: 1.0, 16: 1.0, 32: 1.0}) == chosen


def test_wide_lanes_are_not_chosen_where_their_slots_would_be_empty() -> None:
    seconds = {("float32", 16): 1.0, ("float32", 32): 0.7}
    assert _fastest(seconds, {16: 1.0, 32: 1.0}) == ("float32", 32)
    assert _fastest(seconds, {16: 1.0, 32: 0.7}) == ("float32", 16)


def test_where_the_first_candidate_takes_all_patience_the_other_is_not_missed(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numerics, "PATIENCE", 0.0)
    choice = choose(make("smooth"), CPU, 1, "auto", {4: 1.0})
    assert set(choice.seconds) == {("float32", 4)}
    assert "bfloat16 not timed" in str(choice)


def test_where_nothing_can_be_timed_the_reason_is_said_and_no_number(make: Make) -> None:
    choice = choose(make("picky"), CPU, 1, "bfloat16", {4: 1.0, 8: 1.0})
    assert (choice.precision, choice.slots, choice.seconds) == ("bfloat16", 4, {})
    assert choice.untimed == "TypeError: not in bfloat16"
    assert str(choice) == "numerics: bfloat16, lanes of 4 rows (not timed: TypeError: not in bfloat16)"
    assert choice.plain()["seconds_per_row_step"] == []
    assert str(replace(choice, slots=1)).startswith("numerics: bfloat16, lanes of 1 row (")


def training(make: Make) -> Workload:
    """Generators of the same images."""
    return Workload(replace(make("smooth").spec, method="probegan", generator=None, images="images.npz", objectives=()))


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, float]]:
    """The values of every step that a training makes."""
    found, turn = list[dict[str, float]](), ProbeGan.turn

    def noted(method: ProbeGan, state: State, partial: dict[str, torch.Tensor], rows: Rows, fresh: bool) -> Turn:
        found.append({name: float(value[0]) for name, value in rows.values.items()})
        return turn(method, state, partial, rows, fresh)

    monkeypatch.setattr(ProbeGan, "turn", noted)
    return found


def test_of_values_that_a_sweep_gives_what_a_trial_would_run_is_timed(make: Make, made: list[dict[str, float]]) -> None:
    methods = training(make).methods(1, CPU)
    assert seconds_per_row_step(methods, 1, CPU, {"width": 1.0, "generator_lr": 1e-3}) > 0
    defaults = {name: bound.default for name, bound in ProbeGan.hyperparameters.items()}
    assert all(one == pytest.approx({**defaults, "width": 1, "generator_lr": 1e-3}) for one in made)
    assert (made[0]["batch"], made[0]["discriminator_steps"]) == (64, 4)


def test_of_no_values_the_usual_ones_are_timed(make: Make, made: list[dict[str, float]]) -> None:
    assert seconds_per_row_step(training(make).methods(1, CPU), 1, CPU) > 0
    assert {(one["width"], one["batch"], one["discriminator_steps"]) for one in made} == {(8, 8, 1)}


def test_of_steps_that_are_slow_every_lane_makes_one(
    make: Make, made: list[dict[str, float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numerics, "CERTAIN", 1e-9)
    choice = choose(training(make), CPU, 2, "auto", {1: 1.0}, {"width": 1.0, "batch": 2.0})
    assert len(made) == 2
    assert 0 < choice.seconds["float32", 1] < 60


@pytest.mark.parametrize("method", METHODS.values(), ids=METHODS)
def test_usual_values_are_ones_that_a_hyper_parameter_can_have(method: type[Method]) -> None:
    for name, bound in method.hyperparameters.items():
        assert bound.holds(bound.tried), name
        assert float(bound.tried).is_integer() or not bound.whole, name


def test_the_usual_value_of_a_whole_number_is_whole() -> None:
    assert Bound(1, whole=True).tried == 1
    assert Bound(1, whole=True, default=20).tried == 20
    assert Bound(1, whole=True, default=20, usual=8).tried == 8
    assert Bound(0, default=2.0).tried == 0.01
    with pytest.raises(ValueError, match="whole"):
        Bound(1, whole=True, usual=2.5)
