"""A sweep's numerics: the networks' precision and the rows of a lane.

Both change the last digits, so they are chosen once, by measuring on the kind of device that the sweep runs on, and
kept for as long as the sweep lives.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

import torch
from torch import Tensor

from raysweep.engine.engine import Engine
from raysweep.engine.workload import Workload
from raysweep.errors import RaysweepError
from raysweep.methods import Method, RowMethod, Rows
from raysweep.methods.pursuit import MatchingPursuit

MARGIN = 0.9
"""Another precision or size than the usual one must take less than this share of its time."""
PATIENCE = 20.0
"""Seconds after which no further candidate is tried."""
PASSES, LEAST_STEPS, LEAST_SECONDS = 2, 3, 0.15
"""Candidates are timed so often, in turn, for at least so many steps and so long; the faster time counts."""
CERTAIN = 1.0
"""Seconds that make a second pass unnecessary, and a second step."""
WARM_UP = 2
"""Steps before, not timed: the first ones choose kernels and fetch memory."""
FOREVER = 10**9
PROBES = 16
"""Rows on which two precisions are compared."""
LEAST_COSINE, MOST_ERROR = 0.95, 0.1
"""What bfloat16 must keep of float32 to be taken: the cosine of the gradients, and the losses' relative error."""


@dataclass(frozen=True)
class Agreement:
    """How far bfloat16 goes the way of float32.

    Args:
        cosine: between a row's gradients in the two precisions, mean over some rows; where a step compares candidates,
            between how much better or worse they are than the row's mean.
        error: root mean square difference of the rows' losses, over the losses' spread.
        of: what the cosine is between.
    """

    cosine: float
    error: float
    of: str = "gradients"

    @property
    def holds(self) -> bool:
        """Whether bfloat16 may stand for float32."""
        return self.cosine >= LEAST_COSINE and self.error <= MOST_ERROR

    def __str__(self) -> str:
        return f"{self.of} agree to a cosine of {self.cosine:.4f}, losses to {self.error:.1%} of their spread"


@dataclass(frozen=True)
class Choice:
    """What was chosen, and what was measured to choose it.

    Args:
        precision, slots: the choice.
        seconds: a row-step's wall time with every lane at work, by (precision, slots), of what could be timed.
        agreement: of bfloat16 with float32; None when the precision was given.
        untimed: why nothing could be timed; None where something was.
    """

    precision: str
    slots: int
    seconds: dict[tuple[str, int], float]
    agreement: Agreement | None
    untimed: str | None = None

    def __str__(self) -> str:
        chosen = f"{self.precision}, lanes of {self.slots} row{'s' * (self.slots != 1)}"
        each = f"not timed: {self.untimed}"
        if self.seconds:
            each = f"{in_words(self.seconds[self.precision, self.slots])} a row-step where lanes are full"
        if self.agreement is None:
            return f"numerics: {chosen} ({each})"
        if not self.agreement.holds:
            return f"numerics: {chosen} ({each}); not bfloat16: {self.agreement}"
        other = "float32" if self.precision == "bfloat16" else "bfloat16"
        found = [(seconds, slots) for (precision, slots), seconds in self.seconds.items() if precision == other]
        beside = f", {other} not timed" if self.seconds else ""
        if found:
            seconds, slots = min(found)
            beside = f", {other} {in_words(seconds)}{f' in lanes of {slots}' * (slots != self.slots)}"
        return f"numerics: {chosen} ({each}{beside}); {self.agreement}"

    def plain(self) -> dict[str, Any]:
        """For the journal."""
        return {
            "seconds_per_row_step": [[*pair, seconds] for pair, seconds in self.seconds.items()],
            "agreement": None if self.agreement is None else [self.agreement.cosine, self.agreement.error],
            "text": str(self),
        }


def in_words(seconds: float) -> str:
    """What a row-step takes."""
    return f"{seconds * 1e6:.0f} µs" if seconds < 1 else f"{seconds:.1f} s"


def choose(
    workload: Workload,
    device: torch.device,
    lanes: int,
    precision: str,
    sizes: Mapping[int, float],
    values: Mapping[str, float] | None = None,
) -> Choice:
    """The fastest numerics that give the same explanations; of what is given already, only the time is measured.

    Args:
        lanes: stepped at once, a thread each.
        precision: a precision, or "auto": bfloat16 where it agrees with float32 and is faster.
        sizes: rows of a lane to choose from, the usual number first, and the share of its slots that the sweep's rows
            would occupy (`lane_sizes`).
        values: what a sweep gives of a trial's hyper-parameters, to step with; the usual ones by default.
    """
    methods = cache(lambda one: workload.methods(lanes, device, one))
    if precision == "auto" and not isinstance(methods("float32")[0], (RowMethod, MatchingPursuit)):
        precision = "float32"  # a method of which nothing is known that could be compared
    agreement = agree(methods, workload.spec.seed, device) if precision == "auto" else None
    precisions = [precision] if agreement is None else ["float32", "bfloat16"] if agreement.holds else ["float32"]
    seconds: dict[tuple[str, int], float] = {}
    failures: list[RaysweepError] = []
    certain: set[tuple[str, int]] = set()
    began = time.perf_counter()

    def measure(candidates: list[tuple[str, int]]) -> None:
        for one, size in candidates * PASSES:
            started = time.perf_counter()
            if (one, size) in certain or (seconds and started - began > PATIENCE):
                continue
            try:
                found = seconds_per_row_step(methods(one), size, device, values)
                seconds[one, size] = min(found, seconds.get((one, size), math.inf))
            except RaysweepError as error:  # out of memory, or not a number: not a candidate
                failures.append(error)
            if time.perf_counter() - started > CERTAIN:
                certain.add((one, size))

    usual = next(iter(sizes))
    measure([(one, usual) for one in precisions])
    faster = _fastest(seconds, sizes)[0] if seconds else precisions[0]
    if len(sizes) > 1:
        measure([(faster, size) for size in sizes])
    if not seconds:
        return Choice(faster, usual, seconds, agreement, untimed=str(failures[0]))
    return Choice(*_fastest(seconds, sizes), seconds, agreement)


