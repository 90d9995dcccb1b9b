"""How long `raysweep run jobs/quickstart.yaml` takes on this machine, and how much memory: seconds and peak PSS.

    python benchmarks/quickstart.py [--json out.json] [--set key=value …]

PSS (proportional set size) shares a page that n processes map among the n, so its sum over all processes of the sweep
is what the sweep costs the machine. Sampled twice a second. Linux only.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from common import JOBS, family, parser_of, pss, sweep, write_json


def measure(job: Path, overrides: list[str]) -> dict[str, float]:
    """Run a sweep; its seconds, and the most memory that all its processes held at once."""
    peaks = [(0, 0)]

    def watch(driver: int) -> None:
        sizes = [pss(process) for process in family(driver)]
        peaks.append((sum(sizes), len(sizes)))

    with tempfile.TemporaryDirectory() as storage:
        seconds = sweep(job, Path(storage), overrides, watch)
    peak, count = max(peaks)
    return {"seconds": seconds, "peak_pss_gb": peak / 1e9, "processes": count}


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--job", type=Path, default=JOBS / "quickstart.yaml", help="another sweep file")
    arguments = parser.parse_args()
    found = measure(arguments.job, arguments.set)
    print(f"{found['seconds']:.0f} s, peak PSS {found['peak_pss_gb']:.2f} GB in {found['processes']} processes")
    write_json(arguments.json, found)


if __name__ == "__main__":
    main()
