"""A command line, a storage or an earlier sweep that is not there or not to be written: refused by its option."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import raysweep
from raysweep.errors import InputError
from raysweep.record.driver import storage_folder
from tests.bad_input.own_files import SWEEP, Refusal


@pytest.mark.parametrize(
    ("storage", "reason"),
    [
        ("images.npz", "Not a directory: images.npz/own/logs"),
        ("images.npz/below", "Not a directory: images.npz/below/own/logs"),
        ("/proc/raysweep", "No such file or directory: /proc/raysweep"),
    ],
)
def test_a_storage_folder_that_cannot_be_written(refusal: Refusal, storage: str, reason: str) -> None:
    found = refusal("run", "sweep.yaml", "--storage", storage)
    assert found == f"--storage: must be a folder that can be written ({reason}) (found '{storage}')"


def test_a_storage_folder_with_a_log_that_cannot_be_written(home: Path, refusal: Refusal) -> None:
    (home / "runs" / "own" / "logs" / "driver.log").mkdir(parents=True)
    found = refusal("run", "sweep.yaml", "--storage", "runs")
    assert found.startswith(
        "--storage: must be a folder that can be written (Is a directory: runs/own/logs/driver.log)"
    )


@pytest.mark.parametrize("verb", [("run",), ("submit", "--address", "http://127.0.0.1:1")])
def test_such_a_tracking_uri_on_the_command_line(refusal: Refusal, verb: tuple[str, ...]) -> None:
    found = refusal(*verb, "sweep.yaml", "--mlflow", "localhost:5000")
    rule = "must be the URI of an MLflow server or of a database"
    assert found == f"--mlflow: {rule} (found 'localhost:5000'). Write http://localhost:5000"


@pytest.mark.parametrize(
    "command",
    [
        ("run", "sweep.yaml"),
        ("check", "sweep.yaml"),
        ("trials", "own"),
        ("best", "own"),
        ("explain", "own"),
        ("report", "own"),
        ("ui",),
        ("status",),
        ("status", "--address", "http://127.0.0.1:1"),
        ("logs", "own"),
        ("stop", "own"),
    ],
)
def test_a_storage_at_a_url_that_nothing_serves(refusal: Refusal, command: tuple[str, ...]) -> None:
    found = refusal(*command, "--storage", "nope://bucket/runs")
    rule = "must be a URL that fsspec can open (found 'nope://bucket/runs'). Protocol not known: nope"
    assert found == f"--storage: {rule}"


def test_such_a_storage_from_python(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home)
    before = set(home.iterdir())
    with pytest.raises(InputError, match="--storage: must be a URL that fsspec can open"):
        raysweep.run("sweep.yaml", storage="nope://bucket/runs")
    assert set(home.iterdir()) == before


def test_a_storage_whose_name_has_a_colon_is_a_folder(home: Path) -> None:
    assert storage_folder(home / "12:30") == home / "12:30"
    assert storage_folder("runs:1/mine") == Path("runs:1/mine")


@pytest.mark.parametrize("verb", ["run", "check"])
def test_an_earlier_sweep_that_is_not_there(refusal: Refusal, verb: str) -> None:
    options = ("--set", "search={sampler: tpe, from: ealier}", "--set", "budget.trials=2")
    found = refusal(verb, "sweep.yaml", "--storage", "runs", *options)
    assert found.startswith(f"sweep.yaml with {options[0]} {options[1]}: search.from: no sweep of this name in runs")


def test_a_missing_sweep_file_names_one_like_it(refusal: Refusal) -> None:
    found = refusal("run", "sweeep.yaml")
    assert found == "sweeep.yaml: cannot be read: No such file or directory. Did you mean 'sweep.yaml'?"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("check",), "Missing argument 'file'."),
        (("chekc", "sweep.yaml"), "No such command 'chekc'. Did you mean 'check'?"),
        (
            ("check", "sweep.yaml", "--set", "seed"),
            "--set: must read key=value (found 'seed'). For example --set seed=1",
        ),
        (
            ("best", "own"),
            "no sweep of this name in raysweep-runs (found 'own'). Run one first: raysweep run SWEEP_FILE",
        ),
        (
            ("explain", "own", "--storage", "images.npz"),
            "no sweep of this name in images.npz (found 'own'). Run one first: raysweep run SWEEP_FILE",
        ),
        (("explain", "sweep.yaml", "--examples", "0"), "Invalid value for '--examples'"),
        (("ui", "--storage", "runs"), "--storage: holds no MLflow store (found 'runs')"),
    ],
)
def test_a_command_line_that_does_not_read(refusal: Refusal, arguments: tuple[str, ...], message: str) -> None:
    assert refusal(*arguments).startswith(message)


def test_a_process_of_its_own_ends_with_code_2_and_the_message_alone(home: Path) -> None:
    (home / "sweep.yaml").write_text(SWEEP.replace("examples: 6", "exampels: 6"))
    command = [sys.executable, "-m", "raysweep.cli", "run", "sweep.yaml"]
    done = subprocess.run(command, cwd=home, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "raysweep: sweep.yaml:12: exampels: unknown key. Did you mean 'examples'?\n"
