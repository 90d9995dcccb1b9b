"""The engine: many callers wait for many trajectories; a few lanes step whatever rows there are.

Callers `advance` a trajectory to a step count and are called back there. Lanes pull rows in the order in which
their segments began, so a lane stays full while there is work (continuous batching).
"""

from __future__ import annotations

import itertools
import threading
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch

from raysweep.engine.lane import Lane, NonFinite, Occupant
from raysweep.engine.occupancy import Share
from raysweep.engine.trajectory import Segment, State, Ticket, Trajectory
from raysweep.errors import TrialFailed
from raysweep.methods import RowMethod


@dataclass
class Counters:
    """What the engine has done so far."""

    row_steps: int = 0
    slot_steps: int = 0

    @property
    def occupancy(self) -> float:
        """Share of slots that held a row, over all steps."""
        return self.row_steps / self.slot_steps if self.slot_steps else 0.0


class Engine:
    """Trajectories of one method, stepped by lanes of `slots` rows each.

    Args:
        methods: the same method once per lane (lanes in threads must not share modules that are hooked).
        slots: rows of a lane.
        device: of the lanes.
        changed: the lock, and the sign that there is work; shared by engines whose lanes the same threads step.

    `step_lane` is what a worker thread calls in a loop (`turns`); `run` does it inline until nothing is left to do.
    """

    def __init__(
        self,
        methods: Sequence[RowMethod],
        slots: int,
        device: torch.device | None = None,
        changed: threading.Condition | None = None,
    ) -> None:
        self.method, self.slots = methods[0], slots
        self.counters = Counters()
        self.lanes = [Lane(method, slots, device) for method in methods]
        self._trajectories: dict[tuple[str, int, range], Trajectory] = {}
        self._queue: deque[Segment] = deque()
        self._suspects: deque[Segment] = deque()
        self._seatings = itertools.count(1)
        self._seated_last: dict[frozenset[str], int] = {}
        """The latest of all seatings that was for these sweeps."""
        self._changed = changed or threading.Condition()

    def advance(
        self,
        key: str,
        values: dict[str, float],
        seed: int,
        examples: range,
        to: int,
        done: Callable[[State | Exception], None],
        owner: str = "",
    ) -> Ticket:
        """Bring trajectory `key` to step `to`; `done` is called with its state there, or with the error.

        `key` stands for the values: whoever passes the same key, seed and examples shares the same rows. `owner` is the
        sweep that the rows are counted for.
        """
        with self._changed:
            trajectory = self._trajectories.setdefault((key, seed, examples), Trajectory(key, seed, examples, values))
            ticket = Ticket(trajectory, to, done, owner)
            answer = self._known(trajectory, to)
            if answer is None:
                trajectory.tickets.append(ticket)
                self._begin(trajectory)
        if answer is not None:
            done(answer)
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Nobody waits for `ticket` any more; rows that only it wanted leave before the next step."""
        trajectory = ticket.trajectory
        with self._changed:
            if ticket not in trajectory.tickets:
                return
            trajectory.tickets.remove(ticket)
            segment = trajectory.segment
            if segment is not None and not any(other.step >= segment.end for other in trajectory.tickets):
                self._drop(segment)
                self._begin(trajectory)

    def forget(self, key: str, seed: int, examples: range) -> None:
        """Free the kept state of a trajectory that nobody waits for."""
        with self._changed:
            trajectory = self._trajectories.get((key, seed, examples))
            if trajectory is not None and not trajectory.tickets:
                del self._trajectories[key, seed, examples]

    def take_occupancy(self) -> list[dict[frozenset[str], Share]]:
        """Whom each lane worked for since this was last asked."""
        with self._changed:
            return [lane.occupancy.take() for lane in self.lanes]

    def run(self) -> None:
        """Step every lane in this thread until nobody waits."""
        while sum(self.step_lane(index) for index in range(len(self.lanes))):
            pass

    def step_lane(self, index: int) -> bool:
        """Admit waiting rows to a lane and step it once; False when it had nothing to step."""
        lane = self.lanes[index]
        with self._changed:
            self._evict_dropped(lane)
            self._admit(lane)
            rows = _owned(lane)
        if not rows:
            return False
        try:
            arrived, broken = lane.advance()
        except Exception as error:
            self._suspect(lane, error)
            return True
        finished: list[tuple[Ticket, State | Exception]] = []
        with self._changed:
            self.counters.row_steps += sum(rows.values())
            self.counters.slot_steps += lane.slots
            lane.occupancy.count(rows)
            for failure in broken:
                finished += self._fail(failure.occupant.segment, failure.step, _non_finite(failure))
            for slot in arrived:
                finished += self._arrive(lane.release(slot))
            if lane.alone is not None:
                self._acquit(lane)
        _deliver(finished)
        return True

    def _known(self, trajectory: Trajectory, to: int) -> State | Exception | None:
        if trajectory.failed is not None and to > trajectory.failed[0]:
            return trajectory.failed[1]
        return trajectory.checkpoints.get(to)

    def _begin(self, trajectory: Trajectory) -> None:
        segment = trajectory.next_segment(self.method, self.slots)
        if segment is not None:
            self._queue.append(segment)
            self._changed.notify_all()

    def has_work(self, index: int) -> bool:
        """Whether a step of lane `index` would do something; for who holds the lock."""
        return bool(self._suspects or self.lanes[index].occupied) or any(one.admissible for one in self._queue)

    def _admit(self, lane: Lane) -> None:
        """Seat waiting rows in their home slots: of one suspect alone, as long as there are any, else of everybody.

        Of sweeps that wait for the same slot the one with the fewest rows in the lane goes first, else the one that has
        waited longest, so that one that arrives late need not wait until all others' rows had their turn.
        """
        while self._suspects and not self._suspects[0].alive:
            self._suspects.popleft()
        if self._suspects and lane.alone is None and not lane.occupied:
            lane.alone = self._suspects.popleft()
        while self._queue and not (self._queue[0].alive and self._queue[0].waiting):
            self._queue.popleft()
        seated = _owned(lane)
        for slot in lane.free:
            candidates = [lane.alone] if lane.alone else [one for one in self._queue if one.admissible]
            fitting = [(one, one.trajectory.owners) for one in candidates if slot in one.waiting]
            if fitting:
                segment, owners = min(fitting, key=lambda one: (seated[one[1]], self._seated_last.get(one[1], 0)))
                seated[owners] += 1
                self._seated_last[owners] = next(self._seatings)
                lane.admit(slot, Occupant(segment, segment.take(slot)))

    def _evict_dropped(self, lane: Lane) -> None:
        for slot in lane.occupied:
            occupant = lane.occupants[slot]
            if occupant is not None and not occupant.segment.alive:
                lane.vacate(slot)
        if lane.alone is not None and not lane.alone.alive:
            lane.alone = None

    def _arrive(self, occupant: Occupant) -> list[tuple[Ticket, State | Exception]]:
        segment = occupant.segment
        segment.unfinished -= 1
        if segment.unfinished or not segment.alive:
            return []
        trajectory = segment.trajectory
        trajectory.checkpoints[segment.end] = segment.state
        trajectory.segment = None
        ready = [ticket for ticket in trajectory.tickets if ticket.step == segment.end]
        trajectory.tickets = [ticket for ticket in trajectory.tickets if ticket.step != segment.end]
        self._begin(trajectory)
        return [(ticket, segment.state) for ticket in ready]

    def _fail(self, segment: Segment, step: int, error: TrialFailed) -> list[tuple[Ticket, State | Exception]]:
        if not segment.alive:
            return []
        trajectory = segment.trajectory
        trajectory.failed = (step, error)
        self._drop(segment)
        doomed = [ticket for ticket in trajectory.tickets if ticket.step > step]
        trajectory.tickets = [ticket for ticket in trajectory.tickets if ticket.step <= step]
        self._begin(trajectory)
        return [(ticket, error) for ticket in doomed]

    def _drop(self, segment: Segment) -> None:
        segment.alive = False
        segment.trajectory.segment = None

    def _suspect(self, lane: Lane, error: Exception) -> None:
        """A step raised: every segment in the lane is run again alone; one that raises alone has failed."""
        with self._changed:
            segments = list(dict.fromkeys(_segments(lane)))
            step = min(int(lane.step[slot]) for slot in lane.occupied)
            self._unseat(lane)
            lane.alone = None
            finished: list[tuple[Ticket, State | Exception]] = []
            if len(segments) == 1:
                finished = self._fail(segments[0], step, TrialFailed(_reason(error)))
            else:
                for segment in segments:
                    segment.suspect = True
                self._suspects.extend(segments)
        _deliver(finished)

    def _acquit(self, lane: Lane) -> None:
        """The lane's suspect made a step alone: it joins the others, after the other suspects had their turn."""
        segment, lane.alone = lane.alone, None
        assert segment is not None
        segment.suspect = False
        if self._suspects:
            self._unseat(lane)
        if segment.alive and segment not in self._queue:
            self._queue.appendleft(segment)
        self._changed.notify_all()

    def _unseat(self, lane: Lane) -> None:
        """Send a lane's rows back to where they waited, each first in its line."""
        for slot in lane.occupied:
            occupant = lane.release(slot)
            occupant.segment.waiting.setdefault(slot, []).insert(0, occupant.index)


def _segments(lane: Lane) -> Iterable[Segment]:
    return (occupant.segment for occupant in lane.occupants if occupant is not None)


def _owned(lane: Lane) -> Counter[frozenset[str]]:
    """The number of a lane's rows by the sweeps that wait for them."""
    rows: Counter[frozenset[str]] = Counter()
    for segment, count in Counter(_segments(lane)).items():
        rows[segment.trajectory.owners] += count
    return rows


def _deliver(finished: list[tuple[Ticket, State | Exception]]) -> None:
    for ticket, outcome in finished:
        ticket.done(outcome)


def _reason(error: Exception) -> str:
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0] if text else ''}".rstrip(": ")


def _non_finite(failure: NonFinite) -> TrialFailed:
    example = failure.occupant.segment.trajectory.examples[failure.occupant.index]
    seen = ", ".join(f"{name} {value:g}" for name, value in failure.seen.items())
    return TrialFailed(f"the loss is not finite at step {failure.step}, example {example} ({seen})")
