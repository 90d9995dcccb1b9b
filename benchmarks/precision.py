"""Whether networks in bfloat16 find what they find in float32: distances of every configuration of a sweep file.

    python benchmarks/precision.py [jobs/quickstart.yaml] [--json out.json]

Two runs of `raysweep run` with `--set precision=…`: the rank correlation of their distances, and whether the best
configuration in bfloat16 is the best in float32 too, or has, in float32, a distance inside the best one's interval.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from common import JOBS, Scores, agreement, parser_of, say, sweep, table, write_json

from raysweep.outcome import SweepResult

PRECISIONS = ("float32", "bfloat16")


def measure(job: Path, overrides: list[str]) -> dict[str, list[dict[str, Any]]]:
    """The trials of both sweeps, best first, as `raysweep trials --json` prints them."""
    found = {}
    with tempfile.TemporaryDirectory() as storage:
        for precision in PRECISIONS:
            seconds = sweep(job, Path(storage), [f"name={precision}", f"precision={precision}", *overrides])
            result = SweepResult.load(precision, Path(storage))
            found[precision] = [trial.to_json() for trial in result.finished]
            say(f"{precision}: {seconds:.0f} s, {len(found[precision])} trials")
    return found


def distances(trials: list[dict[str, Any]]) -> Scores:
    """Distances by configuration."""
    return {tuple(trial["config"].items()): trial["objective"] for trial in trials}


def verdict(trials: dict[str, list[dict[str, Any]]]) -> dict[str, Any]:
    """How well the two agree."""
    full, half = (distances(trials[precision]) for precision in PRECISIONS)
    best, chosen = min(full, key=full.__getitem__), min(half, key=half.__getitem__)
    low, high = trials["float32"][0]["interval"]
    return {
        **agreement(full, half),
        "float32_best": dict(best),
        "bfloat16_best": dict(chosen),
        "same_best": best == chosen,
        "inside_interval": low <= full[chosen] <= high,
    }


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("job", type=Path, nargs="?", default=JOBS / "quickstart.yaml")
    arguments = parser.parse_args()
    trials = measure(arguments.job, arguments.set)
    found = verdict(trials)
    write_json(arguments.json, {"job": arguments.job.name, **found, "trials": trials})
    half = distances(trials["bfloat16"])
    lines = []
    for trial in trials["float32"]:
        config, (low, high) = trial["config"], trial["interval"]
        other = half.get(tuple(config.items()), float("nan"))
        lines.append([json.dumps(config), trial["objective"], f"{low:.3g} … {high:.3g}", other])
    print(table(["configuration", "float32", "95 % interval", "bfloat16"], lines), end="\n\n")
    print(f"rank correlation of {found['configurations']} distances: {found['ranks']:.4f}")
    inside = "inside" if found["inside_interval"] else "outside"
    same = "the same" if found["same_best"] else f"another, {inside} the interval: {found['bfloat16_best']}"
    print(f"best in float32: {found['float32_best']}; in bfloat16 {same}")


if __name__ == "__main__":
    main()
