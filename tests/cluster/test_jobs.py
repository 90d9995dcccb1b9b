"""Jobs on a real Ray head with a token, through the command line; and the cluster file against Ray's own schema."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import ray.autoscaler
import yaml
from ray.autoscaler._private.util import prepare_config, validate_config

from raysweep.cluster.jobs import Submission
from raysweep.outcome import SweepResult
from raysweep.record.lease import living_owner
from raysweep.sweepfile import load_sweep

TINY = (
    "space.lr.choice=[0.1, 0.01]",
    "space.prior_weight.choice=[0.1]",
    "space.steps.choice=[5]",
    "examples=4",
    "hosts.cpus=1",
)
ENDLESS = (*TINY, "name=endless", "space.steps.choice=[1000000]")
DEADLINE = 120  # a watchdog, not a measurement


@dataclass
class Head:
    """A Ray head of our own.

    Args:
        address: of its dashboard.
        folder: its temporary folder.
        token: that lets one in.
    """

    address: str
    folder: Path
    token: str

    def ask(self, *arguments: str | Path, code: int = 0, token: bool = True) -> Any:
        """Run a verb against this cluster; what its --json says, or its complaint when it fails."""
        environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
        environment |= {"RAY_ADDRESS": "127.0.0.1:1", "HOME": str(self.folder / "laptop")}
        environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": self.token} if token else {}
        verb, *rest = map(str, arguments)
        command = [sys.executable, "-m", "raysweep.cli", verb, *rest, "--address", self.address, "--json"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE, env=environment)
        assert done.returncode == code, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return json.loads(done.stdout) if code == 0 else done.stderr

    def wait(self, job: str, *options: str | Path, until: Any) -> dict[str, Any]:
        """The job's row as soon as `until(row)` holds."""
        deadline = time.monotonic() + DEADLINE
        while time.monotonic() < deadline:
            row: dict[str, Any] = self.ask("status", job, *options)
            if until(row):
                return row
            assert row["state"] != "failed", self.ask("logs", job)
            time.sleep(0.5)
        raise AssertionError(row)


def free_ports(count: int) -> list[str]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [str(one.getsockname()[1]) for one in sockets]
    for one in sockets:
        one.close()
    return ports


def is_listening(port: str) -> bool:
    try:
        socket.create_connection(("127.0.0.1", int(port)), timeout=1).close()
    except OSError:
        return False
    return True


@pytest.fixture(scope="module")
def head() -> Iterator[Head]:
    """A head on loopback, in token mode; it ends with this module."""
    with started("a-token-for-this-test-only-0123456789") as one:
        yield one


