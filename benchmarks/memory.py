"""Whether a long sweep's memory grows: PSS of its host and of its driver, from the first trials to the last.

    python benchmarks/memory.py [--trials 500] [--first 50] [--json out.json]

A random search over lr and prior_weight, so that no two trials share a trajectory, with fashion's networks and few
steps. Sampled twice a second. Growth is from trial `--first` to the last, medians over a twentieth of the trials each.
PSS (proportional set size) shares a page that n processes map among the n. Linux only.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from common import JOBS, family, median, parser_of, pss, say, sweep, table, write_json

JOB = JOBS / "quickstart.yaml"
SPACE = [
    "search.sampler=random",
    "space.lr={log: [0.001, 0.1]}",
    "space.prior_weight={log: [0.001, 0.1]}",
    "space.steps={choice: [5, 10]}",
]
HOST = b"ray::Host"
"""How Ray titles a host's process."""
MB = 1e6
Sample = dict[str, Any]
"""Trials that have ended, and megabytes of the driver, of the hosts and of all processes together."""


def sampler(journal: Path, samples: list[Sample], save: Callable[[], None]) -> Callable[[int], None]:
    """What appends a sample of a sweep's processes each time it is called with the driver's id."""

    def sample(driver: int) -> None:
        ended = ended_trials(journal)
        sizes = {process: pss(process) / MB for process in family(driver)}
        hosts = sum(size for process, size in sizes.items() if HOST in command_line(process))
        last = samples[-1]["ended"] if samples else 0
        samples.append({"ended": ended, "driver": sizes[driver], "hosts": hosts, "all": sum(sizes.values())})
        if ended // 50 > last // 50:
            say(f"{ended} trials: hosts {hosts:.0f} MB, driver {sizes[driver]:.0f} MB")
            save()

    return sample


def ended_trials(journal: Path) -> int:
    """How many trials of a running sweep have ended."""
    return journal.read_bytes().count(b'"event":"ended"') if journal.exists() else 0


def command_line(process: int) -> bytes:
    """A process's title; empty when it has just ended."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""


def growth(samples: list[Sample], first: int, trials: int) -> list[dict[str, Any]]:
    """Megabytes at the first and at the last trials, and how much more that is."""
    window = max(1, trials // 20)
    early = [one for one in samples if first <= one["ended"] < first + window]
    late = [one for one in samples if trials - window <= one["ended"] < trials]
    found = []
    for part in ("hosts", "driver", "all"):
        before, after = median(one[part] for one in early), median(one[part] for one in late)
        found.append({"of": part, "first_mb": before, "last_mb": after, "growth_mb": after - before})
    return found


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--trials", type=int, default=500)
    parser.add_argument("--first", type=int, default=50, help="the trial from which growth is counted")
    arguments = parser.parse_args()
    samples: list[Sample] = []
    found: dict[str, Any] = {"samples": samples}
    overrides = ["name=memory", *SPACE, f"budget.trials={arguments.trials}", *arguments.set]
    with tempfile.TemporaryDirectory() as storage:
        journal = Path(storage) / "memory" / "journal.jsonl"
        watch = sampler(journal, samples, lambda: write_json(arguments.json, found))
        found["seconds"] = sweep(JOB, Path(storage), overrides, watch)
    found["growth"] = growth(samples, arguments.first, arguments.trials)
    write_json(arguments.json, found)
    header = ["PSS of", f"at trial {arguments.first}, MB", f"at trial {arguments.trials}, MB", "growth, MB"]
    print(table(header, [[*one.values()] for one in found["growth"]]))


if __name__ == "__main__":
    main()
