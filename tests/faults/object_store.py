"""A real server of S3's protocol, moto's, on loopback. It keeps everything in memory: killed, it has lost all."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from urllib.request import Request, urlopen

DEADLINE = 120  # a watchdog, not a measurement
BUCKET = "bucket"


class ObjectStore:
    """The server, with one empty bucket.

    Args:
        folder: where it writes its log.
    """

    def __init__(self, folder: Path) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self._log, self._port = folder / "object_store.log", free.getsockname()[1]
        self._uri = f"http://127.0.0.1:{self._port}"
        self.start()

    @property
    def environment(self) -> dict[str, str]:
        """What a process needs to find it, and not to wait long for it."""
        keys = {"AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing", "AWS_DEFAULT_REGION": "us-east-1"}
        return {"AWS_ENDPOINT_URL": self._uri, "AWS_MAX_ATTEMPTS": "1", **keys}

    def start(self) -> None:
        """Start it, wait until it answers, and make the bucket."""
        command = [sys.executable, "-m", "moto.server", "--host", "127.0.0.1", "--port", str(self._port)]
        with self._log.open("a") as log:
            self._process = subprocess.Popen(command, env={**os.environ, **self.environment}, stdout=log, stderr=log)
        deadline = time.monotonic() + DEADLINE
        while not self._makes_bucket():
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.2)

    def kill(self) -> None:
        """End it without a word."""
        self._process.kill()
        self._process.wait()

    def _makes_bucket(self) -> bool:
        try:
            with urlopen(Request(f"{self._uri}/{BUCKET}", method="PUT"), timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False
