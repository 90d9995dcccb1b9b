"""At which step counts, or with how many examples, trials report, so that a policy can compare them."""

from __future__ import annotations

import itertools
import math

from raysweep.errors import InputError
from raysweep.search.domains import Choice, Domain, Interval

MOST_REPORTS = 10_000
FEWEST_EXAMPLES = 5
MORE_EXAMPLES, LEAST_GAIN = 2, 1.5
"""How many times the examples of one look the next one has, and what N must at least be of the last one's."""


def rungs(steps: Domain, min_steps: int | None, eta: int, key: str = "stop") -> tuple[int, ...]:
    """From min_steps on, each eta times the one before, but moved up to the next choice of `steps` if one is less than
    eta away; all below the most steps.

    So the choices 100, 500, 1000 with eta 3 give 100 and 500: rungs are milestones that the sweep has anyway.

    Args:
        steps: the domain of the parameter `steps`.
        min_steps: lowest rung; by default the fewest steps that a trial can have, or, if all have the same number,
            that divided by eta^3.

    Raises:
        InputError: when `min_steps` leaves no rung, or `eta` is below 2.
    """
    if eta < 2:
        raise InputError("must be 2 or more", key=f"{key}.eta", value=eta)
    bottom, top, choices = _span(steps)
    lowest = min_steps if min_steps is not None else max(1, top // eta**3 if bottom == top else bottom)
    if lowest < 1 or (min_steps is not None and lowest >= top):
        raise InputError(f"must be 1 or more and below {top}, the most steps", key=f"{key}.min_steps", value=lowest)
    ladder, ideal = [], lowest
    while ideal < top:
        rung = next((choice for choice in choices if ideal <= choice < ideal * eta), ideal)
        ladder.append(rung)
        ideal = rung * eta
    return tuple(rung for rung in ladder if rung < top)


def reports(steps: Domain, every: int | None, key: str = "stop") -> tuple[int, ...]:
    """The choices of `steps` and the multiples of `every` up to the most steps.

    Args:
        every: by default none when `steps` is a choice between some, else a tenth of the most steps.

    Raises:
        InputError: when `every` is below 1, or so low that the reports alone would fill the time and the memory.
    """
    if every is not None and every < 1:
        raise InputError("must be 1 or more", key=f"{key}.every", value=every)
    _, top, choices = _span(steps)
    if every is None and not choices:
        every = max(1, top // 10)
    if every is not None and top // every > MOST_REPORTS:
        rule = f"must make at most {MOST_REPORTS} reports of {top} steps"
        raise InputError(rule, key=f"{key}.every", value=every)
    multiples = range(every, top + 1, every) if every is not None else ()
    return tuple(sorted({*choices, *multiples}))


def counts(examples: int, min_examples: int | None, key: str = "stop") -> tuple[int, ...]:
    """With how many of N examples trials report before they do with all: `min_examples`, then twice as many each.

    So 50 examples give 7, 14 and 28.

    Args:
        examples: N.
        min_examples: lowest count; by default an eighth of N, at least 5. With N = 5 or fewer there is then none.

    Raises:
        InputError: when `min_examples` is below 2, of which no interval can be made, or not below N.
    """
    if min_examples is not None and not 2 <= min_examples < examples:
        rule = f"must be 2 or more and below {examples}, the examples"
        raise InputError(rule, key=f"{key}.min_examples", value=min_examples)
    lowest = min_examples if min_examples is not None else max(FEWEST_EXAMPLES, math.ceil(examples / 8))
    if lowest >= examples:
        return ()
    later = (lowest * MORE_EXAMPLES**look for look in itertools.count(1))
    return (lowest, *itertools.takewhile(lambda count: count * LEAST_GAIN <= examples, later))


def _span(steps: Domain) -> tuple[int, int, list[int]]:
    """Fewest steps, most steps, and the choices when there are some to choose between."""
    if isinstance(steps, Interval):
        raise InputError("must be whole numbers: a choice or an int range", key="space.steps", value=steps.low)
    ends = [_count(value) for value in (steps.values if isinstance(steps, Choice) else (steps.low, steps.high))]
    return min(ends), max(ends), sorted(ends) if isinstance(steps, Choice) and len(ends) > 1 else []


def _count(value: object) -> int:
    if isinstance(value, bool) or not isinstance(value, (int, float)) or value != int(value) or value < 0:
        raise InputError("must be whole numbers from 0", key="space.steps", value=value)
    return int(value)
