"""Trials that leave an engine before their time, failed or cancelled: alone, at once, and without a trace."""

from __future__ import annotations

import gc
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from raysweep.engine.engine import Engine
from raysweep.engine.lane import Occupant
from raysweep.engine.row_store import OVERHEAD, RowStore
from raysweep.engine.trajectory import Segment, Trajectory
from raysweep.errors import OutOfMemory, TrialFailed
from raysweep.methods import Rows
from raysweep.methods.am import ActivationMaximisation
from raysweep.methods.method import State
from tests.engine.small_am import LATENT, Waiter, ask, method, networks


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


class TooLargeToBegin(ActivationMaximisation):
    """Of one configuration, as networks may be whose width is a hyper-parameter."""

    def start(self, rows: Rows) -> Tensor:
        return torch.empty(2**60) if rows["lr"][0] == 0.5 else super().start(rows)


@pytest.mark.parametrize("slots", [1, 8])
def test_a_trial_whose_first_state_does_not_fit_in_memory_fails_alone(slots: int) -> None:
    generator, response = networks()
    engine = Engine([TooLargeToBegin(generator, response, LATENT, dtype=torch.float64)], slots)
    small, large, again = (ask(engine, lr, 0.1, 3) for lr in (0.1, 0.5, 0.5))
    engine.run()
    assert isinstance(small.outcome, dict)
    for waiter in (large, again):
        assert isinstance(waiter.outcome, TrialFailed if slots == 1 else OutOfMemory)
    assert slots > 1 or "out of memory" in str(large.outcome)


@pytest.mark.parametrize("slots", [1, 8])
def test_rows_for_which_a_lane_has_no_room_are_told_so(slots: int, monkeypatch: pytest.MonkeyPatch) -> None:
    engine = Engine([method()], slots)
    admit = engine.lanes[0].admit

    def full(slot: int, occupant: Occupant) -> None:
        if occupant.segment.trajectory.values["lr"] == 0.5:
            raise torch.OutOfMemoryError("CUDA out of memory")
        admit(slot, occupant)

    monkeypatch.setattr(engine.lanes[0], "admit", full)
    large, small = (ask(engine, lr, 0.1, 3, range(1)) for lr in (0.5, 0.1))
    engine.run()
    assert isinstance(large.outcome, TrialFailed if slots == 1 else OutOfMemory)
    assert isinstance(small.outcome, dict if slots == 1 else OutOfMemory)  # else lanes get another shape
    later = ask(engine, 0.2, 0.1, 3)
    engine.run()
    assert isinstance(later.outcome, dict)


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


@settings(max_examples=60)
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
