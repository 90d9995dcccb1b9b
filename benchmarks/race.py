"""What racing costs and risks: row-steps it makes, and how often it drops the configuration that is best.

    python benchmarks/race.py [--seeds 100] [--json out.json]                      on configurations made up for it
    python benchmarks/race.py SWEEP_FOLDER [--seeds 10] [--json out.json]          on the rows of a finished sweep

The made-up sweeps have 27 configurations (3 × 3 × steps 100, 500, 1000) whose responses are drawn from distributions of
known response_fd, so the best one is known. Of a finished sweep without early stopping the stored responses race again,
each time with the examples in another order. Nothing is stepped: the policy is the sweep's own, in simulated time.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from raysweep.objectives.bootstrap import resamples
from raysweep.objectives.frechet import Reference
from raysweep.objectives.response import score_response
from raysweep.outcome import SweepResult
from raysweep.record.trial import Measured, Stage
from raysweep.search.budget import Covered
from raysweep.search.conductor import trajectory_key
from raysweep.search.domains import Fixed
from raysweep.search.policies import TrialView, make_policy

REAL_MEAN, REAL_SD = 30.0, 4.0
SHARED = 0.5
"""Correlation between the responses of two configurations to one latent: all start from the same ones."""
BEST = 10.0
"""The true distance of the best configuration."""
GRID = [{"lr": lr, "prior_weight": w, "steps": s} for lr in range(3) for w in range(3) for s in (100, 500, 1000)]


@dataclass(frozen=True)
class Outcome:
    """One race.

    Args:
        dropped: the configuration that is best, by its true distance or by the whole sweep's, was stopped.
        same: the race's winner is the one that the whole sweep finds.
        inside: it is, or its distance lies within that one's interval.
        excess: true distance of the race's winner over the best one's; of a real sweep, the measured ones.
        share: row-steps made, of those that the whole sweep makes when trials share what they can.
    """

    dropped: bool
    same: bool
    inside: bool
    excess: float
    share: float


def race(
    configs: Sequence[dict[str, Any]],
    responses: np.ndarray,
    reference: Reference,
    concurrency: int,
    min_examples: int | None,
    seed: int,
    truth: Sequence[float] | None = None,
) -> Outcome:
    """Race configurations over the responses [K, N] that they would have given."""
    examples = responses.shape[1]
    draws = {m: resamples(seed, m) for m in range(2, examples + 1)}

    @cache
    def measure(number: int, stage: Stage) -> Measured:
        rows = responses[number, : stage.examples]
        found = score_response(rows, reference, draws[len(rows)])
        return Measured(found.value, found.low, found.high, tuple(found.replicates))

    targets = [int(config["steps"]) for config in configs]
    reached = run(targets, examples, concurrency, min_examples, measure)
    whole = [measure(number, Stage(target)) for number, target in enumerate(targets)]
    finished = [number for number, stage in reached.items() if stage.examples is None]
    winner, full = (min(those, key=lambda n: (whole[n].value, n)) for those in (finished, range(len(whole))))
    values = truth or [one.value for one in whole]
    best = int(np.argmin(values))
    everything = {number: Stage(target) for number, target in enumerate(targets)}
    return Outcome(
        dropped=best not in finished,
        same=winner == full,
        inside=whole[winner].value <= whole[full].high,
        excess=values[winner] / values[best] - 1,
        share=row_steps(configs, reached, examples) / row_steps(configs, everything, examples),
    )


def run(
    targets: Sequence[int],
    examples: int,
    concurrency: int,
    min_examples: int | None,
    measure: Callable[[int, Stage], Measured],
) -> dict[int, Stage]:
    """Where each trial ends. Decisions do not depend on who comes first: here one cohort ends, then the next begins."""
    policy = make_policy("race", Fixed((max(targets),)), concurrency, examples, min_examples=min_examples)
    table: dict[int, TrialView] = {}
    last: dict[int, Stage] = {}
    for first in range(0, len(targets), concurrency):
        racing = list(range(len(targets)))[first : first + concurrency]
        table |= {number: TrialView(number, targets[number]) for number in racing}
        for place in range(len(policy.milestones(1))):
            for number in racing:
                last[number] = policy.milestones(targets[number])[place]
                milestones = {**table[number].milestones, last[number]: measure(number, last[number])}
                table[number] = TrialView(number, targets[number], milestones)
            decisions = {number: policy.decide(number, last[number], table, True) for number in racing}
            assert "wait" not in decisions.values()
            racing = [number for number, decision in decisions.items() if decision == "continue"]
            stopped = (n for n, decision in decisions.items() if decision == "stop" or last[n] == Stage(targets[n]))
            table |= {number: replace(table[number], ended=True) for number in stopped}
    return last


def row_steps(configs: Sequence[dict[str, Any]], reached: dict[int, Stage], examples: int) -> int:
    """What is stepped when trials that differ only in `steps` share their rows."""
    covered: dict[str, Covered] = {}
    for number, stage in reached.items():
        trajectory = covered.setdefault(trajectory_key(configs[number]), Covered())
        trajectory.add(stage.step, stage.examples or examples)
    return sum(one.row_steps for one in covered.values())


def made_up(case: str, skewed: bool, examples: int, seed: int) -> tuple[np.ndarray, list[float]]:
    """Responses [27, N] and the true distances of the configurations they are drawn from.

    Cases: "spread", 1.1 to 2 million times the best distance, as the grid of a real detector; "crowded", the same but
    for nine within a factor of 2; "ties", all within a factor of 2.
    """
    random = np.random.default_rng([seed, examples])
    near = {"spread": 0, "crowded": 9, "ties": 26}[case]
    factors = np.concatenate([[1.0], random.uniform(1.02, 2.0, near), np.exp(random.uniform(0.1, 14.5, 26 - near))])
    truth = BEST * random.permutation(factors)
    angle = random.uniform(np.radians(5), np.radians(35), len(truth))  # how much of a distance is one of spread
    mean, sd = REAL_MEAN + np.sqrt(truth) * np.cos(angle), REAL_SD + np.sqrt(truth) * np.sin(angle)
    common, own = random.standard_normal(examples), random.standard_normal((len(truth), examples))
    noise = np.sqrt(SHARED) * common + np.sqrt(1 - SHARED) * own
    if skewed:  # of mean 0 and variance 1, skewness 1.75
        width = 0.5
        noise = (np.exp(width * noise) - np.exp(width**2 / 2)) / np.sqrt((np.exp(width**2) - 1) * np.exp(width**2))
    return mean[:, None] + sd[:, None] * noise, truth.tolist()


def synthetic(seeds: int, examples: int, concurrency: int, min_examples: int | None) -> dict[str, list[Outcome]]:
    """Races by case."""
    n, d = examples, REAL_SD
    reference = Reference(n, np.array([REAL_MEAN]), np.array([[d]]))
    found = {}
    for case in ("spread", "crowded", "ties"):
        for skewed in (False, True):
            outcomes = []
            for seed in range(seeds):
                responses, truth = made_up(case, skewed, examples, seed)
                outcomes.append(race(GRID, responses, reference, concurrency, min_examples, seed, truth))
            found[f"{case}, {'skewed' if skewed else 'normal'}"] = outcomes
    return found


def stored(folder: Path, seeds: int, concurrency: int | None, min_examples: int | None) -> dict[str, list[Outcome]]:
    """Races over the rows of a finished sweep, its examples in another order for each seed."""
    result = SweepResult.load(folder.name, folder.parent)
    trials = [trial for trial in result.ledger.trials.values() if trial.state == "done" and result.tensors(trial)]
    if len(trials) < 2:
        raise SystemExit(f"{folder}: fewer than two trials have run to their end")
    responses = np.stack([result.tensors(trial)["response"] for trial in trials])
    with np.load(next(folder.glob("reference-*.npz")), allow_pickle=False) as kept:
        part = {name.removeprefix("response_fd/"): kept[name] for name in kept if name.startswith("response_fd/")}
    reference = Reference.from_arrays(part)
    configs = [trial.config for trial in trials]
    size = concurrency or int((result.ledger.sweep or {})["concurrency"])
    outcomes = []
    for seed in range(seeds):
        order = np.random.default_rng(seed).permutation(responses.shape[1])
        outcomes.append(race(configs, responses[:, order], reference, size, min_examples, seed))
    return {folder.name: outcomes}


def summary(outcomes: Sequence[Outcome]) -> dict[str, float]:
    """Counts and shares of some races."""
    shares = [one.share for one in outcomes]
    return {
        "races": len(outcomes),
        "best dropped": sum(one.dropped for one in outcomes),
        "same winner": sum(one.same for one in outcomes),
        "same or inside": sum(one.inside for one in outcomes),
        "excess, mean": float(np.mean([one.excess for one in outcomes])),
        "row-steps, median": float(np.median(shares)),
        "row-steps, most": max(shares),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("sweep", type=Path, nargs="?", help="folder of a finished sweep")
    parser.add_argument("--seeds", type=int, help="races of each kind (100; of a finished sweep 10)")
    parser.add_argument("--examples", type=int, default=50, help="N of the made-up sweeps")
    parser.add_argument("--concurrency", type=int, help="cohort (8; of a finished sweep its own)")
    parser.add_argument("--min-examples", type=int)
    parser.add_argument("--json", type=Path, help="write every race here")
    given = parser.parse_args()
    if given.sweep:
        found = stored(given.sweep, given.seeds or 10, given.concurrency, given.min_examples)
    else:
        found = synthetic(given.seeds or 100, given.examples, given.concurrency or 8, given.min_examples)
    rows = {case: summary(outcomes) for case, outcomes in found.items()}
    names = list(next(iter(rows.values())))
    print(f"{'':18}" + "".join(f"{name:>19}" for name in names))
    for case, row in rows.items():
        print(f"{case:18}" + "".join(f"{row[name]:19.4g}" for name in names))
    if given.json:
        races = {case: [asdict(one) for one in outcomes] for case, outcomes in found.items()}
        given.json.write_text(json.dumps({"summary": rows, "races": races}, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
