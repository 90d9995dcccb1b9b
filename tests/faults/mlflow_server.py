"""A real MLflow server, and what can stand between it and a sweep; the benchmark of outages uses them too."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from raysweep.record.store import local_store, open_client

DEADLINE = 120  # a watchdog, not a measurement


class Server:
    """A real MLflow server, on loopback.

    Args:
        folder: where it keeps everything.
    """

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._folder, self.port = folder, free.getsockname()[1]
        self.uri = f"http://127.0.0.1:{self.port}"
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


class Between(ThreadingHTTPServer):
    """Stands between a sweep and its MLflow, and spoils the first requests.

    Args:
        server: the real one.
        spoil: what to do with a request: an HTTP status to answer, or None after a while to let it through.
        requests: how many it spoils.
    """

    daemon_threads = True

    def __init__(self, server: Server, spoil: Callable[[], int | None], requests: int) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.server, self.spoil, self.left = server, spoil, requests
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
