"""The engine against a slow, obvious loop, and against itself in every arrangement of rows."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from raysweep.engine.engine import Engine
from raysweep.engine.trajectory import State, kept
from raysweep.errors import TrialFailed
from raysweep.methods.am import ActivationMaximisation
from raysweep.methods.noise import normal

LATENT = 6


def networks(dtype: torch.dtype = torch.float64) -> tuple[nn.Module, nn.Module]:
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(LATENT, 24), nn.LeakyReLU(0.2), nn.Linear(24, 10), nn.Sigmoid())
    classifier = nn.Sequential(nn.Linear(10, 16), nn.Tanh(), nn.Linear(16, 3), Unit(1))
    return generator.to(dtype).eval(), classifier.to(dtype).eval()


class Unit(nn.Module):
    def __init__(self, index: int) -> None:
        super().__init__()
        self.index = index

    def forward(self, x: Tensor) -> Tensor:
        return x[:, self.index]


def method(dtype: torch.dtype = torch.float64, **options: Any) -> ActivationMaximisation:
    generator, response = networks(dtype)
    return ActivationMaximisation(generator, response, LATENT, dtype=dtype, **options)


def slow_am(
    example: int, lr: float, weight: float, steps: int, sign: float = 1.0, half: float = 0.5
) -> dict[str, Tensor]:
    """One example at a time with torch's own Adam, as the paper's users write it."""
    generator, response = networks()
    z = normal(torch.tensor([7]), torch.tensor([example]), (LATENT,), stream="latent").requires_grad_()
    optimiser = torch.optim.Adam([z], lr=lr)
    best, best_z = None, None
    for _ in range(steps):
        optimiser.zero_grad()
        value = response(generator(z))
        if best is None or sign * value.item() > sign * best:
            best, best_z = value.item(), z.detach().clone()
        (half * weight * z.square().sum() - sign * value.sum()).backward()
        optimiser.step()
    assert best is not None
    assert best_z is not None
    return {"response": torch.tensor(best, dtype=torch.float64), "latent": best_z[0], "params": z.detach()[0]}


class Waiter:
    def __init__(self) -> None:
        self.outcome: State | Exception | None = None

    def __call__(self, outcome: State | Exception) -> None:
        self.outcome = outcome

    @property
    def state(self) -> State:
        assert isinstance(self.outcome, dict), self.outcome
        return self.outcome


def ask(engine: Engine, lr: float, weight: float, to: int, examples: range = range(5)) -> Waiter:
    waiter = Waiter()
    engine.advance(f"{lr}/{weight}/{examples}", {"lr": lr, "prior_weight": weight}, 7, examples, to, waiter)
    return waiter


@pytest.mark.parametrize(("direction", "sign"), [("maximise", 1.0), ("minimise", -1.0)])
@pytest.mark.parametrize(("prior", "half"), [("log_density", 0.5), ("squared_norm", 1.0)])
def test_fused_rows_equal_the_slow_loop_in_float64(direction: str, sign: float, prior: str, half: float) -> None:
    engine = Engine([method(direction=direction, prior=prior)], slots=4)
    waiters = {(lr, w): ask(engine, lr, w, 60) for lr in (0.1, 0.01) for w in (0.1, 0.001)}
    engine.run()
    for (lr, weight), waiter in waiters.items():
        for example in range(5):
            expected = slow_am(example, lr, weight, 60, sign, half)
            torch.testing.assert_close(waiter.state["params"][example], expected["params"], rtol=0, atol=1e-10)
            for name in ("latent", "response"):
                found = kept(waiter.state)[name][example]
                torch.testing.assert_close(found, expected[name], rtol=0, atol=1e-10)


def test_the_last_response_is_that_of_the_last_latent_before_the_final_update() -> None:
    engine = Engine([method(record="last")], slots=4)
    waiter = ask(engine, 0.1, 0.1, 20)
    engine.run()
    before = ask(engine, 0.1, 0.1, 19)
    engine.run()
    torch.testing.assert_close(kept(waiter.state)["latent"], before.state["params"], rtol=0, atol=0)


def test_a_recorded_response_moves_only_by_the_minimum_improvement() -> None:
    engine = Engine([method(min_improvement=0.02)], slots=4)
    waiters = [ask(engine, 0.1, 0.001, to) for to in range(1, 60)]
    engine.run()
    responses = torch.stack([kept(w.state)["response"] for w in waiters])
    gains = (responses[1:] - responses[:-1]).flatten()
    moved = gains[gains != 0]
    assert len(moved) > 0
    assert float(moved.min()) >= 0.02


@settings(max_examples=25, deadline=None)
@given(
    requests=st.lists(
        st.tuples(st.sampled_from([0.1, 0.03]), st.sampled_from([0.1, 0.01]), st.integers(1, 12)),
        min_size=1,
        max_size=8,
    ),
    arrivals=st.lists(st.integers(0, 6), min_size=8, max_size=8),
    slots=st.sampled_from([1, 3, 8]),
)
def test_any_arrival_order_gives_the_same_trajectories(
    requests: list[tuple[float, float, int]], arrivals: list[int], slots: int
) -> None:
    engine = Engine([method()], slots=slots)
    waiters = []
    for request, pause in zip(requests, arrivals, strict=False):
        waiters.append(ask(engine, *request))
        for _ in range(pause):
            engine.step_lane(0)
    engine.run()
    for (lr, weight, to), waiter in zip(requests, waiters, strict=True):
        alone = Engine([method()], slots=5)
        reference = ask(alone, lr, weight, to)
        alone.run()
        for name, value in reference.state.items():
            torch.testing.assert_close(waiter.state[name], value, rtol=0, atol=1e-10)


def test_rows_of_a_lane_of_one_shape_are_bitwise_independent_of_their_company() -> None:
    crowded, alone = Engine([method(torch.float32)], slots=8), Engine([method(torch.float32)], slots=8)
    company = [ask(crowded, lr, 0.1, 40) for lr in (0.3, 0.2)]
    waiter = ask(crowded, 0.1, 0.01, 30)
    crowded.run()
    reference = ask(alone, 0.1, 0.01, 30)
    alone.run()
    assert all(isinstance(w.outcome, dict) for w in company)
    assert all(torch.equal(waiter.state[name], value) for name, value in reference.state.items())


def test_trials_that_differ_only_in_steps_cost_one_trajectory() -> None:
    engine = Engine([method()], slots=4)
    waiters = [ask(engine, 0.1, 0.1, to) for to in (10, 50, 100)]
    engine.run()
    assert all(isinstance(w.outcome, dict) for w in waiters)
    assert engine.counters.row_steps == 5 * 100


def test_a_shorter_configuration_that_arrives_late_starts_from_the_nearest_checkpoint() -> None:
    engine = Engine([method()], slots=4)
    first = [ask(engine, 0.1, 0.1, to) for to in (10, 40)]
    engine.run()
    late = ask(engine, 0.1, 0.1, 12)
    engine.run()
    assert all(isinstance(w.outcome, dict) for w in first)
    assert engine.counters.row_steps == 5 * (40 + 2)
    assert isinstance(late.outcome, dict)


def test_rows_of_another_seed_or_of_other_examples_are_other_rows_in_the_same_home_slots() -> None:
    together, values = Engine([method(torch.float32)], slots=8), {"lr": 0.1, "prior_weight": 0.1}
    asked = [(7, range(5)), (8, range(5)), (7, range(2, 9))]
    found, alone = [Waiter() for _ in asked], [Waiter() for _ in asked]
    for (seed, examples), waiter, lonely in zip(asked, found, alone, strict=True):
        together.advance("k", values, seed, examples, 30, waiter)
        engine = Engine([method(torch.float32)], slots=8)
        engine.advance("k", values, seed, examples, 30, lonely)
        engine.run()
    together.run()
    assert together.counters.row_steps == 30 * (5 + 5 + 7)
    for waiter, lonely in zip(found, alone, strict=True):
        assert all(torch.equal(value, lonely.state[name]) for name, value in waiter.state.items())
    assert torch.equal(found[0].state["params"][2:], found[2].state["params"][:3])


def test_a_lane_counts_for_whom_it_steps() -> None:
    engine, values = Engine([method()], slots=8), {"lr": 0.1, "prior_weight": 0.1}
    engine.advance("k", values, 7, range(3), 4, Waiter(), "one")
    engine.advance("b", values, 8, range(2), 5, Waiter(), "one")
    engine.advance("b", values, 8, range(2), 6, Waiter(), "two")
    engine.run()
    ((together, shared), (alone, rest)) = engine.take_occupancy()[0].items()
    assert (together, alone) == ({"one", "two"}, {"two"})
    assert (shared.steps, shared.row_steps, shared.by) == (5, 4 * 3 + 5 * 2, {"one": 4 * 3 + 5 * 2, "two": 5 * 2})
    assert (rest.steps, rest.row_steps, rest.by) == (1, 2, {"two": 2})
    assert engine.take_occupancy() == [{}]


def test_a_sweep_that_arrives_late_gets_slots_before_all_earlier_rows_had_theirs() -> None:
    engine, late = Engine([method()], slots=4), Waiter()
    values = {"lr": 0.1, "prior_weight": 0.1}
    early = [Waiter() for _ in range(10)]
    for index, waiter in enumerate(early):
        engine.advance(f"k{index}", values, 7, range(4), 3, waiter, "early")
    engine.step_lane(0)
    engine.advance("late", values, 7, range(4), 3, late, "late")
    for _ in range(2 + 3 + 3):  # until the slots are free, then half of them for each of two halves of its rows
        engine.step_lane(0)
    assert isinstance(late.outcome, dict)
    assert [waiter.outcome is None for waiter in early] == [False] * 2 + [True] * 8
    engine.run()
    assert all(isinstance(waiter.outcome, dict) for waiter in early)


def test_rows_of_a_cancelled_trial_leave_before_the_next_step() -> None:
    engine = Engine([method()], slots=8)
    waiter = Waiter()
    ticket = engine.advance("a", {"lr": 0.1, "prior_weight": 0.1}, 7, range(5), 1000, waiter)
    engine.step_lane(0)
    engine.cancel(ticket)
    assert not engine.step_lane(0)
    assert engine.counters.row_steps == 5
    assert waiter.outcome is None


def test_a_trial_that_turns_nan_fails_with_its_reason_and_the_others_finish() -> None:
    engine = Engine([method()], slots=8)
    bad, good = ask(engine, float("inf"), 0.1, 20), ask(engine, 0.1, 0.1, 20)
    engine.run()
    assert isinstance(bad.outcome, TrialFailed)
    assert "not finite at step 1" in str(bad.outcome)
    assert isinstance(good.outcome, dict)


class RaisesOn(ActivationMaximisation):
    """A method whose forward raises while a row with learning rate 0.3 is beyond its tenth step."""

    def loss(self, params: Tensor, rows: Any) -> Any:
        if bool(((rows["lr"] == 0.3) & (rows.step >= 10)).any()):
            raise RuntimeError("a kernel fell over")
        return super().loss(params, rows)


def test_only_the_trial_that_fails_alone_is_failed() -> None:
    generator, response = networks()
    engine = Engine([RaisesOn(generator, response, LATENT, dtype=torch.float64)], slots=8)
    early, good, bad = ask(engine, 0.3, 0.1, 5), ask(engine, 0.1, 0.1, 30), ask(engine, 0.3, 0.1, 30)
    engine.run()
    assert isinstance(early.outcome, dict)
    assert isinstance(good.outcome, dict)
    assert isinstance(bad.outcome, TrialFailed)
    assert "a kernel fell over" in str(bad.outcome)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(order=st.lists(st.integers(0, 2), min_size=40, max_size=40), cancelled=st.booleans())
def test_failing_trials_hold_up_no_lane_in_any_interleaving(order: list[int], cancelled: bool) -> None:
    generator, response = networks()
    methods = [RaisesOn(generator, response, LATENT, dtype=torch.float64) for _ in range(3)]
    engine = Engine(methods, slots=8)
    lrs = (0.1, 0.3, 0.05, 0.3, 0.2)
    waiters = [Waiter() for _ in lrs]
    tickets = [
        engine.advance(f"k{i}", {"lr": lr, "prior_weight": 0.1}, 7, range(3), 20, waiters[i])
        for i, lr in enumerate(lrs)
    ]
    for turn, lane in enumerate(order):
        engine.step_lane(lane)
        if cancelled and turn == 12:
            engine.cancel(tickets[0])
    steps = 0
    while sum(engine.step_lane(lane) for lane in range(3)):
        steps += 1
        assert steps < 500
    assert not any(engine.has_work(lane) for lane in range(3))
    for lr, waiter, first in zip(lrs, waiters, (True, False, False, False, False), strict=True):
        if not (cancelled and first):
            assert isinstance(waiter.outcome, TrialFailed if lr == 0.3 else dict)
