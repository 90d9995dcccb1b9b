"""raysweep against the script that people write today (`peer.py`), on the same networks, grid and machine.

    python benchmarks/against_peer.py fashion [--rounds 1] [--race] [--json out.json]
    python benchmarks/against_peer.py vocal [--rounds 1] [--whole] [--race] [--storage FOLDER] [--json out.json]
    python benchmarks/against_peer.py SWEEP_FILE [--slice key=value …] [--scale 1] [--set key=value …]

A slice is the sweep with one more override; in each the contenders run one after the other, in turn first. `fashion` is
jobs/quickstart.yaml in three slices, one a learning rate, with all its steps; `vocal` is jobs/am-vocal.yaml in the same
slices with 1/50 of its steps. From these, sizes of the whole steps are extrapolated (marked ~): what is not stepping is
taken as it is, stepping 50 times.

The clock starts with a Ray that runs and stops when the last trial is in MLflow. Stepping is without Tune, loading and
scoring: of raysweep the time its lanes step, of the peer that of its loops, each divided by how many run at once.
Distances of all contenders are compared, per configuration.

`--whole` adds raysweep's whole grid at once with all its steps, so that of the two only the peer's is extrapolated. A
short slice tells little of it: trial actors start beside the lanes, and what that costs is no more when there are 50
times the steps.

`--race` adds the time to the winner: the whole grid at once with all its steps and `stop.scheduler=race`, once a round,
against the usual peer's whole grid, which is the sum of its slices.
"""

from __future__ import annotations

from argparse import Namespace
from itertools import combinations
from pathlib import Path
from typing import Any

from common import JOBS, agreement, median, parser_of, say, scores_of, script, sets, table, write_json

from raysweep.errors import InputError
from raysweep.sweepfile import load_sweep

CONTENDERS = ("raysweep", "frozen peer", "usual peer")
RACE = "stop.scheduler=race"
RATES = [f"space.lr.choice=[{lr}]" for lr in (0.1, 0.01, 0.001)]
PRESETS: dict[str, dict[str, Any]] = {
    "fashion": {"job": JOBS / "quickstart.yaml", "slices": RATES, "shorter": [], "scale": 1},
    "vocal": {"job": JOBS / "am-vocal.yaml", "slices": RATES, "shorter": ["space.steps.choice=[2,10,20]"], "scale": 50},
}
Row = dict[str, Any]
"""A slice's name, and under each contender's what it found."""


def contend(contender: str, job: Path, overrides: list[str], storage: Path | None = None) -> dict[str, Any]:
    """One contender's seconds and scores, in a process of its own; raysweep's sweep stays in `storage`."""
    if contender == "raysweep":
        return script("ours.py", str(job), *sets(overrides), *(["--storage", str(storage)] if storage else []))
    return script("peer.py", str(job), *sets(overrides), *["--frozen"] * (contender == "frozen peer"))


def whole(found: dict[str, Any], scale: float) -> float:
    """Seconds of the sweep with `scale` times the steps."""
    return float(found["seconds"] + (scale - 1) * found["stepping"])


def summary(rows: list[Row], scale: float) -> list[dict[str, Any]]:
    """How many times longer each peer takes than raysweep: medians over the slices, and over all of them together."""
    found = []
    for peer in CONTENDERS[1:]:
        measures = {"whole sweep": 1.0, **({f"~ whole sweep, {scale:g} × the steps": scale} if scale != 1 else {})}
        pairs = {
            name: [(whole(row[peer], times), whole(row["raysweep"], times)) for row in rows]
            for name, times in measures.items()
        }
        pairs["stepping"] = [(row[peer]["stepping"], row["raysweep"]["stepping"]) for row in rows]
        for name, both in pairs.items():
            ratios = [theirs / ours for theirs, ours in both]
            overall = sum(theirs for theirs, _ in both) / sum(ours for _, ours in both)
            found.append({"against": peer, "what": name, "median": median(ratios), "overall": overall, "all": ratios})
    return found


def agreements(rows: list[Row]) -> list[dict[str, Any]]:
    """How far the distances of each two contenders lie apart, over all slices of the first round."""
    scores = {name: scores_of(trial for row in rows for trial in row[name]["trials"]) for name in CONTENDERS}
    return [{"between": f"{a} and {b}", **agreement(scores[a], scores[b])} for a, b in combinations(CONTENDERS, 2)]


def refusal(job: Path, overrides: list[str]) -> str | None:
    """Why raysweep does not take these overrides; None when it does."""
    try:
        load_sweep(job, overrides)
    except InputError as error:
        return str(error)
    return None


def whole_grid(peer: str, rows: list[Row], rounds: int, scale: float) -> float:
    """A contender's seconds for all slices one after the other, with all steps."""
    return sum(whole(row[peer], scale) for row in rows) / rounds


def against_whole(ours: dict[str, Any], rows: list[Row], rounds: int, scale: float) -> dict[str, Any]:
    """raysweep's whole grid against the peers' slices together."""
    theirs = {peer: whole_grid(peer, rows, rounds, scale) for peer in CONTENDERS[1:]}
    ratios = {peer: seconds / ours["seconds"] for peer, seconds in theirs.items()}
    return {**ours, "peers_seconds": theirs, "extrapolated": scale != 1, "ratios": ratios}


