"""MLflow is down, killed, slow, or refuses: the sweep does not notice, and all of it arrives later, once."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest

from raysweep.cluster.runtime import ray_runtime
from raysweep.outcome import SweepResult
from raysweep.record.journal import Event
from raysweep.record.ledger import Ledger
from raysweep.record.store import local_store, open_client
from raysweep.recording import sync
from tests.cluster.own_home import recorded_runs, write_home
from tests.faults.aftermath import nothing_lost_or_doubled
from tests.faults.breaking import sweep, undisturbed

pytestmark = [
    pytest.mark.faults,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"),
]
DEADLINE = 120  # a watchdog, not a measurement
ONE = ("hosts.cpus=1",)
REQUESTS = 6
"""How many go wrong before all is well again."""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A user's folder, and one Ray for all tests."""
    with ray_runtime(1):
        yield write_home(tmp_path_factory.mktemp("home"))


class Server:
    """A real MLflow server, on loopback.

    Args:
        folder: where it keeps everything.
        port: it listens to.
    """

    def __init__(self, folder: Path, port: int) -> None:
        self._folder, self.port = folder, port
        self.uri = f"http://127.0.0.1:{port}"
        open_client(local_store(folder))
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(self.port)]
        command += ["--backend-store-uri", local_store(self._folder), "--workers", "1"]
        command += ["--artifacts-destination", str(self._folder / "artifacts")]
        environment = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
        with (self._folder / "server.log").open("a") as log:
            self._process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + DEADLINE
        while not self._answers():
            assert time.monotonic() < deadline, (self._folder / "server.log").read_text()
            time.sleep(0.2)

    def kill(self) -> None:
        """End it, and the workers that it has started, without a word."""
        os.killpg(self._process.pid, 9)
        self._process.wait()

    def _answers(self) -> bool:
        try:
            with urlopen(f"{self.uri}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    from tests.cluster.test_jobs import free_ports

    one = Server(tmp_path_factory.mktemp("mlflow"), int(free_ports(1)[0]))
    yield one
    one.kill()


class Between(ThreadingHTTPServer):
    """Stands between a sweep and its MLflow, and spoils the first requests.

    Args:
        server: the real one.
        spoil: what to do with a request: an HTTP status to answer, or None after a while to let it through.
    """

    daemon_threads = True

    def __init__(self, server: Server, spoil: Callable[[], int | None]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.server, self.spoil, self.left = server, spoil, REQUESTS
        self.uri = f"http://127.0.0.1:{self.server_address[1]}"


class _Handler(BaseHTTPRequestHandler):
    server: Any

    def _handle(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.server.left > 0:
            self.server.left -= 1
            status = self.server.spoil()
            if status is not None:
                self._answer(status, b'{"error_code": "INTERNAL_ERROR", "message": "spoilt"}')
                return
        connection = HTTPConnection("127.0.0.1", self.server.server.port, timeout=DEADLINE)
        try:
            connection.request(self.command, self.path, body, dict(self.headers))
            answer = connection.getresponse()
            self._answer(answer.status, answer.read(), answer.getheader("Content-Type") or "")
        except (OSError, HTTPException):
            self._answer(502, b"")
        finally:
            connection.close()

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _handle  # noqa: N815

    def _answer(self, status: int, body: bytes, kind: str = "application/json") -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Nothing."""


def slow() -> None:
    time.sleep(5)


@pytest.mark.parametrize(("name", "spoil"), [("says-400", lambda: 400), ("says-500", lambda: 500), ("slow", slow)])
def test_an_mlflow_that_refuses_or_takes_long_gets_everything_once(
    home: Path, server: Server, name: str, spoil: Callable[[], int | None]
) -> None:
    with Between(server, spoil) as between:
        threading.Thread(target=between.serve_forever, daemon=True).start()
        sweep(home, name, f"name={name}", *ONE, mlflow=between.uri)
        assert sync(name, home / name, between.uri, print)["complete"]  # where the outage outlasted the sweep
        between.shutdown()
    assert between.left == 0
    storm, calm = SweepResult.load(name, home / name), undisturbed(home, *ONE)
    nothing_lost_or_doubled(f"MLflow {name.replace('-', ' ')}", storm, calm, REQUESTS, mlflow=server.uri)


def test_an_mlflow_that_is_killed_and_started_again_gets_everything_once(home: Path, server: Server) -> None:
    said: list[str] = []
    scored: list[float] = []

    def kill_and_start(event: Event, ledger: Ledger) -> None:
        if event["event"] == "milestone":
            scored.append(event["time"])
            if len(scored) == 2:
                server.kill()
            if len(scored) == 6:
                server.start()

    storm = sweep(home, "killed", "name=killed", *ONE, mlflow=server.uri, on_event=kill_and_start, notify=said.append)
    assert len(scored) == 8
    nothing_lost_or_doubled("SIGKILL of MLflow's server", storm, undisturbed(home, *ONE), mlflow=server.uri)


def test_a_sweep_without_mlflow_finishes_and_is_recorded_once_by_hand(home: Path) -> None:
    said: list[str] = []
    nowhere = "http://127.0.0.1:9"
    storm = sweep(home, "without", *ONE, mlflow=nowhere, notify=said.append)
    assert any("MLflow" in line for line in said)
    numbers = sorted(storm.ledger.trials)
    assert sync("own", home / "without", nowhere, said.append)["lacking"] == numbers
    sent = {"name": "own", "sent": len(numbers), "lacking": [], "complete": True}
    assert sync("own", home / "without", None, said.append) == sent
    again = {**sent, "sent": 0}
    assert sync("own", home / "without", nowhere, said.append) == {**again, "complete": False}
    assert sync("own", home / "without", None, said.append) == again
    assert len(recorded_runs(home / "without")) == 1 + len(numbers)
    storm = SweepResult.load("own", home / "without")
    nothing_lost_or_doubled("no MLflow from the start, then sync", storm, undisturbed(home, *ONE))
