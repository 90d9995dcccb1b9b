"""Whether networks in bfloat16 find what they find in float32: distances of every configuration of a sweep file.

    python benchmarks/precision.py [jobs/quickstart.yaml] [--json out.json]

Runs of `raysweep run` with `--set precision=…`: the rank correlation of their distances, and whether the best
configuration in bfloat16 is the best in float32 too, or has, in float32, a distance inside the best one's interval.

Long optimisation enlarges any rounding, so a third run tells how much of a difference is bfloat16's: float32 again, in
lanes of another size, which changes the last digits only.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from common import JOBS, Scores, agreement, parser_of, say, sweep, table, write_json

from raysweep.outcome import SweepResult

Trials = list[dict[str, Any]]


def found_in(name: str, job: Path, storage: Path, overrides: list[str]) -> tuple[Trials, dict[str, Any]]:
    """The trials of a sweep, best first, as `raysweep trials --json` prints them, and its numerics."""
    seconds = sweep(job, storage, [f"name={name}", *overrides])
    result = SweepResult.load(name, storage)
    trials = [trial.to_json() for trial in result.finished]
    say(f"{name}: {seconds:.0f} s, {len(trials)} trials, {result.ledger.numerics}")
    return trials, result.ledger.numerics


def measure(job: Path, overrides: list[str]) -> dict[str, Trials]:
    """The trials of all three sweeps."""
    with tempfile.TemporaryDirectory() as folder:
        storage = Path(folder)
        half, _ = found_in("bfloat16", job, storage, ["precision=bfloat16", *overrides])
        full, numerics = found_in("float32", job, storage, ["precision=float32", *overrides])
        other = [f"slots={max(1, numerics['slots'] * 2 // 3)}", *overrides]
        again, _ = found_in("float32-again", job, storage, ["precision=float32", *other])
    return {"bfloat16": half, "float32": full, "float32 again": again}


def distances(trials: Trials) -> Scores:
    """Distances by configuration."""
    return {tuple(trial["config"].items()): trial["objective"] for trial in trials}


def verdict(full: Trials, other: Trials) -> dict[str, Any]:
    """How well another sweep agrees with the one in float32."""
    known, found = distances(full), distances(other)
    best, chosen = min(known, key=known.__getitem__), min(found, key=found.__getitem__)
    low, high = full[0]["interval"]
    return {
        **agreement(known, found),
        "best": dict(best),
        "chosen": dict(chosen),
        "same_best": best == chosen,
        "inside_interval": low <= known[chosen] <= high,
    }


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("job", type=Path, nargs="?", default=JOBS / "quickstart.yaml")
    arguments = parser.parse_args()
    trials = measure(arguments.job, arguments.set)
    others = ("bfloat16", "float32 again")
    verdicts = {name: verdict(trials["float32"], trials[name]) for name in others}
    write_json(arguments.json, {"job": arguments.job.name, **verdicts, "trials": trials})
    scores = [distances(trials[name]) for name in others]
    lines = []
    for trial in trials["float32"]:
        config, (low, high) = trial["config"], trial["interval"]
        beside = [score.get(tuple(config.items()), float("nan")) for score in scores]
        lines.append([json.dumps(config), trial["objective"], f"{low:.3g} … {high:.3g}", *beside])
    print(table(["configuration", "float32", "95 % interval", *others], lines), end="\n\n")
    for name, one in verdicts.items():
        inside = "inside" if one["inside_interval"] else "outside"
        same = "the same best" if one["same_best"] else f"another best, {inside} the interval: {one['chosen']}"
        print(
            f"{name} against float32: rank correlation {one['ranks']:.4f} of {one['configurations']}, "
            f"largest difference {one['largest_difference']:.1%}, {same}"
        )


if __name__ == "__main__":
    main()
