"""What a trial asks of a host, on a real Ray: a host that was replaced has no say any more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from raysweep.cluster.calling import Advance, advance_somewhere, begin_epoch, epoch_of
from raysweep.cluster.pool import HostPool
from raysweep.cluster.runtime import ray_runtime
from raysweep.errors import HostLost, InputError
from raysweep.preflight import prepare
from raysweep.sweep import host_plan
from raysweep.sweepfile import load_sweep
from tests.cluster.own_home import write_home

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"
)
HOST = "host-1-0-0"
NUMERICS = {"precision": "float32", "slots": 8, "device": "cpu", "threads": 1}


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Iterator[None]:
    with ray_runtime(1):
        yield


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return write_home(tmp_path)


def test_a_node_with_other_weights_under_the_same_name_is_refused(home: Path) -> None:
    prepared = prepare(load_sweep(home / "sweep.yaml", ["hosts.cpus=1"]), home / "runs")
    plan = host_plan("own", prepared.sweep, prepared.workload, prepared.folder, NUMERICS)
    elsewhere = replace(plan, identity={**plan.identity, "models.classifier": "0" * 64})
    with pytest.raises(InputError, match=r"models\.classifier: is another one on the node [\d.]+ than where the sweep"):
        HostPool(elsewhere, 1, 1, 1, 0)


def test_an_answer_from_a_host_that_was_replaced_is_refused(home: Path) -> None:
    prepared = prepare(load_sweep(home / "sweep.yaml", ["hosts.cpus=1"]), home / "runs")
    plan = host_plan("own", prepared.sweep, prepared.workload, prepared.folder, NUMERICS)
    values = {"lr": 0.1, "prior_weight": 0.1}
    with HostPool(plan, 1, 1, 1, 0) as pool:
        request = Advance(pool.session, 0, "key", "trajectory", values, 9, (6,), ())
        host, answer = advance_somewhere([HOST], request)
        assert (host, sorted(answer)) == (HOST, ["explanations", "metrics", "objectives"])
        successor = begin_epoch(HOST)
        with pytest.raises(HostLost, match="host-1-0-0 was replaced before it answered"):
            advance_somewhere([HOST], request, deadline=1.0)
        assert epoch_of(HOST) == successor
