"""Steps that trials share are made once, whoever comes first, late or after a restart, and change no digit."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from raysweep.engine.engine import Engine
from raysweep.engine.row_store import OVERHEAD, RowStore
from tests.engine.small_am import Waiter, ask, method


def test_trials_that_differ_only_in_steps_cost_one_trajectory() -> None:
    engine = Engine([method()], slots=4)
    waiters = [ask(engine, 0.1, 0.1, to) for to in (10, 50, 100)]
    engine.run()
    assert all(isinstance(w.outcome, dict) for w in waiters)
    assert engine.row_steps == 5 * 100


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


@settings(max_examples=40)
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
