"""The engine: many callers wait for many trajectories; a few lanes step whatever rows there are.

Callers `advance` a trajectory to a step count and are called back there. Lanes pull rows in the order in which
their segments began, so a lane stays full while there is work (continuous batching).
"""

from __future__ import annotations

import itertools
import math
import threading
import time
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence

import torch

from raysweep.engine.device import out_of_memory
from raysweep.engine.lane import Lane, NonFinite, Occupant
from raysweep.engine.occupancy import Share
from raysweep.engine.row_store import RowStore
from raysweep.engine.trajectory import Checkpoint, Segment, Ticket, Trajectory, TrajectoryId
from raysweep.errors import OutOfMemory, TrialFailed
from raysweep.methods import Method
from raysweep.methods.method import State

Answers = list[tuple[Ticket, State | Exception]]
"""Who is to be called back, and with what."""
PASSING = 60.0
"""Seconds after which a training on its way is kept, so that no more than that of it is made again."""
FAILURES = 1000
"""Trajectories whose failure is remembered, so that a trial which shares one fails without being stepped again."""


class Engine:
    """Trajectories of one method, stepped by lanes of `slots` rows each.

    Args:
        methods: the same method once per lane (lanes in threads must not share modules that are hooked).
        slots: rows of a lane.
        device: of the lanes.
        store: keeps what trajectories reached; by default in memory only.
        changed: the lock, and the sign that there is work; shared by engines whose lanes the same threads step.
        passing: seconds between states of a training that are kept on the way to its next milestone.

    Where a step runs out of memory, all who wait get `OutOfMemory`: the shape of a lane is part of the numerics, so it
    is for others to change. Only of a lane with one slot that is a trial's failure.

    `step_lane` is what a worker thread calls in a loop (`turns`); `run` does it inline until nothing is left to do.
    """

    def __init__(
        self,
        methods: Sequence[Method],
        slots: int,
        device: torch.device | None = None,
        store: RowStore | None = None,
        changed: threading.Condition | None = None,
        passing: float = PASSING,
    ) -> None:
        self.method, self.slots = methods[0], slots
        self.store, self.passing = store or RowStore(), passing
        self.row_steps = 0
        """Made so far; `take_occupancy` says for whom, and in what time."""
        self.lanes = [Lane(method, slots, device) for method in methods]
        self._trajectories: dict[TrajectoryId, Trajectory] = {}
        """Those that somebody waits for."""
        self._failures: OrderedDict[TrajectoryId, tuple[int, TrialFailed]] = OrderedDict()
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
        store: RowStore | None = None,
        via: Sequence[int] = (),
    ) -> Ticket:
        """Bring trajectory `key` to step `to`; `done` is called with its state there, or with the error.

        `key` stands for `values`: whoever passes the same key, seed and examples shares the same rows. A row's slot
        follows from `key` and its example, so the rows of two ranges of examples are those of one long range.
        `owner` is the sweep that the rows are counted for; `store` is where it keeps what they reach, at `to` and at
        the steps `via` which they pass.
        """
        store, values = store or self.store, self.method.complete(values)
        failed = Answers()
        of = TrajectoryId(key, seed, examples)
        found = store.nearest(of, to)  # it may read a file, so not under the lock
        with self._changed:
            latest = store.held(of, to)  # what arrived meanwhile
            origin = max((one for one in (found, latest) if one), key=lambda one: one.step, default=None)
            ticket = Ticket(self._trajectories.get(of) or Trajectory(of, values), to, done, origin, owner, store, via)
            answer = self._known(ticket)
            if answer is None:
                self._trajectories[of] = ticket.trajectory
                ticket.trajectory.tickets.append(ticket)
                self._shorten(ticket.trajectory.segment, to)
                failed = self._begin(ticket.trajectory)
        if answer is not None:
            done(answer)
        _deliver(failed)
        return ticket

    def cancel(self, ticket: Ticket) -> None:
        """Nobody waits for `ticket` any more; rows that only it wanted leave before the next step."""
        trajectory = ticket.trajectory
        failed = Answers()
        with self._changed:
            if ticket not in trajectory.tickets:
                return
            trajectory.tickets.remove(ticket)
            segment = trajectory.segment
            if segment is not None and not any(other.step >= segment.end for other in trajectory.tickets):
                self._drop(segment)
                failed = self._begin(trajectory)
        _deliver(failed)

    def take_occupancy(self) -> list[dict[frozenset[str], Share]]:
        """Whom each lane worked for since this was last asked."""
        with self._changed:
            return [lane.occupancy.take() for lane in self.lanes]

    def run(self) -> None:
        """Step every lane in this thread until nobody waits."""
        while sum(self.step_lane(index) for index in range(len(self.lanes))):
            pass

    def step_lane(self, index: int) -> int:
        """Admit waiting rows to a lane and step it once; for how many sweeps, 0 when it had nothing to step."""
        lane, began = self.lanes[index], time.perf_counter()
        try:
            with self._changed:
                self._evict_dropped(lane)
                failed = self._admit(lane)
                rows = _owned(lane)
        except Exception as error:
            if not out_of_memory(error):
                raise
            self._overflow()
            return 1
        _deliver(failed)
        sweeps = len(frozenset().union(*rows))
        if not rows:
            return len(failed)
        try:
            arrived, broken = lane.advance()
        except Exception as error:
            if out_of_memory(error) and self.slots > 1:
                self._overflow()
            else:
                self._suspect(lane, error)
            return sweeps
        finished = Answers()
        with self._changed:
            self.row_steps += sum(rows.values())
            for failure in broken:
                finished += self._fail(failure.occupant.segment, failure.step, _non_finite(failure))
            for slot in arrived:
                finished += self._arrive(lane.release(slot))
            if lane.alone is not None:
                self._acquit(lane)
            if self.method.trains:
                self._keep(lane)
            lane.occupancy.count(rows, time.perf_counter() - began)
        _deliver(finished)
        return sweeps

    def _known(self, ticket: Ticket) -> State | Exception | None:
        failed = self._failures.get(ticket.trajectory.id)
        if failed is not None and ticket.step > failed[0]:
            return failed[1]
        return ticket.origin.state if ticket.origin is not None and ticket.origin.step == ticket.step else None

    def _shorten(self, segment: Segment | None, to: int) -> None:
        """Let a segment on its way beyond `to` end there first, unless one of its rows may have passed it already."""
        if segment is None or not segment.begin < to < segment.end:
            return
        seats = [
            (lane, slot)
            for lane in self.lanes
            for slot, occupant in enumerate(lane.occupants)
            if occupant is not None and occupant.segment is segment
        ]
        steps = [int(lane.step[slot]) for lane, slot in seats]
        steps += [int(segment.row_step[index]) for rows in segment.waiting.values() for index in rows]
        if len(steps) < len(segment.row_step) or max(steps) + 1 >= to:  # a lane may be in the middle of a step
            return
        segment.end = to
        for lane, slot in seats:
            lane.end[slot] = to

    def _begin(self, trajectory: Trajectory) -> Answers:
        """Queue the trajectory's next segment, or let go of one that nobody waits for.

        Returns:
            Who waits for one that cannot begin.
        """
        segment, failed = None, Answers()
        try:
            segment = trajectory.next_segment(self.method, self.slots)
        except Exception as raised:  # as networks do for which there is no memory
            lacking = out_of_memory(raised) and self.slots > 1
            error = OutOfMemory(self.slots) if lacking else TrialFailed(_reason(raised))
            failed = [(ticket, error) for ticket in trajectory.tickets]
            trajectory.tickets = []
        if segment is not None:
            self._queue.append(segment)
            self._changed.notify_all()
        if not trajectory.tickets:
            del self._trajectories[trajectory.id]
        return failed

    def has_work(self, index: int) -> bool:
        """Whether a step of lane `index` would do something; for who holds the lock."""
        return bool(self._suspects or self.lanes[index].occupied) or any(one.admissible for one in self._queue)

    def _admit(self, lane: Lane) -> Answers:
        """Seat waiting rows in their home slots: of one suspect alone, as long as there are any, else of everybody.

        Of sweeps that wait for the same slot the one with the fewest rows in the lane goes first, else the one that has
        waited longest, so that one that arrives late need not wait until all others' rows had their turn.

        Returns:
            Who waits for rows of a training for which there is no room.
        """
        while self._suspects and not self._suspects[0].alive:
            self._suspects.popleft()
        if self._suspects and lane.alone is None and not lane.occupied:
            lane.alone = self._suspects.popleft()
        while self._queue and not (self._queue[0].alive and self._queue[0].waiting):
            self._queue.popleft()
        seated, failed = _owned(lane), Answers()
        for slot in lane.free:
            candidates = [lane.alone] if lane.alone else [one for one in self._queue if one.admissible]
            fitting = [(one, one.trajectory.owners) for one in candidates if slot in one.waiting]
            if fitting:
                segment, owners = min(fitting, key=lambda one: (seated[one[1]], self._seated_last.get(one[1], 0)))
                seated[owners] += 1
                self._seated_last[owners] = next(self._seatings)
                occupant = Occupant(segment, segment.take(slot))
                try:
                    lane.admit(slot, occupant)
                except Exception as error:
                    if not out_of_memory(error) or self.slots > 1:
                        raise
                    failed += self._fail(segment, int(segment.row_step[occupant.index]), TrialFailed(_reason(error)))
        return failed

    def _evict_dropped(self, lane: Lane) -> None:
        for slot in lane.occupied:
            occupant = lane.occupants[slot]
            if occupant is not None and not occupant.segment.alive:
                lane.vacate(slot)
        if lane.alone is not None and not lane.alone.alive:
            lane.alone = None

    def _arrive(self, occupant: Occupant) -> Answers:
        segment = occupant.segment
        segment.unfinished -= 1
        if segment.unfinished or not segment.alive:
            return []
        segment.alive = False
        trajectory = segment.trajectory
        for store in {ticket.store for ticket in trajectory.tickets}:
            store.put(trajectory.id, segment.end, segment.state)
        ready = trajectory.arrive(Checkpoint(segment.end, segment.state))
        return [(ticket, segment.state) for ticket in ready] + self._begin(trajectory)

    def _keep(self, lane: Lane) -> None:
        """Keep the trainings of a lane that were not for a while; each is all of its trajectory."""
        for slot in lane.occupied:
            occupant, now = lane.occupants[slot], time.monotonic()
            if occupant is not None and now - occupant.segment.kept >= self.passing:
                segment = occupant.segment
                segment.kept, state = now, lane.copy(slot)
                for store in {ticket.store for ticket in segment.trajectory.tickets}:
                    store.put(segment.trajectory.id, int(lane.step[slot]), state, passing=True)

    def _fail(self, segment: Segment, step: int, error: TrialFailed) -> Answers:
        if not segment.alive:
            return []
        trajectory = segment.trajectory
        self._failures[trajectory.id] = (step, error)
        if len(self._failures) > FAILURES:
            self._failures.popitem(last=False)
        self._drop(segment)
        doomed = [ticket for ticket in trajectory.tickets if ticket.step > step]
        trajectory.tickets = [ticket for ticket in trajectory.tickets if ticket.step <= step]
        return [(ticket, error) for ticket in doomed] + self._begin(trajectory)

    def _drop(self, segment: Segment) -> None:
        segment.alive = False
        segment.trajectory.segment = None

    def _overflow(self) -> None:
        """Lanes of this shape do not fit, whoever sits in them: all who wait are told, and nothing is left to do."""
        with self._changed:
            finished = Answers()
            for trajectory in self._trajectories.values():
                finished += [(ticket, OutOfMemory(self.slots)) for ticket in trajectory.tickets]
                trajectory.tickets = []
                if trajectory.segment is not None:
                    self._drop(trajectory.segment)
            self._trajectories.clear()
            self._queue.clear()
            self._suspects.clear()
        _deliver(finished)

    def _suspect(self, lane: Lane, error: Exception) -> None:
        """A step raised: every segment in the lane is run again alone; one that raises alone has failed."""
        with self._changed:
            segments = list(dict.fromkeys(_segments(lane)))
            step = min(int(lane.step[slot]) for slot in lane.occupied)
            self._unseat(lane)
            lane.alone = None
            finished = Answers()
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


def _deliver(finished: Answers) -> None:
    for ticket, outcome in finished:
        ticket.done(outcome)


def _reason(error: Exception) -> str:
    text = str(error).strip().splitlines()
    reason = f"{type(error).__name__}: {text[0] if text else ''}".rstrip(": ")
    return f"out of memory even with one row in a lane ({reason})" if out_of_memory(error) else reason


def _non_finite(failure: NonFinite) -> TrialFailed:
    example = failure.occupant.segment.trajectory.examples[failure.occupant.index]
    seen = ", ".join(f"{name} {value:g}" for name, value in failure.seen.items())
    what = "the update" if all(map(math.isfinite, failure.seen.values())) else "the loss"
    return TrialFailed(f"{what} is not finite at step {failure.step}, example {example} ({seen})")
