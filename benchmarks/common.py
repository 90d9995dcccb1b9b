"""What the benchmarks share: their arguments, scripts in processes of their own, memory, agreement, tables."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
JOBS = HERE.parent / "jobs"
LOAD = os.getloadavg()[0]
"""Of the machine in the minute before this process began."""
LOG_LINES = 40
"""Of a script that failed, this many are shown."""

Scores = dict[tuple[Any, ...], float]
"""Distances by configuration."""


def parser_of(doc: str | None) -> argparse.ArgumentParser:
    """Arguments that every benchmark takes: `--set` and `--json`."""
    parser = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="as of raysweep run")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here, also while they come in")
    return parser


def write_json(path: Path | None, found: Mapping[str, Any]) -> None:
    """Write a benchmark's figures and the machine they are of; called after each figure, so that none is lost."""
    if path is not None:
        path.write_text(json.dumps({"machine": machine(), **found}, indent=1) + "\n", encoding="utf-8")


def machine() -> dict[str, Any]:
    """What figures depend on: the CPU, how many of them, how busy they were before, and versions."""
    from importlib.metadata import version

    names = [line for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines() if "model name" in line]
    return {
        "cpu": names[0].partition(":")[2].strip() if names else platform.processor(),
        "cpus": cpus(),
        "load_before": LOAD,
        **{name: version(name) for name in ("torch", "ray", "mlflow")},
    }


def cpus() -> int:
    """How many CPUs this process may use."""
    return len(os.sched_getaffinity(0))


def say(line: str) -> None:
    """A line of progress, on stderr, with the time of day."""
    print(f"{time.strftime('%H:%M:%S')}  {line}", file=sys.stderr, flush=True)


def sets(overrides: Iterable[str]) -> list[str]:
    """Overrides as a command line has them."""
    return [part for override in overrides for part in ("--set", override)]


def script(name: str, *arguments: str) -> dict[str, Any]:
    """What a script of this folder writes with `--json`; it runs in a process of its own.

    Raises:
        SystemExit: it failed; with the end of what it printed.
    """
    with tempfile.TemporaryDirectory() as folder:
        found = Path(folder) / "found.json"
        command([sys.executable, str(HERE / name), *arguments, "--json", str(found)])
        return dict(json.loads(found.read_text(encoding="utf-8")))


def sweep(job: Path, storage: Path, overrides: Iterable[str], watch: Callable[[int], None] | None = None) -> float:
    """Seconds of `raysweep run`; `watch` gets its process id, twice a second.

    Raises:
        SystemExit: it failed; with the end of what it printed.
    """
    began = time.perf_counter()
    run = [sys.executable, "-m", "raysweep.cli", "run", str(job), "--storage", str(storage), "--json", *sets(overrides)]
    command(run, watch)
    return time.perf_counter() - began


def command(line: Sequence[str], watch: Callable[[int], None] | None = None) -> None:
    """Run a command to its end; what it prints is shown only when it fails."""
    with tempfile.TemporaryFile("w+", encoding="utf-8", errors="replace") as log:
        process = subprocess.Popen(line, stdout=log, stderr=subprocess.STDOUT)
        while watch is not None and process.poll() is None:
            watch(process.pid)
            time.sleep(0.5)
        if process.wait():
            log.seek(0)
            shown = log.read().splitlines()[-LOG_LINES:]
            raise SystemExit("\n".join([f"failed with code {process.returncode}: {' '.join(line)}", *shown]))


def family(root: int) -> list[int]:
    """A process and all its descendants."""
    parents = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text(encoding="utf-8").rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(status.parent.name)] = int(fields[1])
    found, grown = {root}, True
    while grown:
        grown = False
        for process, parent in parents.items():
            if parent in found and process not in found:
                found.add(process)
                grown = True
    return sorted(found)


def pss(process: int) -> int:
    """A process's proportional set size in bytes; 0 when it has just ended."""
    try:
        for line in Path(f"/proc/{process}/smaps_rollup").read_text(encoding="utf-8").splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        pass
    return 0


def scores_of(trials: Iterable[Mapping[str, Any]]) -> Scores:
    """Distances of `{name: value of each hyper-parameter, "response_fd": distance}`, by configuration."""
    found = {}
    for trial in trials:
        config = {name: value for name, value in trial.items() if name != "response_fd"}
        found[tuple(sorted(config.items()))] = float(trial["response_fd"])
    return found


def agreement(one: Scores, other: Scores) -> dict[str, float]:
    """Of two contenders' distances: the largest relative difference, and Spearman's rank correlation.

    Over the configurations that both have; nan where there are fewer than two.
    """
    from scipy.stats import spearmanr

    shared = sorted(one.keys() & other.keys())
    ours, theirs = [one[key] for key in shared], [other[key] for key in shared]
    apart = [abs(a - b) / max(abs(a), abs(b), 1e-300) for a, b in zip(ours, theirs, strict=True)]
    ranks = float(spearmanr(ours, theirs).statistic) if len(shared) > 1 else float("nan")
    return {"configurations": len(shared), "largest_difference": max(apart, default=float("nan")), "ranks": ranks}


def median(values: Iterable[float]) -> float:
    """The median; nan of nothing."""
    found = list(values)
    return statistics.median(found) if found else float("nan")


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table in Markdown with aligned columns; numbers get three or more significant digits."""
    cells = [list(header), *([_cell(value) for value in row] for row in rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = [" | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in cells]
    return "\n".join(f"| {line} |" for line in (lines[0], " | ".join("-" * width for width in widths), *lines[1:]))


def _cell(value: Any) -> str:
    if not isinstance(value, float):
        return "–" if value is None else str(value)
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
