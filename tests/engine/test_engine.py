"""The engine against a slow, obvious loop, and against itself in every arrangement of rows."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from raysweep.engine.engine import Engine
from raysweep.engine.row_store import RowStore
from raysweep.engine.trajectory import Ticket, Trajectory, TrajectoryId, kept
from raysweep.methods import Rows
from raysweep.methods.am import ActivationMaximisation
from raysweep.methods.method import State
from raysweep.methods.noise import normal
from tests.engine.small_am import LATENT, Waiter, ask, method, networks


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


@settings(max_examples=25)
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


def test_blocks_of_examples_are_the_rows_of_one_trajectory() -> None:
    engine = Engine([method(torch.float32)], slots=8)
    whole, blocks = Waiter(), [Waiter(), Waiter()]
    for examples, waiter in ((range(13), whole), (range(7), blocks[0]), (range(7, 13), blocks[1])):
        engine.advance("k", {"lr": 0.1, "prior_weight": 0.1}, 7, examples, 20, waiter)
    engine.run()
    for name, value in whole.state.items():
        assert torch.equal(torch.cat([block.state[name] for block in blocks]), value)
    assert engine.row_steps == 2 * 13 * 20


class StartsOnItsDevice(ActivationMaximisation):
    """As a method that trains makes its networks' first weights."""

    def begin(self, rows: Rows) -> State:
        return {"params": torch.zeros(len(rows), LATENT, device="cuda")}


def test_a_start_that_was_made_on_the_device_is_held_on_the_cpu_where_it_can_be_written() -> None:
    generator, response = networks()
    method = StartsOnItsDevice(generator, response, LATENT)
    trajectory = Trajectory(TrajectoryId("a", 7, range(3)), {})
    trajectory.tickets.append(Ticket(trajectory, 1, Waiter(), None, "", RowStore()))
    with FakeTensorMode():  # torch's own, of devices that are not there
        segment = trajectory.next_segment(method, 1)
    assert segment is not None
    assert segment.state["params"].device == torch.device("cpu")
