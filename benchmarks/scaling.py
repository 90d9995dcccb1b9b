"""How a sweep's time grows with trials and with examples, and what raysweep adds to Ray Tune for each trial.

    python benchmarks/scaling.py [--trials 27 270 1000] [--examples 10 50 250] [--rounds 1] [--json out.json]

The networks are fashion's, the steps 1, 2 and 3, so stepping is next to nothing. Over trials each sweep has 2 examples;
over examples each has 27 trials. In turn with each number of trials Tune runs as many that do nothing (`noop.py`), with
reused actors, as many at a time and the same settings; it records nothing, so that scoring, journal and MLflow count as
overhead. `overhead per trial` is the difference of the two divided by the trials, `each further trial` the
same of what a larger sweep takes longer than the smallest, which leaves out what is loaded once.
"""

from __future__ import annotations

from typing import Any

from common import JOBS, median, parser_of, say, script, sets, table, write_json

JOB = JOBS / "quickstart.yaml"
RATES, STEPS, CONCURRENCY = [0.1, 0.01, 0.001], [1, 2, 3], 8


def grid(trials: int) -> list[str]:
    """A grid of at least `trials` configurations, cut there."""
    weights = [round(1.0 / (1 + index), 6) for index in range(-(-trials // (len(RATES) * len(STEPS))))]
    space = {"lr": RATES, "prior_weight": weights, "steps": STEPS}
    choices = [f"space.{name}.choice={values}" for name, values in space.items()]
    return [*choices, f"budget.trials={trials}", f"concurrency={CONCURRENCY}"]


def sweep_of(trials: int, examples: int, overrides: list[str]) -> dict[str, Any]:
    """raysweep's figures."""
    found = script("ours.py", str(JOB), *sets([*grid(trials), f"examples={examples}", *overrides]))
    if len(found["trials"]) != trials:
        raise SystemExit(f"{len(found['trials'])} of {trials} trials gave a result")
    kept = ("seconds", "stepping", "row_steps", "occupancy")
    say(f"raysweep, {trials} trials of {examples} examples: {found['seconds']:.1f} s")
    return {"trials": trials, "examples": examples, **{name: found[name] for name in kept}}


def tune_of(trials: int) -> float:
    """Tune's own seconds."""
    found = script("noop.py", str(trials), "--concurrency", str(CONCURRENCY))
    say(f"Tune alone, {trials} trials: {found['seconds']:.1f} s")
    return float(found["seconds"])


def beyond_tune(trials: int, examples: int, rounds: int, overrides: list[str]) -> dict[str, Any]:
    """A sweep and Tune's own trials, alternating, in turn first; medians."""
    sweeps, alone = [], []
    for turn in range(rounds):
        if turn % 2:
            alone.append(tune_of(trials))
        sweeps.append(sweep_of(trials, examples, overrides))
        if not turn % 2:
            alone.append(tune_of(trials))
    medians = {name: median(one[name] for one in sweeps) for name in sweeps[0]}
    return {**medians, "tune_seconds": median(alone), "all": [*zip(sweeps, alone, strict=True)]}


def overheads(rows: list[dict[str, Any]]) -> None:
    """Fill in what raysweep adds to Tune, in ms a trial."""
    for row in rows:
        row["overhead_ms"] = 1000 * (row["seconds"] - row["tune_seconds"]) / row["trials"]
        more = row["trials"] - rows[0]["trials"]
        beyond = row["seconds"] - rows[0]["seconds"] - row["tune_seconds"] + rows[0]["tune_seconds"]
        row["each_further_ms"] = 1000 * beyond / more if more else None


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--trials", type=int, nargs="*", default=[27, 270, 1000])
    parser.add_argument("--examples", type=int, nargs="*", default=[10, 50, 250])
    parser.add_argument("--rounds", type=int, default=1, help="how often each number of trials is run, for medians")
    arguments = parser.parse_args()
    by_trials: list[dict[str, Any]] = []
    by_examples: list[dict[str, Any]] = []
    found = {"over_trials": by_trials, "over_examples": by_examples}
    for trials in sorted(arguments.trials):
        by_trials.append(beyond_tune(trials, 2, arguments.rounds, arguments.set))
        overheads(by_trials)
        write_json(arguments.json, found)
    for examples in arguments.examples:
        by_examples.append(sweep_of(27, examples, arguments.set))
        write_json(arguments.json, found)
    figures = ["trials", "examples", "seconds", "stepping", "row_steps", "occupancy"]
    overhead = ["tune_seconds", "overhead_ms", "each_further_ms"]
    header = ["trials", "examples", "seconds", "stepping s", "row-steps", "occupancy"]
    lines = [[row[name] for name in (*figures, *overhead)] for row in by_trials]
    print(table([*header, "Tune alone s", "overhead per trial ms", "each further trial ms"], lines), end="\n\n")
    print(table(header, [[row[name] for name in figures] for row in by_examples]))


if __name__ == "__main__":
    main()
