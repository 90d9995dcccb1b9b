"""What an MLflow that does not answer, refuses or takes long costs a sweep: at most 5 % of its speed is allowed.

    python benchmarks/outage.py [--repeats 5] [--json out.json] [--set key=value …]

The same sweep runs against one real MLflow server in several moods, one after the other, round and round. Its time is
that from its first lease to its last trial's end, by the journal: what MLflow lacks then is sent later.
"""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

from common import HERE, JOBS, parser_of, say, sweep, write_json

sys.path.insert(0, str(HERE.parent))
from raysweep.record.journal import read_events
from tests.faults.mlflow_server import Between, Server

NOWHERE = "http://127.0.0.1:9"
FOR_EVER = 10**9
SHORT = ("space.steps.choice=[100, 300]", "precision=float32", "slots=16")


def wait() -> None:
    """5 s of latency."""
    time.sleep(5)


MOODS: dict[str, Callable[[], int | None] | None] = {
    "answers": lambda: None,
    "is down": None,
    "says 500": lambda: 500,
    "says 400": lambda: 400,
    "takes 5 s": wait,
}


@contextmanager
def mood(server: Server, spoil: Callable[[], int | None] | None) -> Iterator[str]:
    """The URI of an MLflow in a mood."""
    if spoil is None:
        yield NOWHERE
        return
    with Between(server, spoil, FOR_EVER) as between:
        threading.Thread(target=between.serve_forever, daemon=True).start()
        yield between.uri
        between.shutdown()


def seconds(job: Path, overrides: list[str], uri: str) -> float:
    """From the first lease to the last trial's end."""
    with tempfile.TemporaryDirectory() as storage:
        sweep(job, Path(storage), [*overrides, f"mlflow={uri}"])
        (journal,) = Path(storage).glob("*/journal.jsonl")
        events = list(read_events(journal))
    ended = [event["time"] for event in events if event["event"] == "ended"]
    return float(max(ended) - next(event["time"] for event in events if event["event"] == "leased"))


def main() -> None:
    parser = parser_of(__doc__)
    parser.add_argument("--repeats", type=int, default=5, help="rounds (default 5)")
    arguments = parser.parse_args()
    found: dict[str, list[float]] = {name: [] for name in MOODS}
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder))
        try:
            for number in range(arguments.repeats):
                names = list(MOODS) if number % 2 == 0 else list(MOODS)[::-1]
                for name in names:
                    with mood(server, MOODS[name]) as uri:
                        found[name].append(seconds(JOBS / "quickstart.yaml", [*SHORT, *arguments.set], uri))
                    say(f"{name}: {found[name][-1]:.2f} s")
                    write_json(arguments.json, {"seconds": found})
        finally:
            server.kill()
    usual = median(found["answers"])
    for name, values in found.items():
        change = 100 * (median(values) / usual - 1)
        print(f"{name:<10} {median(values):7.2f} s  {change:+5.1f} %  ({', '.join(f'{v:.2f}' for v in values)})")


if __name__ == "__main__":
    main()
