"""cluster.yaml's own node types under Ray's autoscaler: hosts bring workers, light trials do not, and idle ones go."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml

import raysweep
from raysweep.record.journal import Event
from raysweep.record.ledger import Ledger
from tests.cluster.own_home import write_home
from tests.cluster.test_jobs import free_ports, is_listening

pytestmark = pytest.mark.filterwarnings(
    "ignore::ResourceWarning", "ignore::DeprecationWarning", "ignore::FutureWarning"
)
FAKE_HEAD = "ray.head.default"
"""What Ray's provider of fake nodes calls the type of the head."""
DEADLINE = 180  # a watchdog, not a measurement


def until(holds: Callable[[], Any]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.5)


def autoscaling_config(gcs: str) -> dict[str, Any]:
    """What `AutoscalingCluster` makes of our node types, its machines being processes here, for a head at `gcs`."""
    config: dict[str, Any] = yaml.safe_load((Path(__file__).parents[2] / "cluster.yaml").read_text(encoding="utf-8"))
    types = {name: {**kind, "node_config": {}} for name, kind in config["available_node_types"].items()}
    types[FAKE_HEAD] = types.pop(config["head_node_type"])
    local = {"type": "fake_multinode", "use_node_id_as_ip": True, "disable_node_updaters": True}
    return {
        **{key: config[key] for key in ("cluster_name", "max_workers", "upscaling_speed")},
        "idle_timeout_minutes": 0.2,
        "provider": {**local, "disable_launch_config_check": True, "gcs_address": gcs},
        "auth": {},
        "available_node_types": types,
        "head_node_type": FAKE_HEAD,
        **{f"{kind}_commands": [] for kind in ("initialization", "setup", "head_setup", "worker_setup")},
        **{f"{side}_start_ray_commands": [] for side in ("head", "worker")},
        "file_mounts": {},
        "cluster_synced_files": [],
        "file_mounts_sync_continuously": False,
        "rsync_exclude": [],
        "rsync_filter": [],
    }


@pytest.fixture(scope="module")
def cluster() -> Iterator[str]:
    """The address of a head that scales, started as by `AutoscalingCluster`, which would end every other Ray here."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))
    config = folder / "config.yaml"
    gcs, dashboard, client = free_ports(3)
    config.write_text(json.dumps(autoscaling_config(f"127.0.0.1:{gcs}")))
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"RAY_FAKE_CLUSTER": "1", "AUTOSCALER_UPDATE_INTERVAL_S": "1", "OMP_NUM_THREADS": "1"}
    environment |= {"RAY_AUTH_MODE": "disabled", "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    command = [str(Path(sys.executable).parent / "ray"), "start", "--head", "--block", "--disable-usage-stats"]
    command += ["--node-ip-address=127.0.0.1"]
    command += [f"--autoscaling-config={config}", f"--port={gcs}", f"--ray-client-server-port={client}"]
    command += [f"--dashboard-port={dashboard}", "--dashboard-agent-listen-port=0", f"--temp-dir={folder}"]
    command += ["--num-cpus=1", "--num-gpus=0", "--object-store-memory=100000000"]
    with (folder / "head.log").open("w") as log:
        head = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    before = dict(os.environ)
    try:
        until(lambda: is_listening(dashboard))
        os.environ |= {"RAY_ADDRESS": f"127.0.0.1:{gcs}", "RAY_AUTH_MODE": "disabled"}
        ray.init(log_to_driver=False)
        yield f"127.0.0.1:{gcs}"
    finally:
        ray.shutdown()
        os.environ.clear()
        os.environ.update(before)
        os.killpg(head.pid, signal.SIGKILL)
        head.wait()
        shutil.rmtree(folder, ignore_errors=True)


def workers() -> list[float]:
    """CPUs of each node but the head."""
    return [node["Resources"].get("CPU", 0.0) for node in ray.nodes() if node["Alive"]][1:]


def test_a_sweeps_hosts_bring_two_workers_of_our_cluster_file_which_go_with_them(cluster: str, tmp_path: Path) -> None:
    home = write_home(tmp_path)
    seen: list[int] = []

    def look(event: Event, ledger: Ledger) -> None:
        seen.append(len(workers()))

    assert workers() == []
    result = raysweep.run(
        home / "sweep.yaml",
        storage=home / "runs",
        overrides=("hosts={min: 2, max: 2, cpus: 9}", "concurrency=8"),
        on_event=look,
    )
    assert {trial.state for trial in result.ledger.trials.values()} == {"done"}
    assert {trial.host for trial in result.ledger.trials.values()} == {"host-9-0-0", "host-9-0-1"}
    assert max(seen) == 2
    until(lambda: not workers())
