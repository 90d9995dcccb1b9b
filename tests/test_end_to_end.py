"""A sweep through the command line: real Ray, real MLflow, real weights; then everything that is made of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch

from raysweep.engine.workload import Workload
from raysweep.methods.noise import normal
from raysweep.objectives.response import reference_responses
from raysweep.outcome import SweepResult
from raysweep.preflight import workload_spec
from raysweep.record.store import local_store, open_client
from raysweep.sweepfile import load_sweep

SMALL = (
    "space.steps.choice=[6, 12]",
    "space.lr.choice=[0.1, 0.01]",
    "space.prior_weight.choice=[0.1, 0.001]",
    "examples=10",
    "slots=16",
)
DEADLINE = 300  # a watchdog, not a measurement
AT_A_TERMINAL = """
import signal
signal.signal(signal.SIGINT, signal.default_int_handler)  # tests run in the background inherit "ignore"
from raysweep.cli import main
main()
"""


def raysweep(*arguments: str | Path, code: int = 0) -> str:
    """Run the command line and return its standard output."""
    command = [sys.executable, "-m", "raysweep.cli", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == code, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stdout


def sets(overrides: Sequence[str]) -> list[str]:
    return [part for override in overrides for part in ("--set", override)]


@pytest.fixture(scope="module")
def storage(tmp_path_factory: pytest.TempPathFactory, jobs: Path) -> Path:
    """The quickstart at a reduced scale, in float64 so that it can be compared, run once for this module."""
    folder = tmp_path_factory.mktemp("storage")
    raysweep("run", jobs / "quickstart.yaml", "--storage", folder, *sets(SMALL), "--set", "precision=float64")
    return folder


def slow_am(workload: Workload, lr: float, weight: float, steps: int, examples: int) -> list[list[float]]:
    """The best response after each step, one example at a time, as a script would find it: [examples][steps]."""
    generator, classifier = workload.generator.module.double(), workload.classifier.module.double()
    found = []
    for example in range(examples):
        z = normal(torch.tensor([0]), torch.tensor([example]), (workload.generator.latent or 0,), stream="latent")
        z.requires_grad_()
        optimiser = torch.optim.Adam([z], lr=lr)
        best = [-np.inf]
        for _ in range(steps):
            optimiser.zero_grad()
            response = classifier(generator(z))[0, workload.unit]
            best.append(max(best[-1], response.item()))
            (weight / 2 * z.square().sum() - response).backward()
            optimiser.step()
        found.append(best)
    return found


def test_every_trial_is_done_and_scored(storage: Path) -> None:
    rows = json.loads(raysweep("trials", "quickstart", "--storage", storage, "--json"))
    assert [row["number"] for row in rows] == list(range(8))
    assert {row["state"] for row in rows} == {"done"}
    assert all(row["interval"][0] <= row["objective"] <= row["interval"][1] for row in rows)
    assert all(0 <= row["metrics"]["recognition"] <= 1 for row in rows)


def test_scores_equal_a_slow_plain_loop_in_float64(storage: Path, jobs: Path) -> None:
    workload = Workload(workload_spec(load_sweep(jobs / "quickstart.yaml", SMALL)))
    classifier = workload.classifier.module.double()
    with torch.no_grad():
        chunks = torch.from_numpy(workload.data.x).split(250)
        real = torch.cat([classifier(chunk.double())[:, workload.unit] for chunk in chunks]).numpy()
    extreme = reference_responses(real, 10, "maximise")
    slow = {
        (lr, weight): np.array(slow_am(workload, lr, weight, 12, 10)) for lr in (0.1, 0.01) for weight in (0.1, 0.001)
    }
    for trial in SweepResult.load("quickstart", storage).ledger.trials.values():
        config = trial.config
        found = slow[config["lr"], config["prior_weight"]][:, config["steps"]]
        expected = (found.mean() - extreme.mean()) ** 2 + (found.std(ddof=1) - extreme.std(ddof=1)) ** 2
        assert trial.objective is not None
        assert trial.objective.value == pytest.approx(expected, abs=1e-8)


def test_mlflow_holds_one_parent_and_one_finished_child_a_trial(storage: Path) -> None:
    client = open_client(local_store(storage))
    experiment = client.get_experiment_by_name("quickstart")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id], max_results=100)
    children = [run for run in runs if "mlflow.parentRunId" in run.data.tags]
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert len(children) == 8
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert {run.data.tags["mlflow.parentRunId"] for run in children} == {parent.info.run_id}
    for run in children:
        assert {"lr", "prior_weight", "steps"} <= set(run.data.params)
        assert {"response_fd", "response_fd.low", "response_fd.high", "response", "recognition"} <= set(
            run.data.metrics
        )
        assert {"raysweep.host", "raysweep.tune_trial"} <= set(run.data.tags)
        folder = client.list_artifacts(run.info.run_id, "explanations")[0].path
        names = {Path(item.path).suffix for item in client.list_artifacts(run.info.run_id, folder)}
        assert {".png", ".safetensors"} <= names
    assert {"sweep.yaml", "versions.json"} <= {item.path for item in client.list_artifacts(parent.info.run_id)}


def test_the_best_trial_has_the_lowest_objective_and_is_the_champion(storage: Path, tmp_path: Path) -> None:
    best = json.loads(raysweep("best", "quickstart", "--storage", storage, "--json", "-o", tmp_path / "best.yaml"))
    rows = json.loads(raysweep("trials", "quickstart", "--storage", storage, "--json"))
    ranked = sorted(row["objective"] for row in rows)
    assert best["objective"] == ranked[0]
    assert best["margin"] == pytest.approx(ranked[1] - ranked[0])
    assert 0 <= best["probability_best"] <= 1
    version = open_client(local_store(storage)).get_model_version_by_alias("quickstart", "champion")
    trial = SweepResult.load("quickstart", storage).ledger.trials[best["number"]]
    assert version.run_id == trial.mlflow_run


def test_explain_repeats_the_winner_and_the_champion_gives_the_same(storage: Path, tmp_path: Path) -> None:
    raysweep("best", "quickstart", "--storage", storage, "-o", tmp_path / "best.yaml")
    raysweep("explain", tmp_path / "best.yaml", "--examples", "10", "--out", tmp_path / "out")
    from raysweep.record.explanations import read_explanations

    again = read_explanations(tmp_path / "out" / "explanations.safetensors")
    result = SweepResult.load("quickstart", storage)
    assert result.best is not None
    known = result.tensors(result.best)
    np.testing.assert_allclose(again["response"], known["response"], rtol=0, atol=1e-10)
    assert (tmp_path / "out" / "explanations.png").stat().st_size > 1000
    code = (
        "import sys, mlflow, numpy as np\n"
        "mlflow.set_tracking_uri(sys.argv[1]); mlflow.set_registry_uri(sys.argv[1])\n"
        "found = mlflow.pyfunc.load_model('models:/quickstart@champion').predict({'examples': 3})\n"
        "np.save(sys.argv[2], found['explanation'])\n"
    )
    command = [sys.executable, "-c", code, local_store(storage), str(tmp_path / "champion.npy")]
    subprocess.run(command, check=True, capture_output=True, timeout=DEADLINE)
    np.testing.assert_allclose(np.load(tmp_path / "champion.npy"), known["explanation"][:3], rtol=0, atol=1e-6)


def test_the_report_is_one_page_that_names_every_trial(storage: Path, tmp_path: Path) -> None:
    raysweep("report", "quickstart", "--storage", storage, "-o", tmp_path / "report.html")
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    assert "data:image/png" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


def test_running_again_runs_nothing_and_a_wider_space_runs_only_what_is_new(storage: Path, jobs: Path) -> None:
    before = lines(storage, "milestone")
    same = [*sets(SMALL), "--set", "precision=float64"]
    raysweep("run", jobs / "quickstart.yaml", "--storage", storage, *same)
    assert lines(storage, "milestone") == before
    wider = [*same, "--set", "space.lr.choice=[0.1, 0.01, 0.03]"]
    raysweep("run", jobs / "quickstart.yaml", "--storage", storage, *wider)
    assert lines(storage, "milestone") == before + 4
    states = {trial.state for trial in SweepResult.load("quickstart", storage).ledger.trials.values()}
    assert states == {"done"}


def test_another_data_set_under_the_same_name_is_refused_with_the_difference(storage: Path, jobs: Path) -> None:
    command = [sys.executable, "-m", "raysweep.cli", "run", str(jobs / "quickstart.yaml"), "--storage", str(storage)]
    changed = [*sets(SMALL), "--set", "precision=float64", "--set", "seed=1"]
    done = subprocess.run([*command, *changed], capture_output=True, text=True, timeout=DEADLINE)
    assert done.returncode == 2
    assert "seed: differs from what the sweep 'quickstart' was started with (0) (found 1)" in done.stderr


def test_ctrl_c_leaves_a_sweep_that_continues_to_the_same_results(storage: Path, tmp_path: Path, jobs: Path) -> None:
    longer = ["--storage", tmp_path, *sets(SMALL), *sets(("space.steps.choice=[6, 12, 100]", "precision=float64"))]
    command = [sys.executable, "-c", AT_A_TERMINAL, "run", jobs / "quickstart.yaml", *longer]
    driver = subprocess.Popen(
        [*map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,  # a terminal's Ctrl-C reaches the whole group, Ray's processes too
    )
    wait_until(lambda: lines(tmp_path, "ended") >= 1, driver)
    os.killpg(driver.pid, signal.SIGINT)
    _, said = driver.communicate(timeout=DEADLINE)
    assert driver.returncode == 130, said
    assert said == "interrupted; run the same command again to continue\n"
    rows = json.loads(raysweep("trials", "quickstart", "--storage", tmp_path, "--json"))
    assert {row["state"] for row in rows} >= {"done", "running"}
    raysweep("run", jobs / "quickstart.yaml", *longer)
    calm, stormy = (
        {json.dumps(trial.config): trial.objective for trial in SweepResult.load("quickstart", folder).finished}
        for folder in (storage, tmp_path)
    )
    assert len(stormy) == 12
    assert {config: stormy[config] for config in stormy if config in calm} == {
        config: calm[config] for config in calm if config in stormy
    }
    assert len(stormy.keys() & calm.keys()) == 8


def wait_until(holds: Callable[[], bool], driver: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not holds():
        assert driver.poll() is None, driver.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)


def lines(storage: Path, event: str) -> int:
    journal = storage / "quickstart" / "journal.jsonl"
    text = journal.read_text(encoding="utf-8") if journal.exists() else ""
    return sum(json.loads(line.split(" ", 1)[1])["event"] == event for line in text.splitlines())