def agree(methods: Callable[[str], Sequence[Method]], seed: int, device: torch.device) -> Agreement:
    """Compare the two precisions where optimisation starts and after some steps of it.

    Networks that do not run in bfloat16 do not agree.

    Args:
        methods: the method in a precision, once or more.
    """
    full = methods("float32")[0]
    try:
        half = methods("bfloat16")[0]
    except Exception:  # a network that a method has tried when it was made
        return Agreement(-1.0, float("inf"))
    rows = Rows.of(seed, range(PROBES), full.usual_values)
    if isinstance(full, MatchingPursuit) and isinstance(half, MatchingPursuit):
        return _agree_on_candidates(full, half, rows.to(device))
    assert isinstance(full, RowMethod)
    assert isinstance(half, RowMethod)
    params = full.start(rows).to(device)
    rows = rows.to(device)
    cosines, errors, losses = [], [], []
    for steps in (0, 5):
        try:
            for _ in range(steps):
                params = params - 0.05 * _gradient(half, params, rows)[1].sign()
            loss, gradient = _gradient(full, params, rows)
            near, turned = _gradient(half, params, rows)
        except Exception:  # whatever a network raises that has a precision of its own, or too little memory
            return Agreement(-1.0, float("inf"))
        cosines.append(torch.cosine_similarity(gradient.flatten(1), turned.flatten(1), dim=1))
        errors.append(near - loss)
        losses.append(loss)
    error = torch.cat(errors).square().mean().sqrt() / torch.cat(losses).std()
    return Agreement(float(torch.cat(cosines).nan_to_num(-1.0).mean()), float(error.nan_to_num(torch.inf)))


def _agree_on_candidates(full: MatchingPursuit, half: MatchingPursuit, rows: Rows) -> Agreement:
    """Compare what rows' first step chooses by."""
    try:
        losses, near = full.candidates(rows), half.candidates(rows)
    except Exception:  # as in `agree`
        return Agreement(-1.0, float("inf"), "candidates")
    better, turned = ((one - one.mean(dim=1, keepdim=True)).flatten() for one in (losses, near))
    cosine = torch.cosine_similarity(better, turned, dim=0)
    error = (near - losses).square().mean().sqrt() / losses.std()
    return Agreement(float(cosine.nan_to_num(-1.0)), float(error.nan_to_num(torch.inf)), "candidates")


def seconds_per_row_step(
    methods: Sequence[Method], slots: int, device: torch.device, values: Mapping[str, float] | None = None
) -> float:
    """Wall time over the row-steps made in it, with every lane full and at work in a thread of its own, as on a host.

    Args:
        values: what a sweep gives: the rest is as in a trial of it, and usual only where it has no default. Without
            them everything is usual.

    Raises:
        OutOfMemory, TrialFailed: the rows cannot be stepped.
    """
    engine = Engine(methods, slots, device)
    failures: list[Any] = []
    usual = methods[0].usual_values
    config = usual if values is None else usual | methods[0].complete(values)
    engine.advance("timing", config, 0, range(slots * len(methods)), FOREVER, failures.append)
    with ThreadPoolExecutor(len(methods)) as pool:
        rates = list(pool.map(partial(_step, engine, WARM_UP, 0.0), range(len(methods))))
        if min(rates) > 1 / CERTAIN:  # else what is only done once is lost in the rest
            rates = list(pool.map(partial(_step, engine, LEAST_STEPS, LEAST_SECONDS), range(len(methods))))
    for failure in failures:
        raise failure
    return 1 / (sum(rates) * slots)


def _step(engine: Engine, steps: int, seconds: float, lane: int) -> float:
    """Step a lane at least so often and so long, but no more once a step is known to be slow; its steps a second."""
    began, made = time.perf_counter(), 0
    while engine.step_lane(lane):
        made, taken = made + 1, time.perf_counter() - began
        if taken > CERTAIN or (made >= steps and taken >= seconds):
            break
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return made / (time.perf_counter() - began)


def _fastest(seconds: Mapping[tuple[str, int], float], occupied: Mapping[int, float]) -> tuple[str, int]:
    """The pair that was measured first, unless a later one takes clearly less for the rows there are; and so on."""
    needed = {(precision, slots): each / occupied[slots] for (precision, slots), each in seconds.items()}
    chosen = next(iter(needed))
    for pair in needed:
        if needed[pair] < MARGIN * needed[chosen]:
            chosen = pair
    return chosen


def _gradient(method: RowMethod, params: Tensor, rows: Rows) -> tuple[Tensor, Tensor]:
    """Every row's loss [B] and gradient, in float32."""
    params = params.detach().requires_grad_()
    total = method.loss(params, rows).total
    return total.detach().float(), torch.autograd.grad(total.sum(), params)[0].float()