@contextmanager
def started(token: str) -> Iterator[Head]:
    """A head on loopback with three CPUs; without a token it lets anyone in."""
    folder = Path(tempfile.mkdtemp(prefix="ray-"))  # short: Ray's sockets lie in it
    gcs, dashboard, client = free_ports(3)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": token} if token else {"RAY_AUTH_MODE": "disabled"}
    environment |= {"HOME": str(folder), "OMP_NUM_THREADS": "1"}
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    command = [str(Path(sys.executable).parent / "ray"), "start", "--head", "--block", "--disable-usage-stats"]
    command += ["--node-ip-address=127.0.0.1", f"--port={gcs}", f"--ray-client-server-port={client}"]
    command += ["--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}", "--dashboard-agent-listen-port=0"]
    command += ["--num-cpus=3", "--num-gpus=0", "--object-store-memory=100000000", f"--temp-dir={folder}"]
    with (folder / "head.log").open("w") as log:
        process = subprocess.Popen(command, env=environment, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + DEADLINE
        while not is_listening(dashboard):
            assert process.poll() is None, (folder / "head.log").read_text()
            assert time.monotonic() < deadline, (folder / "head.log").read_text()
            time.sleep(0.2)
        yield Head(f"http://127.0.0.1:{dashboard}", folder, token)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(3)  # it waits for its children, which the next line ends
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def sweep_file(tmp_path_factory: pytest.TempPathFactory, jobs: Path) -> Path:
    """The quickstart in a user's folder, with things beside it that are nobody else's business."""
    folder = tmp_path_factory.mktemp("my folder")
    shutil.copy(jobs / "quickstart.yaml", folder / "my sweep.yaml")
    kept = ["my_models.py", "net.safetensors", "sub/identity.py"]
    secret = [".env", "prod.env", ".env.local", "sub/.env", "key.pem", "id_rsa", "id_ed25519.pub", ".git/config"]
    for name in [*kept, *secret, "raysweep-runs/quickstart/journal.jsonl", "mlflow.db", "__pycache__/x.pyc"]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("SECRET")
    (folder / ".gitignore").write_text("*.safetensors\n")
    return folder / "my sweep.yaml"


def sets(overrides: tuple[str, ...]) -> list[str]:
    return [part for override in overrides for part in ("--set", override)]


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("storage")


@pytest.fixture(scope="module")
def submitted(head: Head, sweep_file: Path, storage: Path) -> dict[str, Any]:
    """A tiny sweep, submitted once for this module."""
    row: dict[str, Any] = head.ask("submit", sweep_file, "--storage", storage, *sets(TINY))
    return row


@pytest.mark.faults
def test_submitting_a_running_sweep_again_gives_the_same_job(
    head: Head, sweep_file: Path, storage: Path, submitted: dict[str, Any]
) -> None:
    assert submitted["submitted"]
    again = head.ask("submit", sweep_file, "--storage", f"{storage}/", *sets(TINY))
    assert (again["id"], again["submitted"]) == (submitted["id"], False)


def test_a_submitted_sweep_leaves_its_results_in_the_storage(
    head: Head, storage: Path, submitted: dict[str, Any]
) -> None:
    row = head.wait(submitted["id"], until=lambda row: row["state"] == "done")
    result = SweepResult.load("quickstart", storage)
    assert [trial.state for trial in result.ledger.trials.values()] == ["done", "done"]
    assert row["trials"] == {"done": 2}
    assert result.best is not None
    assert row["best"]["number"] == result.best.number
    assert "best: trial" in head.ask("logs", "quickstart")["logs"]


def test_a_laptop_that_cannot_read_the_storage_asks_the_cluster_for_progress_and_winner(
    head: Head, sweep_file: Path, tmp_path: Path
) -> None:
    job = head.ask("submit", sweep_file, "--storage", "~/far away", *sets((*TINY, "name=far")))["id"]
    row = head.wait(job, until=lambda row: row["state"] == "done")
    there = SweepResult.load("far", head.folder / "far away")
    assert row["trials"] == {"done": 2}
    best = sweep_file.with_name("best.yaml")
    assert head.ask("best", "far", "-o", best) == there.best_json()
    assert there.best is not None
    assert load_sweep(best).sweep.space == there.best.config
    best.unlink()
    assert "no such sweep" in head.ask("best", "nearby", code=2)


def test_secrets_caches_and_results_are_not_uploaded_but_ignored_weights_are(
    head: Head, submitted: dict[str, Any]
) -> None:
    head.wait(submitted["id"], until=lambda row: row["state"] in ("running", "done"))
    (package,) = head.folder.glob("session_2*/runtime_resources/working_dir_files/_ray_pkg_*/")
    uploaded = {str(path.relative_to(package)) for path in package.rglob("*") if path.is_file()}
    assert uploaded - {".gitignore"} == {"my sweep.yaml", "my_models.py", "net.safetensors", "sub/identity.py"}


@pytest.mark.faults
def test_stopping_a_job_ends_it_like_ctrl_c_and_submitting_again_continues_it(
    head: Head, sweep_file: Path, storage: Path
) -> None:
    first = head.ask("submit", sweep_file, "--storage", storage, *sets(ENDLESS))
    head.wait(first["id"], until=lambda row: (row["trials"] or {}).get("running"))
    other = head.ask("submit", sweep_file, "--storage", storage, *sets((*ENDLESS, "seed=1")), code=2)
    assert "a sweep of this name runs with other keys" in other
    row = head.ask("stop", first["id"])
    assert (row["state"], row["stopped"]) == ("stopped", True)
    assert living_owner(storage / "endless") is None
    assert not head.ask("stop", "endless")["stopped"]
    second = head.ask("submit", sweep_file, "--storage", storage, *sets(ENDLESS))
    assert (second["id"], second["submitted"]) == (f"{first['id']}-2", True)


def test_an_unknown_job_is_refused_with_the_nearest_id(head: Head, submitted: dict[str, Any]) -> None:
    assert f"Did you mean '{submitted['id']}'?" in head.ask("status", submitted["id"][:-1], code=2)


@pytest.mark.faults
def test_a_cluster_refuses_who_has_no_token_or_another(head: Head) -> None:
    assert "refuses this token" in head.ask("status", code=1, token=False)
    stranger = Head(head.address, head.folder, "another-token-0123456789")
    assert "refuses this token" in stranger.ask("status", code=1)


@pytest.mark.faults
def test_a_cluster_that_asks_for_no_token_gets_no_sweep_unless_that_is_wanted(sweep_file: Path) -> None:
    with started("") as head:
        refused = head.ask("submit", sweep_file, *sets(TINY), code=2, token=False)
        assert "--address: must ask for a token: this cluster lets anyone who reaches it run code" in refused
        assert head.ask("status", token=False) == []
        assert head.ask("submit", sweep_file, *sets(TINY), "--trust-network", token=False)["submitted"]


def test_an_address_that_does_not_answer_is_named() -> None:
    (port,) = free_ports(1)
    nobody = Head(f"http://127.0.0.1:{port}", Path.cwd(), "")
    assert f"no Ray cluster answers at {nobody.address}" in nobody.ask("status", code=1)


def test_a_submission_is_named_by_what_it_runs_and_where_it_keeps_it() -> None:
    sweep = {"name": "mine", "seed": 0}
    made = Submission(sweep, Path("a.yaml"))
    assert made.id == Submission({"seed": 0, "name": "mine"}, Path("b.yaml"), mlflow="http://x").id
    assert len({made.id, Submission({**sweep, "seed": 1}, Path("a.yaml")).id}) == 2
    assert len({made.id, Submission(sweep, Path("a.yaml"), storage="/shared").id}) == 2


def test_the_entrypoint_quotes_all_but_the_heads_home() -> None:
    made = Submission({"name": "mine"}, Path("a b.yaml"), ("lr={choice: [1]}",), "~/my runs")
    expected = "python -m raysweep.cli run 'a b.yaml' '--set=lr={choice: [1]}' --storage ~/'my runs'"
    assert made.entrypoint == expected


def test_the_cluster_file_holds_against_rays_own_schema() -> None:
    root = Path(__file__).parents[2]
    config = yaml.safe_load((root / "cluster.yaml").read_text(encoding="utf-8"))
    schema = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text(encoding="utf-8"))
    jsonschema.validate(config, schema)
    validate_config(prepare_config(config))
    for side in ("head_start_ray_commands", "worker_start_ray_commands"):
        assert "RAY_AUTH_MODE=token" in config[side][-1]
    assert "--dashboard-host=127.0.0.1" in config["head_start_ray_commands"][-1]
