"""Engines stepped by the same threads give what each gives alone."""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor, nn

from raysweep.engine.engine import Engine
from raysweep.engine.turns import Turns
from raysweep.methods.am import ActivationMaximisation
from raysweep.methods.method import State

DEADLINE = 60  # a watchdog, not a measurement


def method(width: int, *last: nn.Module) -> ActivationMaximisation:
    torch.manual_seed(0)
    generator = nn.Sequential(nn.Linear(6, width), nn.Tanh(), nn.Linear(width, 10), nn.Sigmoid())
    return ActivationMaximisation(generator, nn.Sequential(nn.Linear(10, 1), nn.Flatten(0), *last), 6)


class Clock:
    """Time as a test wants it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


class Takes(nn.Module):
    """A layer that takes so many seconds of a clock, and does nothing."""

    def __init__(self, clock: Clock, seconds: float) -> None:
        super().__init__()
        self.clock, self.seconds = clock, seconds

    def forward(self, x: Tensor) -> Tensor:
        self.clock.seconds += self.seconds
        return x


class Waiter:
    def __init__(self) -> None:
        self.outcome: State | Exception | None = None
        self.arrived = threading.Event()

    def __call__(self, outcome: State | Exception) -> None:
        self.outcome = outcome
        self.arrived.set()

    @property
    def state(self) -> State:
        assert self.arrived.wait(DEADLINE)
        assert isinstance(self.outcome, dict), self.outcome
        return self.outcome


def ask(engine: Engine, lr: float, to: int = 50) -> Waiter:
    waiter = Waiter()
    engine.advance(str(lr), {"lr": lr, "prior_weight": 0.1}, 7, range(9), to, waiter)
    return waiter


@pytest.fixture
def turns() -> Iterator[Turns]:
    made = Turns()
    yield made
    made.close()


def test_engines_in_turn_on_two_lanes_give_what_one_lane_gives(turns: Turns) -> None:
    def engine(width: int, lanes: int) -> Engine:
        return Engine([method(width) for _ in range(lanes)], 4, changed=turns.changed)

    make: list[Callable[[int], Engine]] = [lambda lanes: engine(8, lanes), lambda lanes: engine(12, lanes)]
    shared, alone = [one(2) for one in make], [one(1) for one in make]
    for one in shared:
        turns.add(one)
    found = [[ask(one, lr) for lr in (0.1, 0.2, 0.3)] for one in shared]
    for one, waiters in zip(alone, found, strict=True):
        references = [ask(one, lr) for lr in (0.1, 0.2, 0.3)]
        one.run()
        for waiter, reference in zip(waiters, references, strict=True):
            assert all(torch.equal(waiter.state[name], value) for name, value in reference.state.items())
    assert sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("lane-")) == [
        "lane-0",
        "lane-1",
    ]


def test_an_engine_that_joins_late_gets_turns_beside_one_that_never_ends(turns: Turns) -> None:
    busy, late = (Engine([method(8)], 4, changed=turns.changed) for _ in range(2))
    turns.add(busy)
    ticket = busy.advance("endless", {"lr": 0.1, "prior_weight": 0.1}, 7, range(9), 10**9, Waiter())
    turns.add(late)
    assert ask(late, 0.1).state
    assert busy.store.held(ticket.trajectory.id, 10**9) is None


def test_a_sweep_of_long_steps_gets_no_more_time_than_each_of_two_that_share_short_ones() -> None:
    clock = Clock()
    turns = Turns(clock=clock)
    long, short = (Engine([method(8, Takes(clock, cost))], 4, changed=turns.changed) for cost in (1.0, 0.01))
    values = {"lr": 0.1, "prior_weight": 0.1}
    with turns.changed:  # all at once
        ended = Waiter()
        long.advance("long", values, 7, range(1), 6, ended, owner="long")
        for name in ("one", "other"):
            short.advance(name, values, 7, range(9), 10**9, Waiter(), owner=name)
        turns.add(long)
        turns.add(short)
    assert ended.state
    with turns.changed:
        made = sum(share.steps for share in short.take_occupancy()[0].values())
    turns.close()
    assert made == pytest.approx(2 * 5 * 1.0 / 0.01, rel=0.25)


def test_trials_asked_for_while_threads_step_get_what_they_get_alone(turns: Turns) -> None:
    shared, alone = Engine([method(8), method(8)], 8, changed=turns.changed), Engine([method(8)], 8)
    turns.add(shared)
    found = {to: ask(shared, 0.1, to) for to in (300, 200, 120, 60, 30, 20)}
    for to in sorted(found):
        reference = ask(alone, 0.1, to)
        alone.run()
        assert all(torch.equal(found[to].state[name], value) for name, value in reference.state.items())


def test_an_engine_that_leaves_is_stepped_no_more_and_frees_its_memory(turns: Turns) -> None:
    leaving, staying = (Engine([method(8)], 4, changed=turns.changed) for _ in range(2))
    turns.add(leaving)
    turns.add(staying)
    leaving.advance("endless", {"lr": 0.1, "prior_weight": 0.1}, 7, range(9), 10**9, Waiter())
    gone = weakref.ref(leaving)
    turns.remove(leaving)
    del leaving
    for lr in (0.1, 0.2):  # two rounds: the one that it left in is over
        assert ask(staying, lr).state
    gc.collect()
    assert gone() is None


def test_what_ends_a_lanes_thread_is_told() -> None:
    engine, told, ended = Engine([method(8)], 2), list[Exception](), threading.Event()

    def broken(error: Exception) -> None:
        told.append(error)
        ended.set()

    def no_answer(outcome: State | Exception) -> None:
        raise LookupError("nobody there")

    turns = Turns(broken=broken)
    turns.add(engine)
    engine.advance("a", {"lr": 0.1, "prior_weight": 0.0}, 0, range(2), 1, no_answer)
    assert ended.wait(DEADLINE)
    turns.close()
    assert [str(error) for error in told] == ["nobody there"]
