"""A node of a cluster is lost, for good or for a while. Its trials go on elsewhere, and no score changes."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
from ray.cluster_utils import Cluster

from raysweep.cluster.runtime import LOCAL_SETTINGS
from tests.cluster.own_home import write_home
from tests.faults.aftermath import nothing_lost_or_doubled
from tests.faults.breaking import HOST, LONG, Once, host_process, kill, stop_until_replaced, sweep, undisturbed

pytestmark = [
    pytest.mark.faults,
    pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"),
]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_home(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="module")
def nodes() -> Iterator[Cluster]:
    """Three nodes, of which the two workers have room for a host each."""
    before = dict(os.environ)
    os.environ.update(LOCAL_SETTINGS)
    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 0, "include_dashboard": False})
    try:
        for _ in range(2):
            cluster.add_node(num_cpus=2)
        cluster.connect()
        yield cluster
    finally:
        ray.shutdown()
        cluster.shutdown()
        os.environ.clear()
        os.environ.update(before)


def node_of_host(nodes: Cluster) -> Any:
    where = ray.get(ray.get_actor(HOST, namespace="raysweep").renew.remote("nobody"))["node"]
    return next(node for node in nodes.worker_nodes if node.node_id == where)


def raylet(node: Any) -> int:
    (info,) = node.all_processes["raylet"]
    return int(info.process.pid)


def test_a_sweep_goes_on_when_the_node_of_its_host_is_lost(nodes: Cluster, home: Path) -> None:
    fault = Once(lambda: kill(raylet(node_of_host(nodes))))
    storm = sweep(home, "lost", *LONG, on_event=fault)
    nodes.add_node(num_cpus=2)
    nothing_lost_or_doubled("SIGKILL of a raylet of three", storm, undisturbed(home, *LONG), at=fault.at)


def test_what_a_node_says_that_was_taken_for_dead_is_refused(nodes: Cluster, home: Path) -> None:
    fault = Once(lambda: stop_until_replaced(raylet(node_of_host(nodes)), host_process()))
    storm = sweep(home, "stopped", *LONG, on_event=fault)
    nothing_lost_or_doubled("SIGSTOP of a node, then SIGCONT", storm, undisturbed(home, *LONG), at=fault.at)
