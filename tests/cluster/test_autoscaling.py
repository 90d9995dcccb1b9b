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
import yaml

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
    try:
        until(lambda: is_listening(dashboard))
        yield f"127.0.0.1:{gcs}"
    finally:
        os.killpg(head.pid, signal.SIGKILL)
        head.wait()
        shutil.rmtree(folder, ignore_errors=True)


SCENARIO = """
import json, sys, time
import ray, raysweep

def workers():
    return len([node for node in ray.nodes() if node["Alive"]]) - 1

ray.init(log_to_driver=False)
seen = [workers()]
two = ("hosts={min: 2, max: 2, cpus: 9}", "concurrency=8")
look = lambda event, ledger: seen.append(workers())
result = raysweep.run(sys.argv[1], storage=sys.argv[2], overrides=two, on_event=look)
trials = result.ledger.trials.values()
deadline = time.monotonic() + float(sys.argv[3])
while workers() and time.monotonic() < deadline:
    time.sleep(0.5)
found = {"before": seen[0], "most": max(seen), "after": workers()}
found |= {"states": sorted({trial.state for trial in trials}), "hosts": sorted({trial.host for trial in trials})}
print("found " + json.dumps(found))
"""
"""In a process of its own: one that has been in a cluster with a token cannot join one without."""


def test_a_sweeps_hosts_bring_two_workers_of_our_cluster_file_which_go_with_them(cluster: str, tmp_path: Path) -> None:
    home = write_home(tmp_path)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"RAY_ADDRESS": cluster, "RAY_AUTH_MODE": "disabled"}
    command = [sys.executable, "-c", SCENARIO, str(home / "sweep.yaml"), str(home / "runs"), str(DEADLINE)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=2 * DEADLINE)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("found ")] or [done.stderr[-2000:]]
    assert json.loads(line.removeprefix("found ")) == {
        "before": 0,
        "most": 2,
        "after": 0,
        "states": ["done"],
        "hosts": ["host-9-0-0", "host-9-0-1"],
    }
