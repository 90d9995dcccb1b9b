"""The engine against a slow, obvious loop, and against itself in every arrangement of rows."""

from __future__ import annotations

import gc
import itertools
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from raysweep.engine.engine import Engine
from raysweep.engine.row_store import OVERHEAD, RowStore
from raysweep.engine.trajectory import Segment, State, Trajectory, kept
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


def ask(
    engine: Engine, lr: float, weight: float, to: int, examples: range = range(5), via: tuple[int, ...] = ()
) -> Waiter:
    waiter = Waiter()
    values = {"lr": lr, "prior_weight": weight}
    engine.advance(f"{lr}/{weight}/{examples}", values, 7, examples, to, waiter, via=via)
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
    assert engine.row_steps == 5 * 100


def test_seconds_count_steps_and_neither_waiting_nor_what_callers_do_with_a_state(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [0.0]

    def loss(*arguments: Any) -> Any:
        now[0] += 1.0
        return original(*arguments)

    def score(outcome: State | Exception) -> None:
        now[0] += 100.0

    one = method()
    original = one.loss
    monkeypatch.setattr(one, "loss", loss)
    monkeypatch.setattr("raysweep.engine.engine.time.perf_counter", lambda: now[0])
    engine = Engine([one], 8)
    engine.advance("a", {"lr": 0.1, "prior_weight": 0.1}, 7, range(5), 6, score)
    engine.run()
    engine.run()
    assert [share.seconds for lane in engine.take_occupancy() for share in lane.values()] == [6.0]


def test_a_shorter_configuration_that_arrives_late_starts_from_the_nearest_checkpoint() -> None:
    engine = Engine([method()], slots=4)
    first = [ask(engine, 0.1, 0.1, to) for to in (10, 40)]
    engine.run()
    late = ask(engine, 0.1, 0.1, 12)
    engine.run()
    assert all(isinstance(w.outcome, dict) for w in first)
    assert engine.row_steps == 5 * (40 + 2)
    assert isinstance(late.outcome, dict)


@pytest.mark.parametrize("via", [(), (10, 50, 100)])
@pytest.mark.parametrize("order", list(itertools.permutations((10, 50, 100))))
def test_three_step_counts_are_one_trajectory_also_over_restarts(
    tmp_path: Path, order: tuple[int, ...], via: tuple[int, ...]
) -> None:
    """Once a trial keeps what others may ask for, no order of arrival costs a step more than the longest."""
    steps = 0
    for to in order:  # each in a process of its own
        engine = Engine([method(torch.float32)], slots=8, store=RowStore(tmp_path))
        waiter = ask(engine, 0.1, 0.01, to, via=via)
        engine.run()
        engine.store.settled().result()
        steps += engine.row_steps
        undisturbed = Engine([method(torch.float32)], slots=8)
        reference = ask(undisturbed, 0.1, 0.01, to)
        undisturbed.run()
        assert waiter.state.keys() == reference.state.keys()
        assert all(torch.equal(waiter.state[name], value) for name, value in reference.state.items())
    largest_below = [max((one for one in order[:i] if one < to), default=0) for i, to in enumerate(order)]
    without = 5 * sum(to - begin for to, begin in zip(order, largest_below, strict=True))
    assert steps == (5 * 100 if via else without)


def test_a_known_milestone_is_answered_without_a_step(tmp_path: Path) -> None:
    for expected in (5 * 20, 0):
        engine = Engine([method()], slots=8, store=RowStore(tmp_path, memory=0))
        for _ in range(2):
            waiter = ask(engine, 0.1, 0.01, 20)
            engine.run()
            engine.store.settled().result()
            assert isinstance(waiter.outcome, dict)
        assert engine.row_steps == expected


def test_nothing_is_stepped_twice_for_those_who_wait_even_when_nothing_is_kept() -> None:
    engine = Engine([method()], slots=8, store=RowStore(memory=0))
    waiters = [ask(engine, 0.1, 0.01, 40)]
    engine.step_lane(0)
    waiters += [ask(engine, 0.1, 0.01, to) for to in (12, 14, 100)]
    engine.run()
    assert all(isinstance(waiter.outcome, dict) for waiter in waiters)
    assert engine.row_steps == 5 * 100


@pytest.mark.parametrize(("passed", "extra"), [(0, 0), (8, 0), (9, 10), (10, 10), (30, 10)])
def test_a_shorter_configuration_that_is_asked_for_on_the_way_is_met_there(passed: int, extra: int) -> None:
    engine = Engine([method(torch.float32)], slots=8)
    longer = ask(engine, 0.1, 0.01, 40)
    for _ in range(passed):
        engine.step_lane(0)
    shorter = ask(engine, 0.1, 0.01, 10)
    engine.run()
    assert engine.row_steps == 5 * (40 + extra)
    for waiter, to in ((longer, 40), (shorter, 10)):
        alone = Engine([method(torch.float32)], slots=8)
        reference = ask(alone, 0.1, 0.01, to)
        alone.run()
        assert all(torch.equal(waiter.state[name], value) for name, value in reference.state.items())


def test_blocks_of_examples_are_the_rows_of_one_trajectory() -> None:
    engine = Engine([method(torch.float32)], slots=8)
    whole, blocks = Waiter(), [Waiter(), Waiter()]
    for examples, waiter in ((range(13), whole), (range(7), blocks[0]), (range(7, 13), blocks[1])):
        engine.advance("k", {"lr": 0.1, "prior_weight": 0.1}, 7, examples, 20, waiter)
    engine.run()
    for name, value in whole.state.items():
        assert torch.equal(torch.cat([block.state[name] for block in blocks]), value)
    assert engine.row_steps == 2 * 13 * 20


@settings(max_examples=40, deadline=None)
@given(
    requests=st.lists(
        st.tuples(st.sampled_from([0.1, 0.03]), st.sampled_from([range(3), range(3, 8)]), st.integers(1, 12)),
        min_size=1,
        max_size=8,
    ),
    pauses=st.lists(st.lists(st.integers(0, 2), max_size=8), min_size=8, max_size=8),
    restarts=st.sets(st.integers(0, 7), max_size=3),
    slots=st.sampled_from([1, 3, 8]),
    memory=st.sampled_from([0, 5 * OVERHEAD, 2**20]),
    dtype=st.sampled_from([torch.float32, torch.float64]),
)
def test_what_is_kept_changes_no_trajectory(
    tmp_path_factory: pytest.TempPathFactory,
    requests: list[tuple[float, range, int]],
    pauses: list[list[int]],
    restarts: set[int],
    slots: int,
    memory: int,
    dtype: torch.dtype,
) -> None:
    """Any arrivals, lanes, milestones, memory bound and restarts, after which whoever still waits asks again."""
    folder = tmp_path_factory.mktemp("rows")

    def start() -> Engine:
        return Engine([method(dtype) for _ in range(3)], slots, store=RowStore(folder, memory=memory))

    engine = start()
    waiters: list[Waiter] = []
    for index, ((lr, examples, to), lanes) in enumerate(zip(requests, pauses, strict=False)):
        waiters.append(ask(engine, lr, 0.01, to, examples))
        for lane in lanes:
            engine.step_lane(lane)
        if index in restarts:
            engine.store.settled().result()
            engine = start()
            for place, (waiter, (lr, examples, to)) in enumerate(zip(waiters, requests, strict=False)):
                if waiter.outcome is None:
                    waiters[place] = ask(engine, lr, 0.01, to, examples)
    engine.run()
    engine.store.settled().result()
    assert engine.store.bytes <= memory
    for (lr, examples, to), waiter in zip(requests, waiters, strict=True):
        for shape, tolerance in ((slots, 0.0), *([(5, 1e-10)] if dtype == torch.float64 else [])):
            alone = Engine([method(dtype)], slots=shape)
            reference = ask(alone, lr, 0.01, to, examples)
            alone.run()
            for name, value in reference.state.items():
                torch.testing.assert_close(waiter.state[name], value, rtol=0, atol=tolerance)


def test_an_engine_keeps_no_trial_that_nobody_waits_for() -> None:
    engine = Engine([method()], slots=8, store=RowStore(memory=70 * OVERHEAD))

    def alive() -> int:
        gc.collect()
        return sum(type(one) in (Trajectory, Segment) for one in gc.get_objects())

    before = alive()
    for number in range(300):
        waiter = ask(engine, 1e-3 * (number + 1), 0.01, 2)
        ticket = engine.advance(f"left {number}", {"lr": 0.1, "prior_weight": 0.1}, 7, range(3), 9, Waiter())
        engine.step_lane(0)
        engine.cancel(ticket)
        engine.run()
        assert isinstance(waiter.outcome, dict)
    for number in range(3):
        assert isinstance(fails(engine, number), TrialFailed)
    assert 60 * OVERHEAD < engine.store.bytes <= 70 * OVERHEAD
    del ticket
    assert alive() == before


def fails(engine: Engine, number: int) -> State | Exception | None:
    waiter = ask(engine, float("inf"), 0.1 + number, 20)
    engine.run()
    return waiter.outcome


def test_a_trial_that_shares_a_failed_trajectory_fails_without_a_step() -> None:
    engine = Engine([method()], slots=8)
    assert isinstance(fails(engine, 0), TrialFailed)
    before = engine.row_steps
    assert isinstance(fails(engine, 0), TrialFailed)
    assert engine.row_steps == before
    early = ask(engine, float("inf"), 0.1, 1)
    engine.run()
    assert isinstance(early.outcome, dict)


def test_rows_of_a_cancelled_trial_leave_before_the_next_step() -> None:
    engine = Engine([method()], slots=8)
    waiter = Waiter()
    ticket = engine.advance("a", {"lr": 0.1, "prior_weight": 0.1}, 7, range(5), 1000, waiter)
    engine.step_lane(0)
    engine.cancel(ticket)
    assert not engine.step_lane(0)
    assert engine.row_steps == 5
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
