"""Blocks of examples together are bitwise the whole trajectory, and no row-step is made twice."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from raysweep.engine.blocks import Blocks
from raysweep.engine.engine import Engine
from raysweep.errors import TrialFailed
from raysweep.methods.method import State
from tests.engine.small_am import Waiter, method

N = 11


def whole(lr: float, to: int, slots: int) -> State:
    engine, waiter = Engine([method(torch.float32)], slots=slots), Waiter()
    engine.advance(f"{lr}", {"lr": lr, "prior_weight": 0.1}, 7, range(N), to, waiter)
    engine.run()
    return waiter.state


def ask(engine: Engine, lr: float, to: int, *ends: int) -> Waiter:
    waiter = Waiter()
    Blocks(engine, f"{lr}", {"lr": lr, "prior_weight": 0.1}, 7, ends, to, waiter)
    return waiter


@settings(max_examples=30)
@given(
    ends=st.sets(st.integers(1, N - 1), max_size=4),
    order=st.permutations([(0.1, 9), (0.1, 20), (0.3, 9), (0.3, 14)]),
    pauses=st.lists(st.integers(0, 8), min_size=4, max_size=4),
    slots=st.sampled_from([3, 8]),
)
def test_any_blocks_in_any_company_give_bitwise_what_the_whole_gives(
    ends: set[int], order: list[tuple[float, int]], pauses: list[int], slots: int
) -> None:
    engine = Engine([method(torch.float32)], slots=slots)
    waiters = {}
    for (lr, to), pause in zip(order, pauses, strict=True):
        waiters[lr, to] = ask(engine, lr, to, *sorted(ends), N)
        for _ in range(pause):
            engine.step_lane(0)
    engine.run()
    for (lr, to), waiter in waiters.items():
        assert all(torch.equal(waiter.state[name], value) for name, value in whole(lr, to, slots).items())


def test_more_examples_cost_only_the_new_ones() -> None:
    engine = Engine([method()], slots=4)
    for ends in ((3,), (3, 6), (3, 6, N)):
        waiter = ask(engine, 0.1, 20, *ends)
        engine.run()
        assert len(waiter.state["params"]) == ends[-1]
        assert engine.row_steps == 20 * ends[-1]
    ask(engine, 0.1, 8, 3, 6, N)
    engine.run()
    assert engine.row_steps == (20 + 8) * N


def test_the_first_error_is_told_once_and_cancelling_frees_the_lane() -> None:
    engine, told = Engine([method()], slots=4), []
    values = {"lr": float("inf"), "prior_weight": 0.1}
    blocks = Blocks(engine, "broken", values, 7, (2, N), 20, told.append)
    engine.run()
    blocks.cancel()
    assert [type(outcome) for outcome in told] == [TrialFailed]


@pytest.mark.parametrize("slots", [2, 8])
def test_cancelled_blocks_leave_before_the_next_step(slots: int) -> None:
    engine, waiter = Engine([method()], slots=slots), Waiter()
    blocks = Blocks(engine, "a", {"lr": 0.1, "prior_weight": 0.1}, 7, (3, N), 1000, waiter)
    engine.step_lane(0)
    blocks.cancel()
    assert not engine.step_lane(0)
    assert waiter.outcome is None