def time_to_winner(
    races: list[dict[str, Any]], grid: dict[str, Any] | None, rows: list[Row], rounds: int, scale: float
) -> dict[str, Any]:
    """The race's seconds against the usual peer's for the whole grid, and both winners."""
    theirs = whole_grid("usual peer", rows, rounds, scale)
    ours = median(race["seconds"] for race in races)
    everything = [grid] if grid else [row["raysweep"] for row in rows] if scale == 1 else []
    full = scores_of(trial for found in everything for trial in found["trials"])
    return {
        "race_seconds": ours,
        "race_row_steps": median(race["row_steps"] for race in races),
        "usual_peer_seconds": theirs,
        "extrapolated": scale != 1,
        "ratio": theirs / ours,
        "race_winner": races[-1]["best"]["config"],
        "grid_winner": dict(min(full, key=full.__getitem__)) if full else None,
    }


def settings(arguments: Namespace) -> dict[str, Any]:
    """The preset that is asked for, or a sweep file's own."""
    chosen = PRESETS.get(arguments.job) or {"job": Path(arguments.job), "slices": [], "shorter": [], "scale": 1}
    given = {"slices": arguments.slice, "scale": arguments.scale}
    return {**chosen, **{key: value for key, value in given.items() if value}}


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("job", help=f"{', '.join(PRESETS)} or a sweep file")
    parser.add_argument("--slice", action="append", metavar="KEY=VALUE", help="one slice (default: the preset's)")
    parser.add_argument("--scale", type=float, help="extrapolate to this many times the steps")
    parser.add_argument("--rounds", type=int, default=1, help="how often each slice is run")
    parser.add_argument("--whole", action="store_true", help="raysweep's whole grid with all its steps as well")
    parser.add_argument("--storage", type=Path, help="of --whole: keep that sweep there")
    parser.add_argument("--race", action="store_true", help="time to the winner as well")
    arguments = parser.parse_args()
    chosen = settings(arguments)
    job, scale, common = chosen["job"], chosen["scale"], [*chosen["shorter"], *arguments.set]
    slices = [[piece] for piece in chosen["slices"]] or [[]]
    refused = refusal(job, [*arguments.set, RACE]) if arguments.race else None
    if refused:
        say(f"race: skipped, this raysweep refuses it: {refused}")
    racing = arguments.race and not refused
    rows: list[Row] = []
    races: list[dict[str, Any]] = []
    found: dict[str, Any] = {"job": job.name, "overrides": common, "scale": scale, "rows": rows, "races": races}
    for turn in range(arguments.rounds):
        for piece in slices:
            first = len(rows) % len(CONTENDERS)
            row: Row = {"slice": " ".join(piece) or "all", "round": turn}
            for contender in CONTENDERS[first:] + CONTENDERS[:first]:
                row[contender] = contend(contender, job, [*common, *piece])
                took = row[contender]
                say(f"{row['slice']}  {contender}: {took['seconds']:.1f} s, stepping {took['stepping']:.1f} s")
            rows.append(row)
            write_json(arguments.json, found)
        if racing:
            races.append(contend("raysweep", job, [*arguments.set, RACE]))
            say(f"race: {races[-1]['seconds']:.1f} s, {races[-1]['row_steps']:.0f} row-steps")
    if arguments.whole:
        grid = contend("raysweep", job, arguments.set, arguments.storage)
        say(f"whole grid: {grid['seconds']:.1f} s, {grid['row_steps']:.0f} row-steps")
        found["whole"] = against_whole(grid, rows, arguments.rounds, scale)
        write_json(arguments.json, found)
    found["summary"] = summary(rows, scale)
    found["agreement"] = agreements(rows[: len(slices)])
    if races:
        found["time_to_winner"] = time_to_winner(races, found.get("whole"), rows, arguments.rounds, scale)
    write_json(arguments.json, found)
    report(found)


def report(found: dict[str, Any]) -> None:
    """Print what was found."""
    lines = [[row["slice"], name, *_figures(row[name])] for row in found["rows"] for name in CONTENDERS]
    print(table(["slice", "contender", "seconds", "stepping s", "row-steps"], lines), end="\n\n")
    lines = [[one["against"], one["what"], one["median"], one["overall"]] for one in found["summary"]]
    print(table(["raysweep is … times faster than", "in", "median of slices", "over all"], lines), end="\n\n")
    lines = [
        [one["between"], one["configurations"], one["largest_difference"], one["ranks"]] for one in found["agreement"]
    ]
    print(table(["distances of", "configurations", "largest relative difference", "rank correlation"], lines))
    if "whole" in found:
        one = found["whole"]
        about = "~ " if one["extrapolated"] else ""
        for peer, seconds in one["peers_seconds"].items():
            ratio = f"{about}{one['ratios'][peer]:.1f} ×"
            print(
                f"\nThe whole grid: {one['seconds']:.0f} s by raysweep, {about}{seconds:.0f} s by the {peer}: {ratio}"
            )
    if "time_to_winner" in found:
        one = found["time_to_winner"]
        about = "~ " if one["extrapolated"] else ""
        print(
            f"\nTime to the winner {one['race_winner']}: {one['race_seconds']:.1f} s by race, "
            f"{about}{one['usual_peer_seconds']:.1f} s by the usual peer's grid: {about}{one['ratio']:.1f} ×"
        )
        if one["grid_winner"]:
            print(f"The winner of raysweep's whole grid: {one['grid_winner']}")


def _figures(found: dict[str, Any]) -> list[Any]:
    return [found["seconds"], found["stepping"], int(found["row_steps"])]


if __name__ == "__main__":
    main()
