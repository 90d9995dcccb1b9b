"""How long `raysweep run jobs/quickstart.yaml` takes on this machine, and how much memory: seconds and peak PSS.

    python benchmarks/quickstart.py [--json out.json] [--set key=value …]

PSS (proportional set size) shares a page that n processes map among the n, so its sum over all processes of the sweep
is what the sweep costs the machine. Sampled twice a second. Linux only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

JOB = Path(__file__).parent.parent / "jobs" / "quickstart.yaml"


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--job", type=Path, default=JOB, help="another sweep file")
    parser.add_argument("--set", action="append", default=[], help="key=value, as of raysweep run")
    parser.add_argument("--json", type=Path, help="write the figures here")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as storage:
        found = measure(arguments.job, arguments.set, storage)
    print(f"{found['seconds']:.0f} s, peak PSS {found['peak_pss_gb']:.2f} GB in {found['processes']} processes")
    if arguments.json:
        arguments.json.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def measure(job: Path, overrides: list[str], storage: str) -> dict[str, float]:
    """Run a sweep in a session of its own; its seconds, and the most memory that all its processes held at once."""
    command = [sys.executable, "-m", "raysweep.cli", "run", str(job), "--storage", storage, "--json"]
    command += [part for override in overrides for part in ("--set", override)]
    began, peak, count = time.perf_counter(), 0, 0
    driver = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    while driver.poll() is None:
        sizes = [pss(process) for process in family(driver.pid)]
        peak, count = max((peak, count), (sum(sizes), len(sizes)))
        time.sleep(0.5)
    if driver.returncode:
        raise SystemExit(driver.returncode)
    return {"seconds": time.perf_counter() - began, "peak_pss_gb": peak / 1e9, "processes": count}


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


if __name__ == "__main__":
    main()
