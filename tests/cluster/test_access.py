"""Which addresses are spoken to, and which clusters are trusted with a sweep."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from raysweep.cluster.access import ClusterError, check_address, refuse_open
from raysweep.errors import InputError


@contextmanager
def dashboard(status: int) -> Iterator[tuple[str, list[tuple[str, bool]]]]:
    """One that answers whoever asks with a status: its address, and what was asked, each with or without a token."""
    asked: list[tuple[str, bool]] = []

    class Dashboard(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append((self.path, "Authorization" in self.headers))
            self.send_response(status)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Nothing on the terminal."""

    server = HTTPServer(("127.0.0.1", 0), Dashboard)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.mark.parametrize("host", ["192.0.2.1", "[2001:db8::1]", "localhost.example"])
def test_nothing_is_sent_over_plain_http_to_another_machine(host: str) -> None:
    with pytest.raises(InputError, match=r"must be https or on this machine: .* Use a tunnel \(ssh -L 8265:localhost"):
        check_address(f"http://{host}:8265", trust_network=False)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "127.1.2.3"])
def test_this_machine_is_spoken_to_over_plain_http_and_named_when_it_does_not_answer(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as one:
        address = f"http://{host}:{one.getsockname()[1]}"
    with pytest.raises(ClusterError, match=f"no Ray cluster answers at {address}"):
        check_address(address, trust_network=False)


@pytest.mark.parametrize("address", ["localhost:8265", "ray://localhost:10001", "http://", "http://[::1", "http://a:b"])
def test_what_is_no_address_of_a_dashboard_is_refused_with_one_that_is(address: str) -> None:
    with pytest.raises(InputError, match=r"must read http\(s\)://host:port, as in http://localhost:8265"):
        check_address(address, trust_network=True)


def test_a_cluster_that_answers_who_has_no_token_is_refused() -> None:
    with dashboard(200) as (address, asked), pytest.raises(InputError, match="must ask for a token"):
        refuse_open(address)
    assert asked == [("/api/jobs/", False)]


def test_a_cluster_that_asks_for_a_token_is_let_pass() -> None:
    with dashboard(401) as (address, asked):
        refuse_open(f"{address}/")
    assert asked == [("/api/jobs/", False)]
